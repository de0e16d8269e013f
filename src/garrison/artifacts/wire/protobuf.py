"""The Protocol Buffers wire format, read as a stream: long fields are spans of the reader, skipped unless asked for.

Source: https://protobuf.dev/programming-guides/encoding/
"""

from collections.abc import Iterator

import msgspec

from garrison.core.errors import LimitExceeded, Malformed
from garrison.sources.reader import Reader

_BUFFER = 1 << 18
_SMALL = 1 << 12
_FIELDS = 20_000_000
_GROUPS = 100
VARINT, FIXED64, LENGTH, START_GROUP, END_GROUP, FIXED32 = range(6)


class Span(msgspec.Struct, frozen=True):
    """A length-delimited field: bytes `start` to `end` of the reader."""

    start: int
    end: int

    @property
    def size(self) -> int:
        return self.end - self.start


class Wire:
    """Fields of messages in a reader."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self._buffer = b""
        self._at = 0
        self._ahead = _SMALL
        self._read = 0

    def whole(self) -> Span:
        """The outermost message."""
        return Span(0, self.reader.size)

    def _byte(self, position: int) -> int:
        offset = position - self._at
        if not 0 <= offset < len(self._buffer):
            # Little after a jump over a long field, more and more while fields follow each other.
            self._ahead = min(self._ahead * 2, _BUFFER) if offset == len(self._buffer) else _SMALL
            self._buffer = self.reader.pread(position, self._ahead)
            self._at = position
            offset = 0
            if not self._buffer:
                raise Malformed(f"a message ends too early at {position:#x}")
        return self._buffer[offset]

    def _varint(self, position: int, end: int) -> tuple[int, int]:
        offset = position - self._at
        if position < end and 0 <= offset < len(self._buffer) and (byte := self._buffer[offset]) < 0x80:
            return byte, position + 1  # most numbers are small
        value = shift = 0
        while position < end:
            byte = self._byte(position)
            position += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value & 0xFFFFFFFFFFFFFFFF, position
            shift += 7
            if shift > 63:
                break
        raise Malformed(f"a number without end at {position:#x}")

    def fields(self, span: Span) -> Iterator[tuple[int, int, "int | Span"]]:
        """Number, wire type and value of each field: a number, or the span of a length-delimited one.

        Groups are stepped over, as readers do with fields that they don't know. Raises `Malformed` where the bytes are
        no message, and `LimitExceeded` past 20 million fields.
        """
        position, end = span.start, span.end
        groups: list[int] = []
        while position < end:
            self._read += 1
            if self._read > _FIELDS:
                raise LimitExceeded("facts", f"more than {_FIELDS} protobuf fields")
            key, position = self._varint(position, end)
            number, kind = key >> 3, key & 7
            value: int | Span = 0
            if not number:
                raise Malformed(f"field number 0 at {position:#x}")
            if kind == LENGTH:
                length, position = self._varint(position, end)
                if position + length > end:
                    raise Malformed(f"a field of {length} bytes at {position:#x} is longer than what holds it")
                value = Span(position, position + length)
                position += length
            elif kind == VARINT:
                value, position = self._varint(position, end)
            elif kind in (FIXED64, FIXED32):
                position += 8 if kind == FIXED64 else 4
                if position > end:
                    raise Malformed(f"a message ends too early at {end:#x}")
            elif kind in (START_GROUP, END_GROUP):
                _step(groups, number, kind)
                continue
            else:
                raise Malformed(f"wire type {kind} at {position:#x}")
            if not groups:
                yield number, kind, value
        if groups:
            raise Malformed(f"the group {groups[-1]} has no end")

    def numbers(self, span: Span) -> Iterator[int]:
        """The numbers of a packed field."""
        position = span.start
        while position < span.end:
            value, position = self._varint(position, span.end)
            yield value

    def spans(self, span: Span, *numbers: int) -> Iterator[Span]:
        """The length-delimited fields with these numbers."""
        for number, _, value in self.fields(span):
            if number in numbers and isinstance(value, Span):
                yield value

    def bytes(self, span: Span, limit: int = 1 << 16) -> bytes:
        """The span's bytes, at most `limit` of them."""
        offset = span.start - self._at
        size = min(span.size, limit)
        if offset >= 0 and offset + size <= len(self._buffer):
            return self._buffer[offset : offset + size]
        return self.reader.pread(span.start, size)

    def text(self, span: Span, limit: int = 4096) -> str:
        """The span as text, whatever bytes it holds."""
        return self.bytes(span, limit).decode("utf-8", "backslashreplace")


def _step(groups: list[int], number: int, kind: int) -> None:
    """Into a group, or out of one."""
    if kind == START_GROUP:
        groups.append(number)
        if len(groups) > _GROUPS:
            raise Malformed("groups inside groups without end")
    elif not groups or groups.pop() != number:
        raise Malformed(f"a group {number} ends that never began")


def shape(reader: Reader, limit: int = 64, *, torn: bool = False) -> list[tuple[int, int]] | None:
    """Numbers and wire types of the outermost fields, the first `limit` of them.

    `None` where it is no message; of a `torn` one, the fields before the end.
    """
    wire = Wire(reader)
    found: list[tuple[int, int]] = []
    try:
        for number, kind, _ in wire.fields(wire.whole()):
            found.append((number, kind))
            if len(found) >= limit:
                break
    except Malformed:
        return found if torn else None
    return found
