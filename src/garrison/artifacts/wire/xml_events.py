"""XML as a stream of events, read so that nothing in a document can make the reader work more than its own bytes.

No entity is expanded, no external identifier is followed and no default attribute is filled in: a document that
declares entities or default attributes is read to the end of its declarations, which are stated, and no further.

Source: https://www.w3.org/TR/xml/ and https://libexpat.github.io/doc/api/latest/
"""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import msgspec

from garrison.core.errors import LimitExceeded, Malformed
from garrison.core.facts import Anomaly, Reference

if TYPE_CHECKING:
    from garrison.sources.reader import Reader
    from garrison.sources.source import Context

_CHUNK = 1 << 16
_HEAD = 1 << 16
_ROOT = 64 << 20
"""Bytes in which the outermost element begins, and its attributes end."""
_DEPTH = 1000
_ATTRIBUTES = 1000
_EVENTS = 50_000_000
_DECLARED = 20
_SHOWN = 200
_PREDEFINED = re.compile("&(?:amp|lt|gt|quot|apos);")
_XINCLUDE = "http://www.w3.org/2001/XInclude"
_STANDARD_BODIES = ("http://www.dmg.org/", "http://www.w3.org/", "http://www.apple.com/DTDs/", "https://www.w3.org/")
"""Publishers of document types that honest documents name."""


class Start(msgspec.Struct, frozen=True):
    """An element begins."""

    name: str
    """As written, prefix and all; `local` takes the prefix off."""
    attributes: dict[str, str]
    line: int
    depth: int
    """1 for the outermost element."""


class Text(msgspec.Struct, frozen=True):
    """Characters between tags, in pieces of any size."""

    text: str
    line: int


class End(msgspec.Struct, frozen=True):
    """An element ends."""

    name: str
    line: int
    depth: int


Event = Start | Text | End | Anomaly | Reference
"""What reading yields: the document's parts, and facts that an extractor passes on."""


def local(name: str) -> str:
    """A name without its namespace prefix."""
    return name.rpartition(":")[2]


def events(
    reader: "Reader", context: "Context", *, text: bool = True, skip: frozenset[str] = frozenset()
) -> Iterator[Event]:
    """The events of a document, in order; `text=False` leaves character data out, and `skip` the elements of these
    names (not what is inside them).

    Raises `Malformed` where the document breaks off or declares what would have to be expanded, and `LimitExceeded`
    past the limits. What came before stays valid.
    """
    parsing = _Parsing(text, skip=skip)
    size = _CHUNK
    offset = seen = 0
    while True:
        context.check_time()
        data = reader.pread(offset, size)
        offset += len(data)
        last = len(data) < size
        error = parsing.feed(data, last=last)
        # A token longer than what was fed is read again from its start each time: feeding twice as much
        # each time keeps that linear. (Expat before 2.6.0 needs it: CVE-2023-52425.)
        size = _CHUNK if parsing.events else min(size * 2, max(context.limits.buffer, _CHUNK))
        seen += len(parsing.events)
        yield from parsing.events
        parsing.events.clear()
        if error is not None:
            raise error
        if last or parsing.finished:
            return
        if seen > _EVENTS:
            raise LimitExceeded("facts", f"more than {_EVENTS} parts of an XML document")


def root(reader: "Reader") -> str:
    """The name of the outermost element without its prefix; empty where it is no XML, or stands too far behind."""
    if not _begins(reader.pread(0, _HEAD)):
        return ""
    parsing = _Parsing(text=False, root_only=True)
    offset, size = 0, _HEAD
    while offset < _ROOT and (data := reader.pread(offset, size)):
        if parsing.feed(data, last=False) is not None or parsing.root:
            break
        offset += len(data)
        size *= 2
    return local(parsing.root or parsing.doctype)


def _begins(head: bytes) -> bool:
    return head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<") or head.startswith((b"\xff\xfe<\0", b"\xfe\xff\0<"))


class _Stop(Exception):
    """Leaves the parser at the end of what is wanted."""


class _Parsing:
    """One expat parser and what it has said since the last look."""

    def __init__(self, text: bool, *, skip: frozenset[str] = frozenset(), root_only: bool = False) -> None:
        from xml.parsers import expat

        self.events: list[Event] = []
        self.finished = False
        self.root = self.doctype = ""
        self._root_only = root_only
        self._skip = skip
        self._depth = 0
        self._declared = 0
        self._including = False
        self._error = expat.ExpatError
        parser: Any = expat.ParserCreate()
        parser.buffer_text = True
        parser.SetParamEntityParsing(expat.XML_PARAM_ENTITY_PARSING_NEVER)
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.StartDoctypeDeclHandler = self._start_doctype
        parser.EndDoctypeDeclHandler = self._end_doctype
        parser.EntityDeclHandler = self._entity
        parser.AttlistDeclHandler = self._attribute_list
        parser.ProcessingInstructionHandler = self._instruction
        if text:
            parser.CharacterDataHandler = self._text
        self._parser = parser

    def feed(self, data: bytes, *, last: bool) -> Exception | None:
        """Parse on; the error that ends the parsing is returned, since events before it count."""
        try:
            self._parser.Parse(data, last)
        except _Stop:
            self.finished = True
        except (Malformed, LimitExceeded) as error:
            return error
        except (self._error, LookupError, ValueError) as error:
            return Malformed(f"not well-formed XML: {str(error)[:100]}")
        return None

    def _line(self) -> int:
        return int(self._parser.CurrentLineNumber)

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self.root = self.root or name
        if self._root_only:
            raise _Stop
        self._depth += 1
        if self._depth > _DEPTH:
            raise LimitExceeded("depth", f"elements are nested more than {_DEPTH} deep")
        if len(attributes) > _ATTRIBUTES:
            raise LimitExceeded("members", f"an element of {len(attributes)} attributes")
        if name in self._skip:
            return
        line = self._line()
        self.events.append(Start(name, attributes, line, self._depth))
        self._including = self._including or _XINCLUDE in attributes.values()
        if self._including and local(name) == "include" and attributes.get("href"):
            target = attributes["href"]
            self.events.append(Reference(target=target, role="inclusion", detail="XInclude", place=f"line {line}"))

    def _end(self, name: str) -> None:
        if name not in self._skip:
            self.events.append(End(name, self._line(), self._depth))
        self._depth -= 1

    def _text(self, text: str) -> None:
        self.events.append(Text(text, self._line()))

    def _start_doctype(self, name: str, system: str | None, public: str | None, _internal: int) -> None:
        self.doctype = name
        if system:
            role = "schema" if system.startswith(_STANDARD_BODIES) else "document-type"
            self.events.append(Reference(target=system, role=role, detail=public or "", place=f"line {self._line()}"))

    def _end_doctype(self) -> None:
        if self._root_only and self._declared:
            raise _Stop
        if self._declared:
            raise Malformed("the document declares entities or default attributes, which are not expanded")

    def _entity(
        self, name: str, parameter: int, value: str | None, _base: str | None, system: str | None, *_: object
    ) -> None:
        self._declared += 1
        if self._declared > _DECLARED:
            return
        kind = "the parameter entity" if parameter else "the entity"
        place = f"line {self._line()}"
        if system is not None:
            self.events.append(Reference(target=system, role="entity", detail=f"{kind} {name}", place=place))
            detail = f"{kind} {name[:_SHOWN]!r} stands for what is at {system[:_SHOWN]!r}"
            self.events.append(Anomaly(what="xml-external-entity", detail=detail, place=place))
        elif value is not None and "&" in _PREDEFINED.sub("", value):
            detail = f"{kind} {name[:_SHOWN]!r} stands for other entities: {value[:_SHOWN]!r}"
            self.events.append(Anomaly(what="xml-nested-entity", detail=detail, place=place))
        else:
            detail = f"{kind} {name[:_SHOWN]!r} stands for {(value or '')[:_SHOWN]!r}"
            self.events.append(Anomaly(what="xml-entity", detail=detail, place=place))

    def _attribute_list(self, element: str, name: str, _kind: str, default: str | None, _required: int) -> None:
        if default is None:
            return
        self._declared += 1
        if self._declared <= _DECLARED:
            detail = f"{element[:_SHOWN]!r} gets the attribute {name[:_SHOWN]!r} by declaration: {default[:_SHOWN]!r}"
            self.events.append(Anomaly(what="xml-entity", detail=detail, place=f"line {self._line()}"))

    def _instruction(self, target: str, data: str) -> None:
        if target == "xml-stylesheet" and "href" in data:
            after = data.partition("href")[2].lstrip(" =\t\r\n")
            href = after[1:].partition(after[:1])[0]
            self.events.append(Reference(target=href, role="stylesheet", trigger="use", place=f"line {self._line()}"))
