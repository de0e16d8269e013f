"""API keys in use: looked up by their digest, read again when their file changes."""

import hashlib
import hmac
import os
import time
from collections.abc import Callable

from garrison.core.errors import UsageError
from garrison.serving.authenticate.key_file import Key, read
from garrison.serving.calls import Principal

_LOOK = 1.0
"""Seconds between two looks at whether the file has changed."""


class KeyRing:
    """The keys of one file. What was good stays so while the file cannot be read, and that is said."""

    def __init__(
        self,
        path: str,
        *,
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        unreadable: Callable[[str], None] = lambda why: None,
    ) -> None:
        """`unreadable` is told once when a file that was good is so no more. Raises `UsageError`."""
        self._path = path
        self._wall = wall
        self._monotonic = monotonic
        self._unreadable = unreadable
        self._seen = _identity(path)
        self._keys = _by_digest(read(path))
        self._principals: dict[str, Principal] = {}
        self._looked = monotonic()

    def find(self, text: str) -> tuple[Principal, Key] | None:
        """Who has a key; `None` for one that is not there or is not good now, without a difference in time."""
        if self._monotonic() - self._looked >= _LOOK:
            self._look()
        digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
        key = self._keys.get(digest)
        # The dictionary compares digests: who would learn from its time how alike they are can choose no digest.
        if key is None or not hmac.compare_digest(key.sha256, digest) or not key.good(self._wall()):
            return None
        principal = self._principals.get(digest)
        if principal is None:
            principal = self._principals[digest] = Principal(
                name=key.principal, roles=key.roles, tenant=key.tenant, attributes=key.attributes, method="key"
            )
        return principal, key

    def _look(self) -> None:
        self._looked = self._monotonic()
        seen = _identity(self._path)
        if seen == self._seen:
            return
        self._seen = seen
        try:
            keys = _by_digest(read(self._path))
        except UsageError as error:
            self._unreadable(str(error))
            return
        self._keys, self._principals = keys, {}


def _by_digest(keys: list[Key]) -> dict[str, Key]:
    return {key.sha256: key for key in keys}


def _identity(path: str) -> tuple[int, ...]:
    try:
        found = os.stat(path)
    except OSError:
        return ()
    return found.st_ino, found.st_mtime_ns, found.st_size
