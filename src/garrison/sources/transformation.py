"""Turns one file into other bytes inside the jail, and streams them out.

The worker gets two descriptors, the file to read and a pipe to write, and nothing else that is open. What comes through
the pipe are frames: a letter, a length (4 bytes, big endian), and that many bytes. The caller checks what it is given:
whoever took over the worker could send anything.
"""

import os
import select
import signal
import time
from collections.abc import Iterator
from typing import NoReturn, Self

import msgspec

from garrison.core.errors import ExaminationError, GarrisonError, LimitExceeded, Malformed, NotUnderstood
from garrison.core.limits import Limits
from garrison.sources.processes import end, fork_or_spawn

_READY, _DATA, _REFUSED, _FAILED, _DONE = b"r", b"d", b"x", b"f", b"."
_MOST = 1 << 28
_GRACE_SECONDS = 5.0
_KINDS = {kind.__name__: kind for kind in (Malformed, NotUnderstood, ExaminationError)}


class Errand(msgspec.Struct, frozen=True):
    """What a worker is to do."""

    function: str
    """`module:function` taking `(Source, Context)` and returning an iterator of bytes."""
    subject: str
    limits: Limits


class Transformation:
    """One worker. A context manager; leaving it kills what still runs."""

    def __init__(self, errand: Errand, descriptor: int) -> None:
        self.missing: tuple[str, ...] = ()
        """What the system could not give the jail, in words; known once the first bytes have come."""
        size = os.fstat(descriptor).st_size
        limits = errand.limits
        self._deadline = time.monotonic() + limits.seconds + limits.seconds_per_gib * size / (1 << 30) + _GRACE_SECONDS
        self._results, answers = os.pipe()
        try:
            self._pid = fork_or_spawn(
                lambda: _serve(errand, descriptor, answers),
                run,
                [str(descriptor), str(answers), msgspec.json.encode(errand).decode()],
                (descriptor, answers),
            )
        finally:
            os.close(answers)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._results)
        end(self._pid)

    def __iter__(self) -> Iterator[bytes]:
        """What the function yields, in the same pieces.

        Raises `ExaminationError` as the function does, or where the worker dies or takes too long, and `GarrisonError`
        where it fails.
        """
        while True:
            head = self._read(5)
            kind, length = head[:1], int.from_bytes(head[1:], "big")
            if length > _MOST:
                raise GarrisonError("a worker sent more than it may")
            body = self._read(length)
            if kind == _DATA:
                yield body
            elif kind == _READY:
                self.missing = msgspec.json.decode(body, type=tuple[str, ...])
            elif kind == _REFUSED:
                raise _error(body)
            elif kind == _FAILED:
                raise GarrisonError(body.decode("utf-8", "replace")[:300])
            else:
                return

    def _read(self, count: int) -> bytes:
        parts = []
        while count:
            left = self._deadline - time.monotonic()
            if left <= 0 or not select.select([self._results], [], [], left)[0]:
                raise LimitExceeded("seconds", "took longer than the time limit")
            data = os.read(self._results, min(count, 1 << 20))
            if not data:
                raise ExaminationError("the worker process died on it")
            parts.append(data)
            count -= len(data)
        return parts[0] if len(parts) == 1 else b"".join(parts)


def _error(body: bytes) -> ExaminationError:
    name, text, limit = msgspec.json.decode(body, type=tuple[str, str, str])
    return LimitExceeded(limit, text) if limit else _KINDS.get(name, ExaminationError)(text)


def run(arguments: list[str]) -> None:
    """The work in a fresh interpreter: two descriptor numbers and the errand as JSON."""
    descriptor, answers, errand = arguments
    _serve(msgspec.json.decode(errand, type=Errand), int(descriptor), int(answers))


def _serve(errand: Errand, descriptor: int, answers: int) -> NoReturn:
    """Lock this process in, do the errand, and end."""
    from garrison.core.registry import load
    from garrison.sources.worker import enter_jail, start_timer_handler

    _close_others(descriptor, answers)
    load(errand.function)
    missing = enter_jail(errand.limits.memory)
    start_timer_handler()
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    _send(answers, _READY, msgspec.json.encode(missing))
    ending = (_DONE, b"")
    try:
        for piece in _pieces(errand, descriptor):
            _send(answers, _DATA, piece)
    except Exception as error:
        signal.setitimer(signal.ITIMER_REAL, 0)
        ending = _ending(error)
    _send(answers, *ending)
    os._exit(0)


def _ending(error: Exception) -> tuple[bytes, bytes]:
    """How what went wrong is told."""
    said = str(error).encode("utf-8", "backslashreplace").decode()
    match error:
        case LimitExceeded():
            told = ("", said, error.limit)
        case MemoryError():
            told = ("", "needs more memory than the limit", "memory")
        case RecursionError():
            told = ("", "nested too deep", "depth")
        case ExaminationError():
            told = (type(error).__name__, said, "")
        case _:
            return _FAILED, f"the reader failed: {type(error).__name__}: {said}".encode()
    return _REFUSED, msgspec.json.encode(told)


def _pieces(errand: Errand, descriptor: int) -> Iterator[bytes]:
    from garrison.core.registry import load
    from garrison.sources.reader import FileReader
    from garrison.sources.source import Context, Source

    size = os.fstat(descriptor).st_size
    context = Context(errand.limits, size)
    # Code that never looks at the clock is interrupted by the timer, again and again should it catch the error.
    signal.setitimer(signal.ITIMER_REAL, max(context.deadline - time.monotonic(), 0.01), 0.5)
    yield from load(errand.function)(Source(errand.subject, FileReader(descriptor, size)), context)


def _close_others(*kept: int) -> None:
    """Whatever else the parent had open is none of the worker's business."""
    low = 3
    for descriptor in sorted(kept):
        os.closerange(low, descriptor)
        low = max(low, descriptor + 1)
    os.closerange(low, os.sysconf("SC_OPEN_MAX"))


def _send(answers: int, kind: bytes, body: bytes) -> None:
    for data in (kind + len(body).to_bytes(4, "big"), body):
        view = memoryview(data)
        while view:
            view = view[os.write(answers, view) :]
