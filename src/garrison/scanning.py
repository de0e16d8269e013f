"""`garrison.scan`: what a model file, a directory or an archive can do, before anyone loads it."""

import contextlib
import datetime
import itertools
import os
import stat
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import IO

from garrison.core.errors import LimitExceeded
from garrison.core.facts import Examination
from garrison.core.limits import Limits
from garrison.core.policy import Policy
from garrison.core.report import Report
from garrison.sources.paths import File, Omitted, display, walk

STANDARD_INPUT = "-"

Progress = Callable[[int, int | None, str], None]
"""Told how many files are done, of how many if that is known, and the last subject."""


class ScanInterrupted(KeyboardInterrupt):
    """Ctrl-C stopped a scan; `report` says what was done until then."""

    def __init__(self, report: Report) -> None:
        super().__init__("interrupted")
        self.report = report


def scan(
    path: "str | os.PathLike[str] | Iterable[str | os.PathLike[str]]",
    policy: Policy | None = None,
    *,
    progress: Progress | None = None,
    jobs: int | None = None,
    digests: bool = False,
    online: bool = False,
) -> Report:
    """Examine files, directories and archives, and judge what they can do.

    `path` is one path or several; `-` is standard input. Nothing that is examined is executed, imported or unpickled.
    Without a `policy` the default one counts: a finding of high or critical denies. `jobs` is the number of worker
    processes, by default one for each core. With `digests` the inventory holds the SHA-256 of each file, which means
    that all bytes are read.

    Raises `UsageError` when a path does not exist, and `ScanInterrupted`, which holds a report of what was done, on
    Ctrl-C.
    """
    paths = [os.fspath(path)] if isinstance(path, str | os.PathLike) else [os.fspath(one) for one in path]
    policy = policy or Policy()
    return _scan(lambda stack: _items(paths, policy, stack), paths, policy, progress, jobs, digests, online)


def scan_files(files: Sequence[File | Omitted], policy: Policy, subjects: Sequence[str]) -> Report:
    """What `scan` does, for files that were found already and are known to the report by their own subjects."""
    jobs = min(max(len(files), 1), _cores())
    return _scan(lambda _: (files, len(files)), subjects, policy, None, jobs, False, False)


def _scan(
    items_of: Callable[[contextlib.ExitStack], tuple[Iterable[File | Omitted | Examination], int | None]],
    paths: Sequence[str],
    policy: Policy,
    progress: Progress | None,
    jobs: int | None,
    digests: bool,
    online: bool,
) -> Report:
    started = datetime.datetime.now(datetime.UTC)
    clock = time.monotonic()
    done: dict[int, tuple[list[Examination], str | None]] = {}
    missing: tuple[str, ...] = ()
    interrupted = False
    with contextlib.ExitStack() as stack:
        try:
            items, total = items_of(stack)
            missing = _examine(items, total, done, policy.limits, jobs or _cores(), digests, progress)
        except KeyboardInterrupt:
            interrupted = True
    from garrison.core.assembly import assembled

    report = assembled(
        [done[number] for number in sorted(done)],
        policy,
        subjects=[display(path) for path in paths],
        started=started,
        seconds=time.monotonic() - clock,
        interrupted=interrupted,
        notes=missing,
        online=online and not interrupted,
    )
    if interrupted:
        raise ScanInterrupted(report)
    return report


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _items(
    paths: Sequence[str], policy: Policy, stack: contextlib.ExitStack
) -> tuple[Iterable[File | Omitted | Examination], int | None]:
    """What is to be examined, and how many they are if that is known without walking directories."""
    opened: list[Iterable[File | Omitted | Examination]] = []
    named: list[str] = []
    for path in paths:
        opener = _opener(path) if path != STANDARD_INPUT else None
        if opener is not None:
            opened.append(opener(path, stack))
        elif path != STANDARD_INPUT:
            named.append(path)
    items: Iterable[File | Omitted | Examination] = itertools.chain(walk(named, policy.exclude), *opened)
    total = len(paths) if not opened and not any(os.path.isdir(path) for path in named) else None
    if STANDARD_INPUT in paths:
        file = stack.enter_context(_standard_input(policy.limits))
        items = [File(STANDARD_INPUT, STANDARD_INPUT, file.fileno()), *items]
    return items, total


def _opener(path: str) -> Callable[[str, contextlib.ExitStack], Iterable[File | Omitted | Examination]] | None:
    """What opens a subject that is more than a file or a directory of files."""
    from garrison.core.registry import load, registration

    directory = os.path.isdir(path)
    for opener in registration().openers:
        if path.startswith(opener.schemes) or (directory and opener.directory and load(opener.directory)(path)):
            return load(opener.function)
    return None


@contextlib.contextmanager
def _standard_input(limits: Limits) -> Iterator[IO[bytes]]:
    """Standard input as a file that can be read anywhere: itself if it is one, else a copy without a name."""
    given = sys.stdin.buffer
    if stat.S_ISREG(os.fstat(given.fileno()).st_mode):
        yield given
        return
    import tempfile

    with tempfile.TemporaryFile(prefix="garrison-") as copy:
        size = 0
        while data := given.read(1 << 20):
            size += len(data)
            if size > limits.unpacked:
                raise LimitExceeded("unpacked", f"standard input is longer than {limits.unpacked} bytes")
            copy.write(data)
        copy.flush()
        yield copy


def _examine(
    items: Iterable[File | Omitted | Examination],
    total: int | None,
    done: dict[int, tuple[list[Examination], str | None]],
    limits: Limits,
    jobs: int,
    digests: bool,
    progress: Progress | None,
) -> tuple[str, ...]:
    """Fill `done`, by the place of each item in the input; return what the workers' jail lacks."""
    from garrison.sources.pool import Pool
    from garrison.sources.worker import Settings

    def load_detectors() -> None:
        import garrison.core.judgement  # noqa: F401

    with Pool(Settings(limits=limits, digests=digests), jobs, meanwhile=load_detectors) as pool:
        for result in pool.examine(items):
            done[result.number] = result.examinations, result.sha256
            if progress is not None and result.examinations:
                progress(len(done), total, result.examinations[-1].subject)
        return pool.missing
