"""A directory as a tar archive that is written and read as it passes, of plain files and directories alone.

Links are the way out of a directory for archives, and what Python's own filters were got round with more than once. So
none is written, and none is unpacked: what is unpacked goes into a new directory in which there is no link to follow.

Sources: POSIX.1-2017, pax, sections "ustar Interchange Format" and "pax Header Block"; GNU tar, `tar.h` (long names).
"""

import contextlib
import io
import os
import shutil
import stat
import tarfile
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO, cast

from garrison.core.errors import UsageError
from garrison.provenance.sealing.writing import write_all
from garrison.provenance.trust import Refused

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

_BLOCK = 512
_PART = 1 << 20
_RECORDS = 1 << 16
"""The longest extended header; nothing but a name and a size is taken from it."""
_MEMBERS = 1_000_000
_DEPTH = 64
"""Parts of a name, the last of which may be a directory's."""
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW


class Packed(io.RawIOBase):
    """The archive of a directory, in an order that is always the same. Reading raises `UsageError`.

    A link to a file in the directory is packed as that file. A link that leaves it, a link to a directory, and what is
    neither file nor directory are refused, since what would be sealed is not what the name says.
    """

    def __init__(self, directory: str) -> None:
        self._root = os.path.realpath(directory)
        if not os.path.isdir(self._root):
            raise UsageError(f"{directory}: no directory")
        self._held = memoryview(b"")
        self._members = 0
        self._parts = self._written()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        while not self._held:
            part = next(self._parts, None)
            if part is None:
                return 0
            self._held = memoryview(part)
        with memoryview(buffer).cast("B") as target:
            size = min(len(target), len(self._held))
            target[:size] = self._held[:size]
        self._held = self._held[size:]
        return size

    def _written(self) -> Iterator[bytes]:
        yield from self._directory("", 0)
        yield bytes(2 * _BLOCK)

    def _directory(self, name: str, depth: int) -> Iterator[bytes]:
        try:
            folder = self._opened(name, _DIRECTORY)
            try:
                entries = sorted(os.listdir(folder))
            finally:
                os.close(folder)
        except OSError as error:
            raise UsageError(f"{os.path.join(self._root, name)}: {error.strerror}") from None
        for entry in entries:
            yield from self._member(f"{name}/{entry}" if name else entry, depth)

    def _member(self, name: str, depth: int) -> Iterator[bytes]:
        path = os.path.join(self._root, name)
        # What is sealed here shall be unpacked here.
        self._members += 1
        if self._members > _MEMBERS:
            raise UsageError(f"{self._root}: more than {_MEMBERS:,} files and directories")
        if depth >= _DEPTH:
            raise UsageError(f"{path}: more than {_DEPTH - 1} directories deep")
        try:
            mode = os.lstat(path).st_mode
            if stat.S_ISDIR(mode):
                yield _header(name, tarfile.DIRTYPE, 0o755, 0)
                yield from self._directory(name, depth + 1)
            elif stat.S_ISLNK(mode):
                yield from self._file(name, self._inside(path))
            else:
                yield from self._file(name, name)
        except OSError as error:
            raise UsageError(f"{path}: {error.strerror}") from None

    def _inside(self, path: str) -> str:
        target = os.path.realpath(path)
        if os.path.commonpath([target, self._root]) != self._root:
            raise UsageError(f"{path}: a link that leaves the directory; put a copy in its place (cp -rL does)")
        if os.path.isdir(target):
            raise UsageError(f"{path}: a link to a directory; put a copy in its place (cp -rL does)")
        return os.path.relpath(target, self._root)

    def _opened(self, name: str, flags: int) -> int:
        """What is called so in the directory, by way of no link, which could have come into a place meanwhile."""
        here = os.open(self._root, _DIRECTORY)
        parts = name.split("/") if name else []
        for place, part in enumerate(parts, 1):
            try:
                inner = os.open(part, flags if place == len(parts) else _DIRECTORY, dir_fd=here)
            finally:
                os.close(here)
            here = inner
        return here

    def _file(self, name: str, content: str) -> Iterator[bytes]:
        """The member `name` with what is in the file `content`; both are paths in the directory."""
        path = os.path.join(self._root, content)
        # Without waiting, as a pipe that nobody writes to would make it.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
        with os.fdopen(self._opened(content, flags), "rb", buffering=0) as file:
            before = os.fstat(file.fileno())
            if not stat.S_ISREG(before.st_mode):
                raise UsageError(f"{path}: neither a file nor a directory, and cannot be sealed with the rest")
            yield _header(name, tarfile.REGTYPE, 0o755 if before.st_mode & stat.S_IXUSR else 0o644, before.st_size)
            left = before.st_size
            while left:
                part = file.read(min(left, _PART))
                if not part:
                    break
                left -= len(part)
                yield part
            after = os.fstat(file.fileno())
            if left or (after.st_size, after.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
                raise UsageError(f"{path}: changed while it was read")
        yield bytes(-before.st_size % _BLOCK)


def _header(name: str, kind: bytes, mode: int, size: int) -> bytes:
    member = tarfile.TarInfo(name)
    member.type, member.mode, member.size = kind, mode, size
    return member.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


@contextlib.contextmanager
def unpacking(path: str) -> Iterator[BinaryIO]:
    """A directory that is made of the archive that is written; when the block ends without an error, it has its name.

    Raises `UsageError` where the name is taken or cannot be written, and `Refused` for an archive that is none, breaks
    off, or holds anything but plain files and directories with names inside it, each once.
    """
    target = os.path.abspath(path)
    if os.path.lexists(target):
        raise UsageError(f"{path}: is there already")
    draft = f"{target}.{os.urandom(6).hex()}.part"
    try:
        os.mkdir(draft)
        try:
            mode = stat.S_IMODE(os.stat(draft).st_mode)
            os.chmod(draft, stat.S_IRWXU)
            with _Unpacked(draft) as unpacked:
                yield cast("BinaryIO", unpacked)
                unpacked.finish()
            os.chmod(draft, mode)
            os.rename(draft, target)
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror}") from None


class _Unpacked(io.RawIOBase):
    """Takes an archive in parts of any size."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._block = b""
        self._file: BinaryIO | None = None
        self._left = 0
        self._padding = 0
        self._extended: bytearray | None = None
        self._kind = b""
        self._records: dict[str, str] = {}
        self._members = 0
        self._ended = False
        self._lock = threading.Lock()
        """Held while something is written, so that nothing is any more once `close` has returned."""

    def writable(self) -> bool:
        return True

    def write(self, data: "ReadableBuffer", /) -> int:
        with memoryview(data) as given, self._lock:
            rest = given
            while rest:
                if self.closed:
                    raise ValueError("closed")
                rest = rest[self._taken(rest) :]
            return given.nbytes

    def _taken(self, data: memoryview) -> int:
        """Use some bytes of a member, of what pads it, or of a header; how many."""
        if self._ended:
            if data.tobytes().strip(b"\0"):
                raise Refused("something follows the archive in it")
            return len(data)
        if self._left:
            size = min(self._left, len(data))
            if self._file is not None:
                write_all(self._file, data[:size])
            elif self._extended is not None:
                self._extended += data[:size]
            self._left -= size
            if not self._left:
                self._close()
            return size
        if self._padding:
            size = min(self._padding, len(data))
            self._padding -= size
            return size
        size = min(_BLOCK - len(self._block), len(data))
        self._block += bytes(data[:size])
        if len(self._block) == _BLOCK:
            block, self._block = self._block, b""
            self._begin(block)
        return size

    def _begin(self, block: bytes) -> None:
        if not block.strip(b"\0"):
            self._ended = True
            return
        try:
            member = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        except tarfile.HeaderError:
            raise Refused("what is sealed is no tar archive, or a broken one") from None
        if member.type in _EXTENDED:
            if not 0 < member.size <= _RECORDS or self._records:
                raise Refused("the archive in it has an extended header that is not taken")
            self._extended, self._kind = bytearray(), member.type
            self._left, self._padding = member.size, -member.size % _BLOCK
            return
        self._members += 1
        if self._members > _MEMBERS:
            raise Refused(f"the archive in it has more than {_MEMBERS} members")
        name = self._records.get("path", member.name)
        size = int(self._records.get("size", member.size))
        self._records = {}
        if member.type == tarfile.DIRTYPE and not size:
            name = name.rstrip("/")
            if name != ".":  # as tar calls the directory itself
                self._make(name)
        elif member.type in (tarfile.REGTYPE, tarfile.AREGTYPE) and size >= 0 and not name.endswith("/"):
            self._open(name, executable=bool(member.mode & stat.S_IXUSR))
            self._left, self._padding = size, -size % _BLOCK
            if not size:
                self._close()
        else:
            raise Refused(f"{name!r} in it is neither a plain file nor a directory")

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
        elif self._extended is not None:
            self._records = _EXTENDED[self._kind](bytes(self._extended))
            self._extended = None

    def _make(self, name: str) -> None:
        with self._place(name) as (parent, last), _once(name):
            os.mkdir(last, 0o777, dir_fd=parent)

    def _open(self, name: str, *, executable: bool) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        with self._place(name) as (parent, last), _once(name):
            descriptor = os.open(last, flags, 0o777 if executable else 0o666, dir_fd=parent)
            self._file = cast("BinaryIO", io.FileIO(descriptor, "wb"))

    @contextlib.contextmanager
    def _place(self, name: str) -> Iterator[tuple[int, str]]:
        """The directory that a member goes into, which is made if it is not there, and its name in it."""
        parts = name.removeprefix("./").split("/")
        if len(parts) > _DEPTH or any(part in ("", ".", "..") or "\0" in part or len(part) > 255 for part in parts):
            raise Refused(f"{name[:200]!r} in it is no name inside a directory")
        here = os.open(self._directory, _DIRECTORY)
        try:
            for part in parts[:-1]:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(part, 0o777, dir_fd=here)
                try:
                    inner = os.open(part, _DIRECTORY, dir_fd=here)
                except NotADirectoryError:
                    raise Refused(f"{name!r} in it lies in a file") from None
                os.close(here)
                here = inner
            yield here, parts[-1]
        finally:
            os.close(here)

    def finish(self) -> None:
        if not self._ended:
            raise Refused("the archive in it breaks off")

    def close(self) -> None:
        super().close()
        with self._lock:
            if self._file is not None:
                self._file.close()
                self._file = None


@contextlib.contextmanager
def _once(name: str) -> Iterator[None]:
    try:
        yield
    except FileExistsError:
        raise Refused(f"{name!r} is in it twice") from None


def _records(data: bytes) -> dict[str, str]:
    """The name and the size in an extended header: lines of `length key=value`. Raises `Refused`."""
    found = {}
    while data:
        length, _, _ = data.partition(b" ")
        if not length.isdigit() or len(length) > 6 or not len(length) + 3 < int(length) <= len(data):
            raise Refused("the archive in it has a malformed extended header")
        key, _, value = data[len(length) + 1 : int(length) - 1].partition(b"=")
        if key == b"path":
            found["path"] = value.decode("utf-8", "surrogateescape")
        elif key == b"size":
            if not value.isdigit() or len(value) > 18:
                raise Refused("the archive in it has a malformed extended header")
            found["size"] = value.decode()
        elif key.startswith(b"GNU.sparse."):
            raise Refused("the archive in it has sparse files, which are not unpacked")
        data = data[int(length) :]
    return found


def _long_name(data: bytes) -> dict[str, str]:
    """The name in a header of GNU tar for a name that is longer than its place."""
    return {"path": data.partition(b"\0")[0].decode("utf-8", "surrogateescape")}


_EXTENDED = {tarfile.XHDTYPE: _records, tarfile.GNUTYPE_LONGNAME: _long_name}
"""What tells more about the member that follows."""
