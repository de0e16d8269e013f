"""A worker in the jail keeps what it needs and loses everything else."""

import mmap
import os
import socket
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from garrison.sources.jail import lock

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the jail is Linux's")

GIB = 1 << 30
WORK = tempfile.mkdtemp(prefix="garrison-test-")
CREATED = f"{WORK}/created"
PRESENT = f"{WORK}/present"


def jailed(action: Callable[[], object]) -> str:
    """Run an action in a jailed child; return `done`, or the name of what it raised."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            lock(GIB)
            try:
                action()
                outcome = "done"
            except BaseException as error:
                outcome = type(error).__name__
            os.write(writing, outcome.encode())
        finally:
            os._exit(0)
    os.close(writing)
    outcome = os.read(reading, 100).decode()
    os.close(reading)
    os.waitpid(pid, 0)
    return outcome


def test_open_descriptors_stay_readable(tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(b"weights")
    descriptor = os.open(path, os.O_RDONLY)
    assert jailed(lambda: os.pread(descriptor, 7, 0)) == "done"
    os.close(descriptor)


def test_what_was_mapped_before_is_not_counted() -> None:
    with mmap.mmap(-1, 4 * GIB, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, prot=mmap.PROT_READ):
        assert jailed(lambda: bytearray(GIB // 2)) == "done"
        assert jailed(lambda: bytearray(2 * GIB)) == "MemoryError"


def test_modules_can_still_be_imported() -> None:
    def action() -> None:
        import colorsys  # something that no test has imported yet

        assert colorsys

    assert jailed(action) == "done"


@pytest.mark.parametrize(
    ("what", "action"),
    [
        ("read another file", lambda: os.open("/etc/passwd", os.O_RDONLY)),
        ("list a directory", lambda: os.listdir("/etc")),
        ("create a file", lambda: os.open(CREATED, os.O_WRONLY | os.O_CREAT)),
        ("append to a file", lambda: os.open(__file__, os.O_WRONLY | os.O_APPEND)),
        ("remove a file", lambda: os.unlink(PRESENT)),
        ("open a socket", lambda: socket.socket(socket.AF_INET)),
        ("open a unix socket", lambda: socket.socket(socket.AF_UNIX)),
        ("start a process", lambda: os.fork()),
        ("run a program", lambda: os.execv("/bin/true", ["true"])),
        ("signal the parent", lambda: os.kill(os.getppid(), 0)),
        ("control the terminal", lambda: os.set_inheritable(0, True) or os.get_terminal_size(0)),
    ],
)
def test_everything_else_is_refused(what: str, action: Callable[[], object]) -> None:
    Path(PRESENT).touch()
    assert jailed(action) in {"PermissionError", "OSError"}, what
    assert not os.path.exists(CREATED)


def test_memory_is_bounded() -> None:
    assert jailed(lambda: bytearray(2 * GIB)) == "MemoryError"


def test_the_kernel_of_this_machine_gives_all_of_it() -> None:
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(writing, repr(lock(GIB)).encode())
        finally:
            os._exit(0)
    os.close(writing)
    missing = os.read(reading, 1000).decode()
    os.close(reading)
    os.waitpid(pid, 0)
    if "no Landlock" in missing:
        pytest.skip("this kernel has no Landlock")
    assert missing == "[]"
