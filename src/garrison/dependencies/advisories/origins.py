"""Where advisories come from: what was named, or the usual sources."""

import difflib
import functools
import os
from collections.abc import Iterable
from urllib.parse import quote

import msgspec

from garrison.core.errors import UsageError
from garrison.dependencies.advisories.fetching import Address, address, is_url


class _Sources(msgspec.Struct, frozen=True):
    export: str
    usual: tuple[str, ...]
    others: tuple[str, ...]
    ranks: tuple[str, ...]


class Origin(msgspec.Struct, frozen=True):
    """One place that advisories or ranks are taken from."""

    name: str
    """The absolute path, or the address without credentials: what the database knows the source by."""
    place: Address | None = None
    """Where to fetch it; `None` for what lies on this machine."""
    sha256: str = ""
    """The digest that the file must have."""
    given: str = ""
    """What it was named by, without credentials."""

    @property
    def shown(self) -> str:
        """For a person."""
        return self.given or self.name


@functools.cache
def _sources() -> _Sources:
    with open(os.path.join(os.path.dirname(__file__), "sources.json"), "rb") as file:
        return msgspec.json.decode(file.read(), type=_Sources)


def ecosystems() -> tuple[str, ...]:
    """Those that can be asked for; the usual ones come first."""
    return _sources().usual + _sources().others


def usual_origins(names: Iterable[str] = ()) -> list[Origin]:
    """OSV's exports of some ecosystems, by default the usual ones, and the ranks. Raises `UsageError`."""
    wanted = list(dict.fromkeys(names)) or list(_sources().usual)
    lower = {name.lower(): name for name in ecosystems()}
    for name in wanted:
        if name.lower() not in lower:
            close = difflib.get_close_matches(name.lower(), lower, 1)
            hint = f"did you mean {lower[close[0]]!r}?" if close else f"there are {', '.join(ecosystems())}"
            raise UsageError(f"no ecosystem named {name!r}; {hint}")
    exports = [_sources().export.format(ecosystem=quote(lower[name.lower()])) for name in wanted]
    return [Origin(url, Address(url)) for url in (*exports, *_sources().ranks)]


def named_origins(texts: Iterable[str], sha256: str = "") -> list[Origin]:
    """Files, directories and addresses that somebody names. Raises `UsageError`."""
    found = [_named(text, sha256.lower()) for text in dict.fromkeys(texts)]
    if sha256 and (len(sha256) != 64 or not all(digit in "0123456789abcdef" for digit in sha256.lower())):
        raise UsageError("a SHA-256 has 64 hexadecimal digits")
    if sha256 and (len(found) != 1 or os.path.isdir(found[0].name)):
        raise UsageError("a SHA-256 belongs to exactly one file or address")
    return found


def _named(text: str, sha256: str) -> Origin:
    if is_url(text):
        place = address(text)
        return Origin(place.url, place, sha256)
    if not os.path.exists(text):
        raise UsageError(f"{text}: no such file or directory")
    if not os.path.isdir(text) and not os.path.isfile(text):
        raise UsageError(f"{text}: neither a file nor a directory")
    return Origin(os.path.abspath(text), None, sha256, text)
