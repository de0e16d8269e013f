"""Looks for personal data in a text."""

import functools
import os
import re
from collections.abc import Collection, Iterator

import msgspec

from garrison.core.errors import UsageError
from garrison.serving.screen.personal.checks import CHECKS


class Kind(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: str
    what: str
    pattern: str
    anchor: str = ""
    """A text that must be there before the pattern is tried."""
    check: str = ""
    """Of `checks.CHECKS`."""


@functools.cache
def kinds() -> dict[str, Kind]:
    """All that is looked for, by id."""
    with open(os.path.join(os.path.dirname(__file__), "kinds.json"), "rb") as file:
        return {kind.id: kind for kind in msgspec.json.decode(file.read(), type=list[Kind])}


class PersonalData:
    """Looks for some kinds."""

    def __init__(self, wanted: Collection[str] = ()) -> None:
        """Raises `UsageError` for a kind that there is not."""
        if unknown := set(wanted) - kinds().keys():
            raise UsageError(f"no kind of personal data named {sorted(unknown)[0]!r}; there are {', '.join(kinds())}")
        self._kinds = [
            (kind, re.compile(rf"(?<![\w+.-])(?:{kind.pattern})(?![\w-])", re.ASCII), CHECKS.get(kind.check))
            for kind in kinds().values()
            if not wanted or kind.id in wanted
        ]

    def find(self, text: str) -> Iterator[Kind]:
        """The kinds that are in a text, each once. Time is linear in its length."""
        for kind, pattern, check in self._kinds:
            if kind.anchor and kind.anchor not in text:
                continue
            if any(check is None or check(match[0]) for match in pattern.finditer(text)):
                yield kind
