"""The report: what every command that examines something ends in."""

import datetime

import msgspec

from garrison.core.facts import AnyFact, CoverageState
from garrison.core.findings import Check, Finding
from garrison.core.policy import Decision

SCHEMA_VERSION = "1.3"
"""Of the JSON report: the minor number grows with additions, the major with anything that could break a reader."""


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """One subject of the inventory."""

    subject: str
    """The path as given, joined by `!/` into containers."""
    formats: tuple[str, ...]
    """All formats that its bytes are, the surest first; empty where none is known."""
    size: int | None = None
    """Bytes; absent where it is not known without unpacking."""
    sha256: str | None = None
    """Of the bytes, in hexadecimal; only when digests were asked for."""
    facts: tuple[AnyFact, ...] = ()
    """What its bytes do and hold, unjudged."""


class CoverageEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A subject that was not examined to its end."""

    subject: str
    state: CoverageState
    """How far it was examined."""
    reason: str
    """Why no further."""


class Coverage(msgspec.Struct, frozen=True, kw_only=True):
    """How much was examined. "No findings" and "not examined" never look alike."""

    examined: int
    """Subjects examined to their end."""
    not_understood: int
    """Subjects of no known format."""
    failed: int
    """Subjects on which the examination broke off, partly examined ones included."""
    skipped: int
    """Subjects left out on purpose, by policy or since they are no regular files."""
    interrupted: bool = False
    """Whether the scan was stopped before its end."""
    entries: tuple[CoverageEntry, ...] = ()
    """Each subject that was not examined to its end."""


class Tool(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    version: str


class Report(msgspec.Struct, frozen=True, kw_only=True):
    schema_version: str
    """The minor number grows with additions, the major with anything that could break a reader."""
    tool: Tool
    """What wrote the report: `name` and `version`."""
    started: datetime.datetime
    """UTC."""
    seconds: float
    """How long it took."""
    subjects: tuple[str, ...]
    """What was asked for, as given; bytes that are no UTF-8 appear as escapes."""
    inventory: tuple[Item, ...]
    """Each subject that was looked at: what it is and what it does."""
    findings: tuple[Finding, ...]
    """Grouped by subject, the worst subject first, and the worst finding first in each."""
    coverage: Coverage
    """How much was examined."""
    checks: tuple[Check, ...] = ()
    """What detectors checked against data from elsewhere, how much of it, and how old the data is."""
    decision: Decision
    """Whether policy lets it through, and why not."""
    notes: tuple[str, ...] = ()
    """What a careful reader should know of how the scan ran, such as a jail that the system could not give."""
