"""A worker process: receives open files, examines them inside the jail, sends back what it learnt.

Tasks arrive on a sequenced-packet socket, each message a MessagePack list of `Task` with the files' descriptors
attached; results leave through a pipe as frames: a length (4 bytes, big endian) and one `Ready` or `Result` in
MessagePack.
"""

import os
import signal
import socket
import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from garrison.core.errors import LimitExceeded
from garrison.core.facts import Anomaly, Examination
from garrison.core.limits import Limits

if TYPE_CHECKING:
    from garrison.sources.scope import Scope

BATCH = 32
"""Files in one message."""
MOST_DESCRIPTORS = 250
"""In one message; the kernel passes at most 253 at once."""
_MESSAGE = 1 << 20
_FLUSH_SECONDS = 0.02


class Task(msgspec.Struct, array_like=True):
    number: int
    subject: str
    size: int
    leads_to: str = ""
    within: str = ""
    beside: tuple[tuple[str, int], ...] = ()
    """Names and sizes of the files whose descriptors follow its own."""

    @property
    def total(self) -> int:
        """Bytes of the file and of those beside it."""
        return self.size + sum(size for _, size in self.beside)


class Ready(msgspec.Struct, array_like=True, tag=True):
    """The first message of a worker."""

    missing: tuple[str, ...]
    """What the system could not give the jail, in words."""


class Result(msgspec.Struct, array_like=True, tag=True):
    number: int
    examinations: list[Examination]
    sha256: str | None = None


class Settings(msgspec.Struct):
    limits: Limits
    digests: bool = False


def run(arguments: list[str]) -> None:
    """`serve` for a fresh interpreter: two descriptor numbers and the settings as JSON."""
    tasks, results, settings = arguments
    serve(socket.socket(fileno=int(tasks)), int(results), msgspec.json.decode(settings, type=Settings))


def serve(tasks: socket.socket, results: int, settings: Settings) -> None:
    """Lock this process in, then examine what arrives until the other side closes."""
    waiting: list[Ready | Result] = [Ready(tuple(enter_jail(settings.limits.memory)))]
    start_timer_handler()
    decoder = msgspec.msgpack.Decoder(list[Task])
    flushed = time.monotonic()
    while True:
        message, descriptors, _, _ = socket.recv_fds(tasks, _MESSAGE, MOST_DESCRIPTORS)
        if not message:
            return
        for task in decoder.decode(message):
            own, descriptors = descriptors[: 1 + len(task.beside)], descriptors[1 + len(task.beside) :]
            waiting.append(_examine(task, own[0], own[1:], settings))
            for descriptor in own:
                os.close(descriptor)
            now = time.monotonic()
            if now - flushed > _FLUSH_SECONDS:
                _send(results, waiting)
                waiting.clear()
                flushed = now
        _send(results, waiting)
        waiting.clear()


def start_timer_handler() -> None:
    """Have the alarm raise `LimitExceeded`."""

    def expired(_signal: int, _frame: object) -> None:
        raise LimitExceeded("seconds", "took longer than the time limit")

    signal.signal(signal.SIGALRM, expired)


def _examine(task: Task, descriptor: int, others: Sequence[int], settings: Settings) -> Result:
    from garrison.sources.examination import examine
    from garrison.sources.reader import FileReader
    from garrison.sources.source import Context, Source

    context = Context(settings.limits, task.total)
    found: list[Examination] = []
    digest = None
    try:
        # Code that never looks at the clock is interrupted by the timer, again and again should it catch the error.
        signal.setitimer(signal.ITIMER_REAL, max(context.deadline - time.monotonic(), 0.01), 0.5)
        try:
            beside = {name: FileReader(at, size) for (name, size), at in zip(task.beside, others, strict=True)}
            source = Source(task.subject, FileReader(descriptor, task.size), scope=_scope(task), beside=beside)
            for examination in examine(source, context):
                found.append(examination)
            if settings.digests:
                digest = _digest(descriptor)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    except (LimitExceeded, MemoryError, RecursionError) as error:
        reason = str(error) or type(error).__name__
        found.append(Examination(subject=task.subject, size=task.size, state="partial", reason=reason))
    if task.leads_to and found:
        found[-1].facts.append(link_fact(task.leads_to))
    return Result(task.number, found, digest)


def _scope(task: Task) -> "Scope | None":
    """What a file of a root file system is examined for."""
    if not task.within:
        return None
    from garrison.sources.scope import scope_of

    return scope_of(task.within)


def link_fact(target: str) -> Anomaly:
    """What a link out of the directory is: to the system's own files and to keys it is an attack."""
    parts = target.split("/")
    system = len(parts) > 2 and parts[1] in ("etc", "proc", "sys", "dev", "root", "boot")
    keys = any(part in (".ssh", ".aws", ".gnupg", ".kube", ".docker", ".netrc", ".env") for part in parts)
    # What a virtual environment links to: a program that is named is no file that is given away.
    interpreter = parts[-2:-1] == ["bin"] and parts[-1].removeprefix("python").replace(".", "").isdecimal()
    interpreter = interpreter and parts[-1].startswith("python") and ".." not in parts
    what = "escaping-link" if keys or (system and not interpreter) else "link-out-of-directory"
    return Anomaly(what=what, detail=f"a symbolic link to {target!r}, outside the directory that was named")


def _digest(descriptor: int) -> str:
    import hashlib

    digest = hashlib.sha256()
    offset = 0
    while data := os.pread(descriptor, 1 << 20, offset):
        digest.update(data)
        offset += len(data)
    return digest.hexdigest()


def _send(results: int, waiting: Iterable[Ready | Result]) -> None:
    frames = bytearray()
    for message in waiting:
        frame = _encode(message)
        frames += len(frame).to_bytes(4, "big") + frame
    view = memoryview(frames)
    while view:
        view = view[os.write(results, view) :]


def _encode(message: Ready | Result) -> bytes:
    try:
        return msgspec.msgpack.encode(message)
    except (UnicodeEncodeError, OverflowError):
        # A hostile name can hold lone surrogates, and a hostile number any size: no encoding can carry them.
        return msgspec.msgpack.encode(_encodable(msgspec.to_builtins(message)))


def _encodable(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, int) and not -(1 << 63) <= value < 1 << 63:
        return hex(value)[:100]
    if isinstance(value, dict):
        return {_encodable(key): _encodable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_encodable(item) for item in value]
    return value


def enter_jail(memory: int) -> list[str]:
    """Cut this process off from the terminal and lock it in; see `garrison.sources.jail.lock`."""
    from garrison.sources.jail import lock

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    null = os.open(os.devnull, os.O_RDWR)
    for standard in range(3):
        os.dup2(null, standard)
    if null > 2:
        os.close(null)
    return lock(memory)
