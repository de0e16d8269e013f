"""The directory of a log: its segments, and the lock of the one guard that writes them."""

import contextlib
import errno
import fcntl
import os
import re

from garrison.core.errors import UsageError

_NAME = re.compile(r"audit-([0-9]{6,12})\.jsonl\Z")
_DRAFT = ".audit.part"


def name(number: int) -> str:
    return f"audit-{number:06d}.jsonl"


def number(path: str) -> int | None:
    """The number in a segment's name; `None` for other files."""
    found = _NAME.match(os.path.basename(path))
    if found is None or name(int(found[1])) != os.path.basename(path):
        return None
    return int(found[1])


def listed(directory: str) -> list[tuple[int, str]]:
    """The segments, by number. Raises `UsageError` for a directory that cannot be read."""
    try:
        names = os.listdir(directory)
    except OSError as error:
        raise UsageError(f"{directory}: {error.strerror}") from None
    found = ((number(one), os.path.join(directory, one)) for one in names)
    return sorted((which, path) for which, path in found if which is not None)


def lock(directory: str) -> int:
    """Make the directory where it is not there, and hold its lock: a descriptor to close when done.

    Raises `UsageError`, for a log that another guard writes, too.
    """
    try:
        os.makedirs(directory, mode=0o700, exist_ok=True)
        held = os.open(os.path.join(directory, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise UsageError(f"{directory}: the audit log cannot be written: {error.strerror}") from None
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(held)
        raise UsageError(
            f"{directory}: another guard writes this audit log; give each a directory of its own"
        ) from None
    return held


def is_written(directory: str) -> bool:
    """Whether a guard writes the log now."""
    try:
        held = os.open(os.path.join(directory, "lock"), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(held, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(held)
    return False


def create(directory: str, number: int, first: bytes) -> int:
    """A new segment that appears with its first line in it: a descriptor that appends. Raises `OSError`."""
    draft = os.path.join(directory, _DRAFT)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(draft)
    made = os.open(draft, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        data = first + b"\n"
        if os.write(made, data) != len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(made)
        place = os.path.join(directory, name(number))
        if os.path.lexists(place):
            raise FileExistsError(errno.EEXIST, f"{place}: is there already")
        os.rename(draft, place)  # and no link, which not every file system has; the lock keeps others away
    except BaseException:
        os.close(made)
        with contextlib.suppress(OSError):
            os.unlink(draft)
        raise
    return made


def sync(directory: str) -> None:
    """Have the disk know the names in a directory. Raises `OSError`."""
    opened = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
