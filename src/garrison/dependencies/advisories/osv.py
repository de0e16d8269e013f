"""Reads advisories as OSV publishes them, in JSON or in YAML.

What is missing or null where the schema allows it is nothing; what cannot be an advisory is a `BrokenEntry`.

Source: the OSV schema 1.7 (https://ossf.github.io/osv-schema/); the "malicious packages" of the OpenSSF, whose ids
begin with `MAL-`.
"""

import datetime
import re
from typing import Any

import msgspec

from garrison.dependencies.advisories import cvss
from garrison.dependencies.advisories.advisory import EVENTS, Advisory, Affected, Range, Reference, Vector

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:+-]{0,127}").fullmatch
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")
_NAME_LENGTH = 1000
_SUMMARY_LENGTH = 300
_REFERENCES = 40
_RATINGS = {
    "critical": "critical",
    "high": "high",
    "important": "high",
    "moderate": "medium",
    "medium": "medium",
    "low": "low",
    "negligible": "low",
    "unimportant": "low",
    "none": "none",
}
"""Words of publishers: GitHub, Red Hat, Ubuntu, Debian."""
_RANKS = ("none", "low", "medium", "high", "critical")


class BrokenEntry(ValueError):
    """The entry is no advisory; says why."""


class _Package(msgspec.Struct):
    ecosystem: str = ""
    name: str = ""


class _Range(msgspec.Struct):
    type: str = ""
    events: list[dict[str, str | None]] | None = None


class _Severity(msgspec.Struct):
    type: str = ""
    score: str = ""


class _Reference(msgspec.Struct):
    type: str = "WEB"
    url: str = ""


class _Affected(msgspec.Struct):
    package: _Package | None = None
    ranges: list[_Range] | None = None
    versions: list[str] | None = None
    severity: list[_Severity] | None = None
    ecosystem_specific: Any = None
    database_specific: Any = None


class _Head(msgspec.Struct):
    id: str
    modified: str


class _Document(_Head):
    published: str | None = None
    withdrawn: str | None = None
    aliases: list[str] | None = None
    upstream: list[str] | None = None
    related: list[str] | None = None
    summary: str | None = None
    details: str | None = None
    severity: list[_Severity] | None = None
    affected: list[_Affected] | None = None
    references: list[_Reference] | None = None
    database_specific: Any = None


_YAML_HEAD = re.compile(rb"^(id|modified): *[\"']?([^\s\"'#&*|>]+)[\"']?[ \t]*\r?$", re.MULTILINE)
"""In a block mapping, what stands in the first column is a key of the document itself."""

_head = msgspec.json.Decoder(_Head).decode
_document = msgspec.json.Decoder(_Document).decode


def head(data: bytes) -> tuple[str, datetime.datetime]:
    """Id and date of modification of a JSON document, without reading the rest. Raises `BrokenEntry`."""
    try:
        found = _head(data)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise BrokenEntry(_reason(error)) from None
    return _checked_id(found.id), date_of(found.modified)


def yaml_head(data: bytes) -> tuple[str, datetime.datetime] | None:
    """The same of a YAML document; `None` where it takes reading it all."""
    found = _YAML_HEAD.findall(data)
    if sorted(key for key, _ in found) != [b"id", b"modified"]:
        return None
    values = {key: value.decode("ascii", "replace") for key, value in found}
    try:
        return _checked_id(values[b"id"]), date_of(values[b"modified"])
    except BrokenEntry:
        return None


def from_json(data: bytes) -> tuple[Advisory, tuple[Affected, ...]]:
    """The advisory in a JSON document, and what it says of each package. Raises `BrokenEntry`."""
    try:
        document = _document(data)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise BrokenEntry(_reason(error)) from None
    return _converted(document)


def from_value(value: object) -> tuple[Advisory, tuple[Affected, ...]]:
    """The same from plain values, as YAML gives them."""
    try:
        document = msgspec.convert(value, _Document)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise BrokenEntry(_reason(error)) from None
    return _converted(document)


def _reason(error: Exception) -> str:
    return "nested too deeply" if isinstance(error, RecursionError) else str(error)


def _checked_id(name: str) -> str:
    if not _ID(name):
        raise BrokenEntry(f"{name[:100]!r} is no id of an advisory")
    return name


def date_of(text: str) -> datetime.datetime:
    """A moment as ISO 8601 writes it, in UTC. Raises `BrokenEntry`."""
    try:
        date = datetime.datetime.fromisoformat(text)
        return date.astimezone(datetime.UTC) if date.tzinfo else date.replace(tzinfo=datetime.UTC)
    except (ValueError, OverflowError):
        raise BrokenEntry(f"{text[:100]!r} is no date") from None


def _optional_date(text: str | None) -> datetime.datetime | None:
    """A date that decides nothing may be odd; that there is a withdrawal counts, whatever its date."""
    try:
        return date_of(text) if text else None
    except BrokenEntry:
        return datetime.datetime.fromtimestamp(0, datetime.UTC)


def _converted(document: _Document) -> tuple[Advisory, tuple[Affected, ...]]:
    name = _checked_id(document.id)
    affected = tuple(
        _affected(name, entry.package, entry) for entry in document.affected or () if entry.package is not None
    )
    severities = [*(document.severity or ()), *(s for entry in document.affected or () for s in entry.severity or ())]
    vectors = tuple(dict.fromkeys(Vector(s.type[:40], s.score[:400]) for s in severities if s.type and s.score))
    score = cvss.highest(vector.text for vector in vectors)
    aliases = _ids(document.aliases)
    advisory = Advisory(
        id=name,
        modified=date_of(document.modified),
        published=_optional_date(document.published),
        withdrawn=_optional_date(document.withdrawn),
        aliases=aliases,
        upstream=_ids(document.upstream),
        related=_ids(document.related),
        summary=_summary(document),
        severities=vectors,
        score=score,
        rating=cvss.rating(score) if score is not None else _word(document, vectors),
        malicious=any(known.startswith("MAL-") for known in (name, *aliases)),
        references=tuple(
            Reference(reference.type[:20], reference.url)
            for reference in (document.references or ())[:_REFERENCES]
            if reference.url.startswith(("https://", "http://")) and not _CONTROL.search(reference.url)
        ),
        packages=tuple(dict.fromkeys((one.ecosystem, one.name) for one in affected)),
    )
    return advisory, affected


def _ids(names: list[str] | None) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for name in names or () if _ID(name)))


def _affected(advisory: str, package: _Package, entry: _Affected) -> Affected:
    for text in (package.ecosystem, package.name):
        if not text or len(text) > _NAME_LENGTH or _CONTROL.search(text):
            raise BrokenEntry(f"{text[:100]!r} names no package or ecosystem")
    return Affected(
        id=advisory,
        ecosystem=package.ecosystem,
        name=package.name,
        ranges=tuple(_range(one) for one in entry.ranges or ()),
        versions=tuple(entry.versions or ()),
    )


def _range(entry: _Range) -> Range:
    if entry.type == "GIT":
        return Range("GIT")
    events = tuple(
        (kind, version)
        for event in entry.events or ()
        for kind, version in event.items()
        if kind in EVENTS and version is not None
    )
    return Range(entry.type, events)


def _summary(document: _Document) -> str:
    text = " ".join((document.summary or "").split())
    if not text:
        # The details are Markdown: their first paragraph that is no heading.
        paragraphs = (document.details or "")[: 20 * _SUMMARY_LENGTH].split("\n\n")
        lines = ("\n".join(line for line in part.splitlines() if not line.startswith("#")) for part in paragraphs)
        text = next((line for part in lines if (line := " ".join(part.split()))), "")
    if len(text) <= _SUMMARY_LENGTH:
        return text
    cut = text[:_SUMMARY_LENGTH]
    return f"{cut.rpartition(' ')[0] or cut} …"


def _word(document: _Document, vectors: tuple[Vector, ...]) -> str:
    """The worst of the words that the publisher rates it by."""
    words: list[Any] = [vector.text for vector in vectors]
    for specific in (document.database_specific, *_specifics(document)):
        if isinstance(specific, dict):
            words += (specific.get("severity"), specific.get("urgency"), specific.get("ubuntu_priority"))
    known = [_RATINGS[word.lower()] for word in words if isinstance(word, str) and word.lower() in _RATINGS]
    return max(known, key=_RANKS.index, default="")


def _specifics(document: _Document) -> list[Any]:
    return [one for entry in document.affected or () for one in (entry.database_specific, entry.ecosystem_specific)]
