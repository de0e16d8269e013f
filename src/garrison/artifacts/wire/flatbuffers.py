"""FlatBuffers, read in place: only the tables and vectors that are asked for, each checked against the bytes.

Source: https://flatbuffers.dev/internals/
"""

import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING

import msgspec

from garrison.core.errors import LimitExceeded, Malformed
from garrison.sources.reader import Reader

if TYPE_CHECKING:
    from collections.abc import Callable

_PAGE = 1 << 16
_PAGES = 64
_READS = 10_000_000
_TEXT = 4096
_OFFSET = "I"


class Span(msgspec.Struct, frozen=True):
    """The elements of a vector: `count` of them from byte `start` of the buffer."""

    start: int
    count: int


class FlatBuffer:
    """One buffer: `size` bytes of a reader from `base`, or all that follow."""

    def __init__(
        self, reader: Reader, base: int = 0, size: int | None = None, *, check_time: "Callable[[], None] | None" = None
    ) -> None:
        self.reader = reader
        self.base = base
        self.size = max(0, reader.size - base) if size is None else size
        self._check_time = check_time
        self._pages: dict[int, bytes] = {}
        self._reads = 0

    @property
    def identifier(self) -> bytes:
        """The four bytes that name the schema, where the writer gave any."""
        return self.bytes(4, 4) if self.size >= 8 else b""

    def root(self) -> "Table":
        """The outermost table. Raises `Malformed`."""
        return Table(self, self.number(0, _OFFSET))

    def bytes(self, offset: int, length: int) -> bytes:
        """Bytes from an offset in the buffer. Raises `Malformed` where there are fewer, and `LimitExceeded`."""
        if offset < 0 or length < 0 or offset + length > self.size:
            raise Malformed(f"an offset leads to {offset:#x}, outside the {self.size} bytes of the buffer")
        self._reads += 1
        if self._reads > _READS:
            raise LimitExceeded("facts", f"more than {_READS} reads of one FlatBuffer")
        if self._check_time is not None and not self._reads % 4096:
            self._check_time()
        number, inside = divmod(offset, _PAGE)
        if inside + length > _PAGE:
            return self.reader.exactly(self.base + offset, length)
        page = self._pages.get(number)
        if page is None:
            if len(self._pages) >= _PAGES:
                self._pages.clear()
            page = self._pages[number] = self.reader.pread(self.base + number * _PAGE, _PAGE)
        data = page[inside : inside + length]
        if len(data) != length:
            raise Malformed(f"ends at {self.base + offset + len(data):#x}, {length - len(data)} bytes too early")
        return data

    def number(self, offset: int, code: str) -> int:
        """An integer, by its code in `struct`."""
        return int(struct.unpack("<" + code, self.bytes(offset, struct.calcsize("<" + code)))[0])

    def follow(self, offset: int) -> int:
        """Where the offset that stands at `offset` leads."""
        return offset + self.number(offset, _OFFSET)

    def vector(self, offset: int, width: int) -> Span:
        """The vector at an offset, of elements of so many bytes. Raises `Malformed` where there are not as many."""
        count = self.number(offset, _OFFSET)
        if offset + 4 + count * width > self.size:
            raise Malformed(f"the vector at {offset:#x} has {count} elements, more than there are bytes for")
        return Span(offset + 4, count)

    def text(self, offset: int, limit: int = _TEXT) -> str:
        """The string at an offset, at most `limit` bytes of it, whatever bytes it holds."""
        span = self.vector(offset, 1)
        return self.bytes(span.start, min(span.count, limit)).decode("utf-8", "backslashreplace")


class Table:
    """A table: fields are asked for by their number in the schema, in the order of declaration from 0.

    A union takes two numbers: its type, then its value. Every method raises `Malformed` where the bytes lead outside
    the buffer; a field that is absent gives the default that is asked for.
    """

    __slots__ = ("_fields", "_length", "_vtable", "buffer", "position")

    def __init__(self, buffer: FlatBuffer, position: int) -> None:
        self.buffer = buffer
        self.position = position
        self._vtable = position - buffer.number(position, "i")
        size = buffer.number(self._vtable, "H")
        self._length = buffer.number(self._vtable + 2, "H")
        if size < 4 or size % 2 or self._length < 4 or position + self._length > buffer.size:
            raise Malformed(f"the table at {position:#x} has no sound vtable")
        buffer.bytes(self._vtable, size)
        self._fields = size // 2 - 2

    def field(self, number: int) -> int:
        """Where a field stands in the buffer; 0 where it is absent."""
        if number >= self._fields:
            return 0
        offset = self.buffer.number(self._vtable + 4 + 2 * number, "H")
        if offset >= self._length:
            raise Malformed(f"field {number} of the table at {self.position:#x} lies outside it")
        return self.position + offset if offset else 0

    def number(self, number: int, code: str = "i", default: int = 0) -> int:
        """An integer, boolean or enumeration, by its code in `struct`."""
        place = self.field(number)
        return self.buffer.number(place, code) if place else default

    def struct(self, number: int, layout: str) -> tuple[int | float, ...]:
        """The values of a struct that is stored inline, or of one floating-point number; empty where it is absent."""
        place = self.field(number)
        return struct.unpack("<" + layout, self.buffer.bytes(place, struct.calcsize("<" + layout))) if place else ()

    def text(self, number: int, limit: int = _TEXT) -> str:
        """A string; empty where it is absent."""
        place = self.field(number)
        return self.buffer.text(self.buffer.follow(place), limit) if place else ""

    def table(self, number: int) -> "Table | None":
        place = self.field(number)
        return Table(self.buffer, self.buffer.follow(place)) if place else None

    def vector(self, number: int, width: int) -> Span:
        """A vector of elements of so many bytes; of no elements where it is absent."""
        place = self.field(number)
        return self.buffer.vector(self.buffer.follow(place), width) if place else Span(0, 0)

    def numbers(self, number: int, code: str = "i", limit: int = 1 << 20) -> tuple[int, ...]:
        """A vector of integers, at most `limit` of them."""
        width = struct.calcsize("<" + code)
        span = self.vector(number, width)
        count = min(span.count, limit)
        return struct.unpack(f"<{count}{code}", self.buffer.bytes(span.start, count * width)) if count else ()

    def bytes(self, number: int, limit: int = 1 << 20) -> bytes:
        """A vector of bytes, at most `limit` of them."""
        span = self.vector(number, 1)
        return self.buffer.bytes(span.start, min(span.count, limit)) if span.count else b""

    def texts(self, number: int) -> Iterator[str]:
        """A vector of strings."""
        for place in self._places(number):
            yield self.buffer.text(place)

    def tables(self, number: int) -> "Iterator[Table]":
        """A vector of tables."""
        for place in self._places(number):
            yield Table(self.buffer, place)

    def _places(self, number: int) -> Iterator[int]:
        span = self.vector(number, 4)
        for index in range(span.count):
            yield self.buffer.follow(span.start + 4 * index)
