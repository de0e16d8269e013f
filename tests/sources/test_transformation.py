"""One file is turned into other bytes by a worker that can do nothing else."""

import mmap
import os
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from garrison.core.errors import ExaminationError, GarrisonError, LimitExceeded, Malformed
from garrison.core.limits import Limits
from garrison.sources.source import Context, Source
from garrison.sources.transformation import Errand, Transformation

# ---------------------------------------------------------------- what workers are given to do


def doubled(source: Source, context: Context) -> Iterator[bytes]:
    for chunk in source.reader.chunks(0, 1000):
        yield chunk * 2


def breaking(source: Source, context: Context) -> Iterator[bytes]:
    yield b"first"
    raise Malformed("ends here \udc80")


def failing(source: Source, context: Context) -> Iterator[bytes]:
    yield b"first"
    raise ValueError("a bug")


def endless(source: Source, context: Context) -> Iterator[bytes]:
    while True:
        pass
    yield b""


def greedy(source: Source, context: Context) -> Iterator[bytes]:
    yield bytes(1 << 36)


def dying(source: Source, context: Context) -> Iterator[bytes]:
    yield b"first"
    os._exit(0)


def attacking(source: Source, context: Context) -> Iterator[bytes]:
    """Yield what could be done that must not."""
    place = source.reader.pread(0, 4096).decode()
    attempts = {
        "write": lambda: Path(place, "canary").write_bytes(b""),
        "read": lambda: Path("/etc/passwd").read_bytes(),
        "start": lambda: os.posix_spawn("/bin/true", ["true"], {}),
        "fork": os.fork,
        "connect": lambda: socket.socket(),
        "remove": lambda: os.remove(place + "/kept"),
        "write to what was open": lambda: [os.write(number, b"x") for number in range(3, 64) if number not in _own()],
    }
    for name, attempt in attempts.items():
        try:
            result = attempt()
            if result != []:
                yield name.encode() + b" "
        except OSError:
            pass


def _own() -> set[int]:
    """Descriptors that are not open, and the pipe."""
    import fcntl
    import stat

    found = set()
    for number in range(3, 64):
        try:
            if stat.S_ISFIFO(os.fstat(number).st_mode) or fcntl.fcntl(number, fcntl.F_GETFL) & os.O_ACCMODE == 0:
                found.add(number)
        except OSError:
            found.add(number)
    return found


# ---------------------------------------------------------------- the tests


def transformed(function: str, path: Path, limits: Limits | None = None) -> bytes:
    errand = Errand(f"{__name__}:{function}", "subject", limits or Limits())
    with path.open("rb") as file, Transformation(errand, file.fileno()) as worker:
        return b"".join(worker)


def given(tmp_path: Path, data: bytes) -> Path:
    path = tmp_path / "file"
    path.write_bytes(data)
    return path


def test_bytes_come_as_they_were_made(tmp_path: Path) -> None:
    data = os.urandom(300_000)
    expected = b"".join(data[at : at + 1000] * 2 for at in range(0, len(data), 1000))
    assert transformed("doubled", given(tmp_path, data)) == expected
    assert transformed("doubled", given(tmp_path, b"")) == b""


def test_a_caller_with_threads_gets_a_fresh_interpreter(tmp_path: Path) -> None:
    done = threading.Event()
    thread = threading.Thread(target=done.wait)
    thread.start()
    try:
        assert transformed("doubled", given(tmp_path, b"ab")) == b"abab"
    finally:
        done.set()
        thread.join()


def test_a_large_caller_gets_a_small_worker(tmp_path: Path) -> None:
    with mmap.mmap(-1, 1 << 30):
        assert transformed("doubled", given(tmp_path, b"ab"), Limits(memory=512 << 20)) == b"abab"


@pytest.mark.parametrize(
    ("function", "kind", "text"),
    [
        ("breaking", Malformed, "ends here"),
        ("failing", GarrisonError, "ValueError: a bug"),
        ("endless", LimitExceeded, "time limit"),
        ("greedy", LimitExceeded, "memory"),
        ("dying", ExaminationError, "died"),
    ],
)
def test_what_goes_wrong_is_told(tmp_path: Path, function: str, kind: type[Exception], text: str) -> None:
    with pytest.raises(kind, match=text):
        transformed(function, given(tmp_path, b"x"), Limits(seconds=0.3))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the jail is Linux's")
def test_a_worker_can_do_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "kept").write_bytes(b"")
    with (tmp_path / "open").open("wb"):
        assert transformed("attacking", given(tmp_path, str(tmp_path).encode())) == b""
    assert sorted(one.name for one in tmp_path.iterdir()) == ["file", "kept", "open"]


def test_a_worker_that_is_left_is_ended(tmp_path: Path) -> None:
    errand = Errand(f"{__name__}:doubled", "subject", Limits())
    with given(tmp_path, bytes(10_000_000)).open("rb") as file, Transformation(errand, file.fileno()) as worker:
        assert next(iter(worker))
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)
