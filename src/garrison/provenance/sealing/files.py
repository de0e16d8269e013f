"""Files to read, and files that appear whole, once all that belongs in them is known to be good, or not at all.

Until then the file has no name, where the file system has such files (`O_TMPFILE`), so that not even a process that is
killed leaves a part of it. When it reaches the disk is left to the system, as `cp` and `age` do: waiting for that takes
longer than all the rest.
"""

import contextlib
import errno
import io
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO, cast

from garrison.core.errors import UsageError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_MODE = 0o666
"""Less what the user's umask takes away."""
_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS)
"""What file systems without hard links answer."""


class _Input(io.FileIO):
    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        try:
            return super().readinto(buffer)
        except OSError as error:  # told apart from what goes wrong while the result is written
            raise UsageError(f"{self.name}: cannot be read: {error.strerror}") from None


def opened(path: str) -> BinaryIO:
    """A file to read. Raises `UsageError`, and later too, when reading fails."""
    try:
        return cast("BinaryIO", io.BufferedReader(_Input(path)))
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None


@contextlib.contextmanager
def appearing(path: str, *, force: bool) -> Iterator[BinaryIO]:
    """A file to write; when the block ends without an error, it has its name.

    A file that has the name already, or got it in the meantime, stays, unless `force` is set; then the target of a link
    is what is replaced. What is no regular file (a device, a pipe) is written as it is. Raises `UsageError`.
    """
    if os.path.isdir(path):
        raise UsageError(f"{path}: is a directory")
    if os.path.exists(path) and not os.path.isfile(path):  # asked of the path: what /dev/stdout is has no other
        with _said(path), open(path, "wb", buffering=0) as special:
            yield cast("BinaryIO", special)
        return
    if os.path.lexists(path) and not force:
        raise _there(path)
    target = os.path.realpath(path)
    with _said(path):
        directory = os.open(os.path.dirname(target), os.O_RDONLY | os.O_DIRECTORY)
        try:
            with _draft(directory, os.path.basename(target), force=force) as file:
                yield file
        except FileExistsError:
            raise _there(path) from None
        finally:
            os.close(directory)


@contextlib.contextmanager
def _draft(directory: int, name: str, *, force: bool) -> Iterator[BinaryIO]:
    """A new file in the directory that is called `name` afterwards. Raises `FileExistsError` if it cannot be."""
    spare = f"{name[:200]}.{os.urandom(6).hex()}.part"
    try:
        descriptor, draft = _nameless(directory), ""
    except (OSError, AttributeError):
        flags = os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_WRONLY
        descriptor, draft = os.open(spare, flags, _MODE, dir_fd=directory), spare
    try:
        with open(descriptor, "wb", buffering=0) as file:
            yield cast("BinaryIO", file)
            if force and not draft:
                _link(f"/proc/self/fd/{descriptor}", spare, directory)
                draft = spare
            if not force:
                try:
                    _link(draft or f"/proc/self/fd/{descriptor}", name, directory)
                    return
                except OSError as error:
                    if error.errno not in _NO_LINKS or not draft:
                        raise
                    # The name was free when the work began; this file system cannot do more.
            os.rename(draft, name, src_dir_fd=directory, dst_dir_fd=directory)
            draft = ""
    finally:
        if draft:
            with contextlib.suppress(OSError):
                os.unlink(draft, dir_fd=directory)


def _nameless(directory: int) -> int:
    """Raises `OSError`, or `AttributeError`, where there are no such files, or no way to give them a name."""
    if not os.path.isdir("/proc/self/fd"):
        raise OSError(errno.EOPNOTSUPP, "no /proc")
    return os.open(".", os.O_TMPFILE | os.O_WRONLY, _MODE, dir_fd=directory)


def _link(source: str, name: str, directory: int) -> None:
    # With a descriptor of the directory, Python asks for `linkat`, which goes on from /proc to the file itself.
    os.link(source, name, src_dir_fd=directory, dst_dir_fd=directory, follow_symlinks=True)


@contextlib.contextmanager
def _said(path: str) -> Iterator[None]:
    """Say which file could not be written."""
    try:
        yield
    except FileExistsError:
        raise
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror}") from None


def _there(path: str) -> UsageError:
    return UsageError(f"{path}: is there already; --force replaces it")
