"""Which versions of models have been seen here, so that an older one is told from the newest.

A signature says that somebody signed a model once, and an older model stays signed for good. Whoever remembers the
highest version that was let through refuses what comes after it with a lower one.
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator

import msgspec

from garrison.core.errors import UsageError
from garrison.core.files import replacing
from garrison.provenance.attestations.predicates import Version
from garrison.provenance.strict_json import decoded
from garrison.provenance.trust import Refused

_BYTES = 16 << 20


def remember(version: Version, path: str) -> None:
    """Remember a version of a model in the file at `path`, which is made if it is not there.

    Of several processes that do so one waits for the other. Raises `Refused` if a higher version of the model was seen
    before, or if what was seen cannot be read; `UsageError` if it cannot be written.
    """
    try:
        with _alone(path):
            seen = _seen(path)
            highest = seen.get(version.name, 0)
            if version.version < highest:
                raise Refused(
                    f"version {version.version} of {version.name!r} is older than version {highest}, which was here"
                )
            if version.version > highest:
                with replacing(path) as file:
                    file.write(
                        msgspec.json.format(msgspec.json.encode({**seen, version.name: version.version})) + b"\n"
                    )
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror}") from None


def highest(name: str, path: str) -> int:
    """The highest version of a model that was seen; 0 where none was. Raises `Refused` if that cannot be told."""
    try:
        return _seen(path).get(name, 0)
    except OSError as error:
        raise Refused(f"{path}: what was seen cannot be read: {error.strerror}") from None


@contextlib.contextmanager
def _alone(path: str) -> Iterator[None]:
    with open(f"{path}.lock", "ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _seen(path: str) -> dict[str, int]:
    if not os.path.lexists(path):
        return {}
    # Without waiting for whoever would write into a pipe.
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        return decoded(file.read(_BYTES + 1), dict[str, int], "seen versions", most=_BYTES)
