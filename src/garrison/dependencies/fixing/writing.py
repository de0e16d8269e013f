"""Writes a changed file whole or not at all, in place of the very one that was read."""

import contextlib
import os

from garrison.core.errors import UsageError


def replace(path: str, expected: bytes, data: bytes) -> None:
    """Put `data` in the place of the file, with its permissions and owner; a link's target is what changes.

    Raises `UsageError` when it holds something else than `expected` by now, or cannot be written.
    """
    target = os.path.realpath(path)
    draft = f"{target}.{os.getpid()}.part"
    try:
        state = os.stat(target)
        with open(draft, "xb") as file:
            file.write(data)
            file.flush()
            os.fchmod(file.fileno(), state.st_mode & 0o7777)
            with contextlib.suppress(PermissionError):
                os.fchown(file.fileno(), state.st_uid, state.st_gid)
            os.fsync(file.fileno())
        with open(target, "rb") as current:
            if current.read() != expected:
                raise UsageError(f"{path}: changed while it was worked on, so it was left; run again")
        os.replace(draft, target)
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror}") from None
    finally:
        with contextlib.suppress(OSError):
            os.unlink(draft)
