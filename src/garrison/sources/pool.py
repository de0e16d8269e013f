"""Worker processes: as many as there are cores, each in a jail, each replaced when it dies.

A file on which a worker dies, or which it does not finish in time, is reported as failed; the scan goes on with the
rest.
"""

import contextlib
import os
import select
import signal
import socket
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Self

import msgspec

from garrison.core.errors import GarrisonError
from garrison.core.facts import Anomaly, Examination
from garrison.sources.paths import File, Omitted
from garrison.sources.processes import end, fork_or_spawn
from garrison.sources.worker import BATCH, Ready, Result, Settings, Task, run, serve

_BATCH_BYTES = 4 << 20
_GRACE_SECONDS = 3.0
_FRAME_LIMIT = 1 << 30
_READ = 1 << 20


class _Opened(msgspec.Struct, frozen=True):
    task: Task
    file: File
    descriptors: tuple[int, ...]


class _Worker:
    """The parent's side of one worker process."""

    def __init__(self, pid: int, tasks: socket.socket, results: int) -> None:
        self.pid = pid
        self.tasks = tasks
        self.results = results
        self.outstanding: deque[_Opened] = deque()
        self.since = 0.0
        """When it reported last, or was given work after it had none."""
        self.received = bytearray()

    def send(self, batch: Sequence[_Opened]) -> None:
        if not self.outstanding:
            self.since = time.monotonic()
        self.outstanding.extend(batch)
        message = msgspec.msgpack.encode([opened.task for opened in batch])
        with contextlib.suppress(OSError):  # it has died: what it was given goes to another
            socket.send_fds(self.tasks, [message], [one for opened in batch for one in opened.descriptors])
        for opened in batch:
            for descriptor in opened.descriptors:
                os.close(descriptor)

    def frames(self) -> Iterator[bytes]:
        """The complete messages among what has been received."""
        while len(self.received) >= 4:
            length = int.from_bytes(self.received[:4], "big")
            if length > _FRAME_LIMIT:
                raise GarrisonError("a worker sent more than it may")
            if len(self.received) < 4 + length:
                return
            yield bytes(self.received[4 : 4 + length])
            del self.received[: 4 + length]

    def close(self) -> int:
        """Kill the process, wait for it, and return its exit status as `os.waitpid` gives it."""
        status = end(self.pid)
        self.tasks.close()
        os.close(self.results)
        return status


class Pool:
    """Examines files in worker processes. A context manager; leaving it kills what still runs."""

    def __init__(self, settings: Settings, jobs: int, meanwhile: Callable[[], object] | None = None) -> None:
        """`meanwhile` is called once, when the first worker has something to do."""
        self._settings = settings
        self._meanwhile = meanwhile
        self._jobs = jobs
        self._workers: list[_Worker] = []
        self._decoder = msgspec.msgpack.Decoder(Ready | Result)
        self._alone: deque[tuple[int, File]] = deque()
        """Files that a dead worker had before it; each is tried again by itself, so that the culprit is known."""
        self.missing: tuple[str, ...] = ()
        """What the system could not give the jail, in words."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            worker.close()
        self._workers.clear()

    def examine(self, items: Iterable[File | Omitted | Examination]) -> Iterator[Result]:
        """One result for each item, as they get done; `number` is the item's place in the input.

        What an opener has examined itself passes as it is.
        """
        numbered = enumerate(items)
        more = True
        while more or self._alone or any(worker.outstanding for worker in self._workers):
            while (more or self._alone) and (worker := self._idle()) is not None:
                size = 0
                batch: list[_Opened] = []
                while len(batch) < BATCH and size < _BATCH_BYTES:
                    entry = self._alone.popleft() if self._alone else next(numbered, None)
                    if entry is None:
                        more = False
                        break
                    opened = _open(*entry)
                    if isinstance(opened, Result):
                        yield opened
                        continue
                    batch.append(opened)
                    size += opened.task.total if not self._alone and not opened.file.beside else _BATCH_BYTES
                if batch:
                    worker.send(batch)
            if self._meanwhile is not None:
                self._meanwhile()
                self._meanwhile = None
            yield from self._collect()

    def _idle(self) -> _Worker | None:
        """A worker with little to do; a new one as long as all are busy and more are allowed."""
        least = min(self._workers, key=lambda worker: len(worker.outstanding), default=None)
        if least is not None and not least.outstanding:
            return least
        if len(self._workers) < self._jobs:
            worker = _start(self._settings, self._workers)
            self._workers.append(worker)
            return worker
        return least if least is not None and len(least.outstanding) < BATCH and not self._alone else None

    def _collect(self) -> Iterator[Result]:
        """What the workers send until the first of them runs out of time."""
        busy = [worker for worker in self._workers if worker.outstanding]
        if not busy:
            return
        now = time.monotonic()
        patience = max(min(self._deadline(worker) for worker in busy) - now, 0.0)
        ready, _, _ = select.select([worker.results for worker in busy], [], [], patience)
        for worker in busy:
            if worker.results in ready:
                yield from self._receive(worker)
            elif time.monotonic() >= self._deadline(worker):
                yield from self._bury(worker, "took longer than the time limit")

    def _deadline(self, worker: _Worker) -> float:
        limits = self._settings.limits
        size = worker.outstanding[0].task.total
        return worker.since + limits.seconds + limits.seconds_per_gib * size / (1 << 30) + _GRACE_SECONDS

    def _receive(self, worker: _Worker) -> Iterator[Result]:
        data = os.read(worker.results, _READ)
        if not data:
            yield from self._bury(worker, "")
            return
        worker.received += data
        worker.since = time.monotonic()
        try:
            for frame in worker.frames():
                message = self._decoder.decode(frame)
                if isinstance(message, Ready):
                    self.missing = message.missing
                elif not worker.outstanding or message.number != worker.outstanding[0].task.number:
                    raise GarrisonError("a worker answered what it was not asked")
                else:
                    worker.outstanding.popleft()
                    yield message
        except (GarrisonError, msgspec.MsgspecError) as error:
            yield from self._bury(worker, f"the worker process misbehaved: {error}")

    def _bury(self, worker: _Worker, reason: str) -> Iterator[Result]:
        """Give a dead or hanging worker's work to others; what it had alone has failed."""
        self._workers.remove(worker)
        status = worker.close()
        if not reason:
            name = signal.Signals(os.WTERMSIG(status)).name if os.WIFSIGNALED(status) else f"status {status >> 8}"
            reason = f"the worker process died ({name})"
        if len(worker.outstanding) == 1:
            task = worker.outstanding[0].task
            failed = Examination(subject=task.subject, size=task.size, state="failed", reason=reason)
            failed.facts.append(Anomaly(what="resource-limit", detail=reason))
            yield Result(task.number, [failed])
        else:
            self._alone.extend((opened.task.number, opened.file) for opened in worker.outstanding)
        worker.outstanding.clear()


def _open(number: int, item: File | Omitted | Examination) -> "_Opened | Result":
    if isinstance(item, Examination):
        return Result(number, [item])
    if isinstance(item, Omitted):
        return Result(number, [Examination(subject=item.subject, state=item.state, reason=item.reason)])
    if item.descriptor is not None:
        descriptor = os.dup(item.descriptor)
    else:
        try:
            follow = os.O_NOFOLLOW if item.within else 0
            descriptor = os.open(item.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY | follow)
        except OSError as error:
            reason = f"cannot be opened: {error.strerror}"
            return Result(number, [Examination(subject=item.subject, state="failed", reason=reason)])
    size = os.fstat(descriptor).st_size
    others = tuple(os.dup(one) for _, one in item.beside)
    beside = tuple((name, os.fstat(one).st_size) for name, one in item.beside)
    return _Opened(Task(number, item.subject, size, item.leads_to, item.within, beside), item, (descriptor, *others))


def _start(settings: Settings, others: Sequence[_Worker]) -> _Worker:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    results, answers = os.pipe()

    def work() -> None:
        ours.close()
        os.close(results)
        for worker in others:
            worker.tasks.close()
            os.close(worker.results)
        serve(theirs, answers, settings)

    arguments = [str(theirs.fileno()), str(answers), msgspec.json.encode(settings).decode()]
    pid = fork_or_spawn(work, run, arguments, (theirs.fileno(), answers))
    theirs.close()
    os.close(answers)
    return _Worker(pid, ours, results)
