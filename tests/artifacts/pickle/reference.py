"""CPython's own unpicklers, disarmed: they record what they resolve, and everything they build is inert.

Runs as a process of its own, with limits on memory and time: `python -m tests.artifacts.pickle.reference` reads frames
(a length in 4 bytes, then a pickle) and answers each with a frame of JSON.
"""

import contextlib
import copyreg
import io
import json
import os
import pickle
import resource
import signal
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import IO

EXTENSIONS = {1: "one", 2: "two", 255: "byte", 300: "short", 70000: "long"}
_LOADS = 8
_MEMORY = 3 << 30
_SECONDS = 2


class _Anything(type):
    """Classes that accept whatever an unpickler does to them."""

    def __call__(cls, *args: object, **kwargs: object) -> object:
        return object.__new__(cls)

    def __getattr__(cls, name: str) -> object:
        return Inert

    def __setitem__(cls, key: object, value: object) -> None: ...

    def __iter__(cls) -> Iterator[object]:
        return iter(())


class Inert(metaclass=_Anything):
    """An object that does nothing, whatever is asked of it."""

    def __new__(cls, *args: object, **kwargs: object) -> "Inert":
        return object.__new__(cls)

    def __init__(self, *args: object, **kwargs: object) -> None: ...

    def __call__(self, *args: object, **kwargs: object) -> "Inert":
        return self

    def __setstate__(*args: object) -> None: ...

    def __setitem__(self, key: object, value: object) -> None: ...

    def append(*args: object) -> None: ...

    def extend(*args: object) -> None: ...

    def add(*args: object) -> None: ...


def _buffers() -> Iterator[bytes]:
    while True:
        yield b"buffer"


def _recording(base: type) -> type:
    class Recording(base):  # type: ignore[misc]
        seen: list[tuple[str, str]]

        def find_class(self, module: str, name: str) -> object:
            self.seen.append((module, name))
            return Inert

        def persistent_load(self, identifier: object) -> object:
            return Inert()

    return Recording


_C = _recording(pickle.Unpickler)
_PYTHON = _recording(pickle._Unpickler)  # type: ignore[attr-defined]


def _run(base: type, data: bytes, buffered: bool, encoding: str, keep: bool) -> list[list[tuple[str, str]]]:
    """What each of several loads resolves."""
    file: IO[bytes] = io.BufferedReader(io.BytesIO(data)) if buffered else io.BytesIO(data)  # type: ignore[arg-type]
    loads: list[list[tuple[str, str]]] = []
    unpickler = None
    seen: list[tuple[str, str]] = []
    for _ in range(_LOADS):
        copyreg.clear_extension_cache()
        seen = []
        loads.append(seen)
        if unpickler is None or not keep:
            unpickler = base(file, encoding=encoding, buffers=_buffers())
        unpickler.seen = seen
        try:
            unpickler.load()
        except (Exception, RecursionError, MemoryError):
            break
    return loads


def resolved(data: bytes) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Globals that the first load of some unpickler resolves, and those of the loads that follow."""
    first: dict[tuple[str, str], None] = {}
    further: dict[tuple[str, str], None] = {}
    for base, buffered, encoding, keep in (
        (_C, False, "ASCII", False),
        (_C, True, "latin1", False),
        (_PYTHON, False, "ASCII", False),
        (_PYTHON, False, "bytes", False),
        (_C, False, "utf-8", True),
    ):
        loads = _run(base, data, buffered, encoding, keep)
        first.update(dict.fromkeys(loads[0]))
        for load in loads[1:]:
            further.update(dict.fromkeys(load))
    return list(first), list(further)


class Reference:
    """The process in which the unpicklers run."""

    def __init__(self) -> None:
        self._process = self._start()

    def _start(self) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            [sys.executable, "-m", "tests.artifacts.pickle.reference"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    def ask(self, data: bytes) -> None:
        """Have some bytes unpickled; `answer` tells what came of it."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(struct.pack(">I", len(data)) + data)
            self._process.stdin.flush()

    def answer(self) -> tuple[set[tuple[str, str]], set[tuple[str, str]]] | None:
        """As `resolved`; None when the unpickler died over it."""
        assert self._process.stdout is not None
        try:
            head = self._process.stdout.read(4)
            if len(head) == 4:
                first, further = json.loads(self._process.stdout.read(struct.unpack(">I", head)[0]))
                return {(m, n) for m, n in first}, {(m, n) for m, n in further}
        except BrokenPipeError:
            pass
        self.close()
        self._process = self._start()
        return None

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        self._process.wait()


def main() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for code, name in EXTENSIONS.items():
        copyreg.add_extension("registered", name, code)

    def expired(_signal: int, _frame: object) -> None:
        raise TimeoutError

    signal.signal(signal.SIGALRM, expired)
    read: Callable[[int], bytes] = sys.stdin.buffer.read
    while len(head := read(4)) == 4:
        data = read(struct.unpack(">I", head)[0])
        signal.alarm(_SECONDS)
        try:
            answer = resolved(data)
        except (TimeoutError, MemoryError):
            os._exit(1)
        finally:
            signal.alarm(0)
        text = json.dumps(answer).encode()
        sys.stdout.buffer.write(struct.pack(">I", len(text)) + text)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
