"""Reads a log for people: what it says, not whether it verifies."""

import os
from collections.abc import Iterator
from fnmatch import fnmatchcase

import msgspec

from garrison.core.errors import UsageError
from garrison.core.files import regular_file
from garrison.serving.record import lines, segments
from garrison.serving.record.entries import AnyEntry, CallEntry, IncidentEntry
from garrison.serving.record.lines import Broken


class Criteria(msgspec.Struct, frozen=True, kw_only=True):
    """What is looked for. Patterns are those of shells; one that is given leaves out lines that have no such thing."""

    principal: str = ""
    model: str = ""
    refused: str = ""
    incidents: bool = False
    """Incidents only."""
    since: float = float("-inf")
    until: float = float("inf")
    """Seconds since 1970; the moment itself is left out."""

    def meets(self, entry: AnyEntry) -> bool:
        if not self.since <= entry.time < self.until:
            return False
        if self.incidents and not isinstance(entry, IncidentEntry):
            return False
        if self.principal and not fnmatchcase(getattr(entry, "principal", ""), self.principal):
            return False
        if self.model and not fnmatchcase(getattr(entry, "model", ""), self.model):
            return False
        if not self.refused:
            return True
        return isinstance(entry, CallEntry) and bool(entry.refused) and fnmatchcase(entry.refused, self.refused)


class Unread(msgspec.Struct, frozen=True, kw_only=True):
    """A line that is none of a log, or of a kind that is not known here."""

    file: str
    line: int


_DECODER = msgspec.json.Decoder(AnyEntry)


def read(path: str, criteria: Criteria) -> Iterator[tuple[int, bytes, AnyEntry] | Unread]:
    """The number, the bytes and the meaning of every line of a log, or of one segment, that meets the criteria.

    Raises `UsageError` for what cannot be read.
    """
    files = [file for _, file in segments.listed(path)] if os.path.isdir(path) else [path]
    if not files:
        raise UsageError(f"{path}: there is no audit log in it")
    for one in files:
        with regular_file(one) as raw, open(raw.fileno(), "rb", closefd=False) as file:
            number = 0
            try:
                for line, _ in lines.read(file):
                    number += 1
                    try:
                        n, entry = lines.head(line).n, _DECODER.decode(line)
                    except (Broken, msgspec.DecodeError, UnicodeDecodeError):
                        yield Unread(file=one, line=number)
                        continue
                    if criteria.meets(entry):
                        yield n, line, entry
            except Broken:
                yield Unread(file=one, line=number + 1)
