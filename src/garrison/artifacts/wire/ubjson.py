"""Universal Binary JSON, as XGBoost writes it: typed arrays stay where they lie until somebody asks for their numbers.

Source: https://ubjson.org/ (draft 12) and `src/common/json.cc` of XGBoost (`UBJReader`).
"""

import struct
import sys
from array import array
from typing import TYPE_CHECKING, Any

from garrison.core.errors import LimitExceeded, Malformed

if TYPE_CHECKING:
    from garrison.sources.reader import Reader
    from garrison.sources.source import Context

_WINDOW = 1 << 18
_VALUES = 20_000_000
_DEPTH = 200
_STRING = 16 << 20
_INTEGERS = {b"i": ">b", b"U": ">B", b"I": ">h", b"l": ">i", b"L": ">q"}
_REALS = {b"d": ">f", b"D": ">d"}
_FIXED = {**_INTEGERS, **_REALS}
_ARRAYS = {b"i": "b", b"U": "B", b"I": "h", b"l": "i", b"L": "q", b"d": "f", b"D": "d"}
_SIZES = {kind: struct.calcsize(form) for kind, form in _FIXED.items()}


class Numbers:
    """A typed array that was not read yet."""

    __slots__ = ("_kind", "_reader", "_start", "length")

    def __init__(self, reader: "Reader", kind: bytes, start: int, length: int) -> None:
        self._reader = reader
        self._kind = kind
        self._start = start
        self.length = length

    def read(self, limit: int) -> "array[Any]":
        """The numbers. Raises `LimitExceeded` where they fill more than `limit` bytes."""
        size = self.length * _SIZES[self._kind]
        if size > limit:
            raise LimitExceeded("buffer", f"an array of {size} bytes")
        numbers = array(_ARRAYS[self._kind])
        numbers.frombytes(self._reader.exactly(self._start, size))
        if sys.byteorder == "little":
            numbers.byteswap()
        return numbers


class Ubjson:
    """One document in a reader."""

    def __init__(self, reader: "Reader", context: "Context", start: int = 0) -> None:
        self._reader = reader
        self._context = context
        self._buffer = b""
        self._at = 0
        self._values = 0
        self.position = start
        """Of the next byte: behind the document, once it was read."""

    def document(self) -> object:
        """The value that starts here. Raises `Malformed` and `LimitExceeded`."""
        return self._value(self._marker(), 0)

    def _take(self, size: int) -> bytes:
        offset = self.position - self._at
        if not 0 <= offset <= len(self._buffer) - size:
            self._buffer = self._reader.pread(self.position, max(_WINDOW, size))
            self._at = self.position
            offset = 0
            if len(self._buffer) < size:
                raise Malformed(f"ends inside a value at {self.position:#x}")
        self.position += size
        return self._buffer[offset : offset + size]

    def _marker(self) -> bytes:
        while (marker := self._take(1)) == b"N":
            pass
        return marker

    def _length(self, marker: bytes = b"") -> int:
        kind = marker or self._marker()
        form = _INTEGERS.get(kind)
        if form is None:
            raise Malformed(f"a length of type {kind!r} at {self.position - 1:#x}")
        value: int = struct.unpack(form, self._take(_SIZES[kind]))[0]
        if value < 0:
            raise Malformed(f"a negative length at {self.position:#x}")
        return value

    def _text(self, marker: bytes = b"") -> str:
        length = self._length(marker)
        if length > _STRING:
            raise LimitExceeded("buffer", f"a text of {length} bytes")
        return self._take(length).decode("utf-8", "replace")

    def _value(self, marker: bytes, depth: int) -> object:
        self._values += 1
        if self._values % 4096 == 0:
            self._context.check_time()
        if self._values > _VALUES:
            raise LimitExceeded("facts", f"more than {_VALUES} values")
        if marker in _FIXED:
            return struct.unpack(_FIXED[marker], self._take(_SIZES[marker]))[0]
        match marker:
            case b"S" | b"H":
                return self._text()
            case b"Z":
                return None
            case b"T":
                return True
            case b"F":
                return False
            case b"C":
                return self._take(1).decode("latin-1")
            case b"{" | b"[":
                if depth >= _DEPTH:
                    raise LimitExceeded("depth", f"nested more than {_DEPTH} deep")
                return self._object(depth) if marker == b"{" else self._array(depth)
        raise Malformed(f"an unknown type {marker!r} at {self.position - 1:#x}")

    def _header(self) -> tuple[bytes, int, bytes]:
        """The type and count that a container may begin with, and the marker that follows where there is none."""
        marker = self._marker()
        kind = b""
        if marker == b"$":
            kind = self._take(1)
            marker = self._marker()
            if marker != b"#":
                raise Malformed(f"a type without a count at {self.position:#x}")
        if marker == b"#":
            return kind, self._length(), b""
        return kind, -1, marker

    def _array(self, depth: int) -> object:
        kind, count, marker = self._header()
        if kind in _FIXED:
            start = self.position
            self.position += count * _SIZES[kind]
            if count and not self._reader.pread(self.position - 1, 1):
                raise Malformed(f"an array of {count} numbers at {start:#x}, more than there are bytes")
            return Numbers(self._reader, kind, start, count)
        items: list[object] = []
        if count >= 0:
            if kind in (b"Z", b"T", b"F", b"N"):
                raise Malformed(f"an array of {count} values without bytes at {self.position:#x}")
            for _ in range(count):
                items.append(self._value(kind or self._marker(), depth + 1))
            return items
        while marker != b"]":
            items.append(self._value(marker, depth + 1))
            marker = self._marker()
        return items

    def _object(self, depth: int) -> dict[str, object]:
        kind, count, marker = self._header()
        items: dict[str, object] = {}
        if count >= 0:
            for _ in range(count):
                key = self._text()
                items[key] = self._value(kind or self._marker(), depth + 1)
            return items
        while marker != b"}":
            key = self._text(marker)
            items[key] = self._value(self._marker(), depth + 1)
            marker = self._marker()
        return items
