"""Files that are read within bounds, and files that are written whole or not at all."""

import contextlib
import os
import stat
from collections.abc import Iterator
from typing import IO

from garrison.core.errors import UsageError


def contents(path: str, most: int) -> bytes:
    """All of a file. Raises `UsageError` for one that cannot be read, or that has more than `most` bytes."""
    try:
        with open(path, "rb") as file:
            data = file.read(most + 1)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    if len(data) > most:
        raise UsageError(f"{path}: more than {most:,} bytes")
    return data


def regular_file(path: str) -> IO[bytes]:
    """A regular file, open for reading, without waiting at what is none. Raises `UsageError`."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: {getattr(error, 'strerror', None) or error}") from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise UsageError(f"{path}: not a regular file")
    return open(descriptor, "rb", buffering=0)


@contextlib.contextmanager
def replacing(path: str) -> Iterator[IO[bytes]]:
    """A file to write, which takes the place of what is at `path` once the block has ended without an error.

    It is on the disk before it has the name. Raises `OSError`.
    """
    # Not after the name, which may be as long as names can be.
    draft = os.path.join(os.path.dirname(path), f".{os.urandom(8).hex()}.part")
    try:
        with open(draft, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(draft)
        raise
