"""From what was learnt of each file to the report on all of them."""

import datetime
from collections.abc import Sequence

from garrison.core.facts import Examination
from garrison.core.judgement import decide, judge
from garrison.core.neighbours import account_for_raw_data
from garrison.core.policy import Policy
from garrison.core.registry import load, registration
from garrison.core.report import SCHEMA_VERSION, Coverage, CoverageEntry, Item, Report, Tool


def assembled(
    done: Sequence[tuple[list[Examination], str | None]],
    policy: Policy,
    *,
    subjects: Sequence[str],
    started: datetime.datetime,
    seconds: float,
    interrupted: bool,
    notes: tuple[str, ...],
    online: bool,
) -> Report:
    """The report on examinations, each file's with its SHA-256 if that was asked for: judged, decided and counted."""
    from garrison import __version__

    examinations = [examination for group, _ in done for examination in group]
    account_for_raw_data(examinations)
    examinations += _inquire(examinations, policy, online)
    digests = {group[-1].subject: digest for group, digest in done if group and digest is not None}
    findings, checks = judge(examinations, policy)
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
                sha256=digests.get(e.subject),
                facts=tuple(e.facts),
            )
            for e in examinations
            if e.state != "skipped"
        ),
        findings=tuple(findings),
        coverage=coverage,
        checks=tuple(checks),
        decision=decide(findings, examinations, coverage, policy, started.date(), checks),
        notes=notes,
    )


def _inquire(examinations: Sequence[Examination], policy: Policy, online: bool) -> list[Examination]:
    """What services know of what was found, or are remembered to have said."""
    kinds = {type(fact).__struct_config__.tag for e in examinations for fact in e.facts}
    found: list[Examination] = []
    for inquiry in registration().inquiries:
        if not kinds.isdisjoint(inquiry.facts):
            found += load(inquiry.function)([*examinations, *found], policy, online)
    return found
