"""What every ecosystem's way of ordering versions offers."""

import abc
import functools
from typing import Any


class InvalidVersion(ValueError):
    """The ecosystem's own tool would not take this for a version."""


class UnknownEcosystem(InvalidVersion):
    """No scheme is known, so that no two different versions can be compared."""


class Scheme(abc.ABC):
    """One ecosystem's order of versions. Keys are only comparable with keys of the same scheme."""

    def __init__(self) -> None:
        # Advisories name the same bounds over and over.
        self.key = functools.lru_cache(maxsize=1 << 16)(self._key)

    @abc.abstractmethod
    def _key(self, version: str) -> Any:
        """What orders the version among others; `key` remembers it. Raises `InvalidVersion`."""

    def is_prerelease(self, version: str) -> bool:
        """Whether an installer would pass it over unless told otherwise; operating systems know no such thing."""
        return False

    def comparable(self, version: str) -> str:
        """The version without what does not count when it is held against a bound that lacks it."""
        return version
