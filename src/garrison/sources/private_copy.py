"""A copy of a file that nobody else can change, so that what was examined is what is used.

On Linux a small file becomes a sealed `memfd`: the kernel refuses to write to it, whoever asks. A large one, or any
file on another system, is copied into a private directory; there only this user's own processes, which could
change this process itself as well, reach it.
"""

import contextlib
import fcntl
import os
import shutil
import tempfile
from typing import IO, TYPE_CHECKING, Self

import msgspec

from garrison.core.files import regular_file
from garrison.sources.paths import File, Omitted

if TYPE_CHECKING:
    from collections.abc import Iterable

_CHUNK = 8 << 20
_IN_MEMORY = 1 << 30
_SHARE = 4
"""A copy may take this part of the memory that is free."""
_SEALED = hasattr(os, "memfd_create") and hasattr(fcntl, "F_ADD_SEALS")
_NOT_AVAILABLE = 1 << 62
_LONGEST = 200
"""Bytes of a name that every file system takes, with an ending that a loader may want added."""


class PrivateCopy:
    """The bytes of one file as they were when it was copied. A context manager."""

    def __init__(self, name: str) -> None:
        """An empty copy that programs will see under the last component of `name`."""
        self._directory = tempfile.mkdtemp(prefix="garrison-")
        self.path = os.path.join(self._directory, _component(name))
        """Where the copy can be opened by name, in this process and as long as the copy is open."""
        self.descriptor = -1
        """Open for reading; each `pread` on it gets the same bytes."""
        self.size = 0

    @classmethod
    def of(cls, path: str, *, in_memory: bool = True) -> Self:
        """A copy of a regular file; links are followed, once. Without `in_memory` it is a file with a real path.

        Raises `UsageError` for what is no regular file or cannot be read.
        """
        with regular_file(path) as file:
            return cls.of_stream(file, path, os.fstat(file.fileno()).st_size, in_memory=in_memory)

    @classmethod
    def of_stream(cls, stream: "IO[bytes]", name: str, size: int, *, in_memory: bool = True) -> Self:
        """A copy of the next `size` bytes of a stream, or of fewer if it ends before."""
        copy = cls(name)
        try:
            copy._fill(stream, size, in_memory)
        except BaseException:
            copy.close()
            raise
        return copy

    def _fill(self, stream: "IO[bytes]", size: int, in_memory: bool) -> None:
        if in_memory and _SEALED and size <= min(_IN_MEMORY, _free_memory() // _SHARE):
            writing = os.memfd_create("garrison", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
            with open(writing, "wb", buffering=0) as target:
                self.size = _copy(stream, target, size)
                fcntl.fcntl(
                    writing,
                    fcntl.F_ADD_SEALS,
                    fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL,
                )
                # Opened anew for reading only: kernels before 6.7 share no mapping of a sealed file that is writable.
                self.descriptor = os.open(f"/proc/self/fd/{writing}", os.O_RDONLY | os.O_CLOEXEC)
            os.symlink(f"/proc/self/fd/{self.descriptor}", self.path)
            return
        writing = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o400)
        with open(writing, "wb", buffering=0) as target:
            self.size = _copy(stream, target, size)
        self.descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)

    def open(self) -> "IO[bytes]":
        """A new file object at the beginning of the copy, which may outlive it."""
        return open(self.path, "rb")

    def close(self) -> None:
        """Give the copy up; what has it open or mapped keeps its bytes."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1
        shutil.rmtree(self._directory, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class PrivateFolder:
    """The files below a directory as they were when they were copied, on disk. A context manager."""

    def __init__(self, path: str, items: "Iterable[File | Omitted]") -> None:
        """Copy what `sources.paths.walk` found below the directory at `path`.

        Links to files become files. Raises `UsageError` for a file that is none any more.
        """
        self._directory = tempfile.mkdtemp(prefix="garrison-")
        self.path = os.path.join(self._directory, os.path.basename(os.path.abspath(path)) or "copy")
        """Where the copy of the directory is."""
        self.items: list[File | Omitted] = []
        """What was found, each file with the path of its copy and the subject of the original."""
        try:
            os.mkdir(self.path, 0o700)
            for item in items:
                self.items.append(self._copied(item, path) if isinstance(item, File) else item)
        except BaseException:
            self.close()
            raise

    def _copied(self, item: File, top: str) -> File:
        target = os.path.join(self.path, os.path.relpath(item.path, top))
        os.makedirs(os.path.dirname(target), 0o700, exist_ok=True)
        writing = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o400)
        with open(writing, "wb", buffering=0) as copy, regular_file(item.path) as file:
            _copy(file, copy, os.fstat(file.fileno()).st_size)
        return msgspec.structs.replace(item, path=target)

    def close(self) -> None:
        shutil.rmtree(self._directory, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _component(name: str) -> str:
    """The last component of a path or of what a member is called, if a file can have that name, else `copy`."""
    last = os.path.basename(name)
    try:
        possible = last not in ("", ".", "..") and "\0" not in last and len(os.fsencode(last)) <= _LONGEST
    except UnicodeEncodeError:
        possible = False
    return last if possible else "copy"


def _copy(stream: "IO[bytes]", target: "IO[bytes]", size: int) -> int:
    """Copy at most `size` bytes; return how many there were."""
    left = size
    while left and (data := stream.read(min(left, _CHUNK))):
        view = memoryview(data)
        left -= len(view)
        while view:
            view = view[target.write(view) :]
    return size - left


def _free_memory() -> int:
    """Bytes that the system, and the control group if there is one, say are to be had."""
    free = _NOT_AVAILABLE
    with contextlib.suppress(OSError, ValueError), open("/proc/meminfo", encoding="ascii") as file:
        for line in file:
            if line.startswith("MemAvailable:"):
                free = int(line.split()[1]) << 10
    with contextlib.suppress(OSError, ValueError):
        with open("/sys/fs/cgroup/memory.max", encoding="ascii") as file:
            most = int(file.read())  # `max` where nothing is set, which is no number
        with open("/sys/fs/cgroup/memory.current", encoding="ascii") as file:
            free = min(free, max(most - int(file.read()), 0))
    return free
