"""`garrison.scan`: what a model file, a directory or an archive can do, before anyone loads it."""

import datetime
import os
import time
from collections.abc import Iterable, Iterator, Sequence

from garrison.core.errors import UsageError
from garrison.core.facts import Examination
from garrison.core.judgement import decide, judge
from garrison.core.policy import Policy
from garrison.core.report import SCHEMA_VERSION, Coverage, CoverageEntry, Item, Report, Tool


def scan(path: "str | os.PathLike[str] | Iterable[str | os.PathLike[str]]", policy: Policy | None = None) -> Report:
    """Examine files, directories and archives, and judge what they can do.

    `path` is one path or several. Nothing that is examined is executed, imported or unpickled. Without a `policy` the
    default one counts: a finding of high or critical denies.

    Raises `UsageError` when a path does not exist.
    """
    policy = policy or Policy()
    paths = [os.fspath(path)] if isinstance(path, str | os.PathLike) else [os.fspath(p) for p in path]
    for name in paths:
        if not os.path.lexists(name):
            raise UsageError(f"{name}: no such file or directory")
    started = datetime.datetime.now(datetime.UTC)
    clock = time.monotonic()
    examinations = list(_examine(paths, policy))
    return report_of(examinations, policy, subjects=paths, started=started, seconds=time.monotonic() - clock)


def report_of(
    examinations: Sequence[Examination],
    policy: Policy,
    *,
    subjects: Sequence[str],
    started: datetime.datetime,
    seconds: float,
    interrupted: bool = False,
) -> Report:
    """Judge examinations and put them into a report."""
    from garrison import __version__

    findings = judge(examinations, policy)
    states = [examination.state for examination in examinations]
    coverage = Coverage(
        examined=states.count("examined"),
        not_understood=states.count("not-understood"),
        failed=states.count("failed") + states.count("partial"),
        skipped=states.count("skipped"),
        interrupted=interrupted,
        entries=tuple(
            CoverageEntry(subject=e.subject, state=e.state, reason=e.reason)
            for e in examinations
            if e.state != "examined"
        ),
    )
    return Report(
        schema_version=SCHEMA_VERSION,
        tool=Tool(name="garrison", version=__version__),
        started=started,
        seconds=round(seconds, 3),
        subjects=tuple(subjects),
        inventory=tuple(
            Item(
                subject=e.subject,
                formats=tuple(e.formats),
                size=e.size if e.size >= 0 else None,
                facts=tuple(e.facts),
            )
            for e in examinations
        ),
        findings=tuple(findings),
        coverage=coverage,
        decision=decide(findings, examinations, coverage, policy, started.date()),
    )


def _examine(paths: Iterable[str], policy: Policy) -> Iterator[Examination]:
    from garrison.sources.examination import examine
    from garrison.sources.reader import FileReader
    from garrison.sources.source import Context, Source

    for top in paths:
        names = [top] if not os.path.isdir(top) else sorted(os.path.join(d, f) for d, _, fs in os.walk(top) for f in fs)
        for name in names:
            descriptor = os.open(name, os.O_RDONLY)
            try:
                size = os.fstat(descriptor).st_size
                yield from examine(Source(name, FileReader(descriptor, size)), Context(policy.limits, size))
            finally:
                os.close(descriptor)
