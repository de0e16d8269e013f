"""MessagePack, read without holding the bulk: binary data and extensions stay where they are in the reader.

Source: https://github.com/msgpack/msgpack/blob/master/spec.md
"""

import struct
from collections.abc import Callable

import msgspec

from garrison.artifacts.wire.cursor import Cursor
from garrison.core.errors import LimitExceeded, Malformed
from garrison.sources.reader import Reader

_DEPTH = 512
"""Where Python's own decoder stops."""
_TEXT = 1 << 20
_LOOKED_AHEAD = 4096
_NUMBERS = {0xCC: (1, False), 0xCD: (2, False), 0xCE: (4, False), 0xCF: (8, False)}
_NUMBERS |= {0xD0: (1, True), 0xD1: (2, True), 0xD2: (4, True), 0xD3: (8, True)}
_TEXTS = {0xD9: 1, 0xDA: 2, 0xDB: 4}
_BINARIES = {0xC4: 1, 0xC5: 2, 0xC6: 4}
_EXTENSIONS = {0xC7: 1, 0xC8: 2, 0xC9: 4}
_FIXED_EXTENSIONS = {0xD4: 1, 0xD5: 2, 0xD6: 4, 0xD7: 8, 0xD8: 16}
_CONSTANTS = {0xC0: None, 0xC2: False, 0xC3: True}


class Bulk(msgspec.Struct, frozen=True):
    """Bytes that were not read: binary data where `code` is `None`, an extension of that code otherwise."""

    code: int | None
    start: int
    length: int


class _Open:
    """A container that is being filled."""

    __slots__ = ("key", "left", "value")

    def __init__(self, value: "dict[object, object] | list[object]", left: int) -> None:
        self.value = value
        self.left = left
        self.key: object = None


class Document:
    """One value and all inside it: dictionaries, lists, texts, numbers and `Bulk`."""

    def __init__(self, reader: Reader, *, items: int, check: Callable[[], None] = lambda: None) -> None:
        self._cursor = Cursor(reader)
        self._left = items
        self._check = check
        self.extensions: list[Bulk] = []
        self.root: object = None

    @property
    def position(self) -> int:
        return self._cursor.position

    def read(self) -> object:
        """The value. Raises `Malformed`, and `LimitExceeded` past the number of items; what was read stays."""
        opened: list[_Open] = []
        while True:
            self._left -= 1
            if self._left < 0:
                raise LimitExceeded("members", "more values than are read of one document")
            if not self._left & 0xFFF:
                self._check()
            value, count = self._one()
            if opened:
                self._put(opened[-1], value)
            else:
                self.root = value
            if count and isinstance(value, dict | list):
                if len(opened) >= _DEPTH:
                    raise Malformed(f"values are nested more than {_DEPTH} deep, which loaders refuse")
                opened.append(_Open(value, count))
            while opened and not opened[-1].left:
                opened.pop()
            if not opened:
                return self.root

    @staticmethod
    def _put(into: _Open, value: object) -> None:
        if isinstance(into.value, list):
            into.value.append(value)
            into.left -= 1
        elif into.left % 2 == 0:
            into.key = value if isinstance(value, str | int | float | bytes | None) else repr(value)[:100]
            into.left -= 1
        else:
            into.value[into.key] = value
            into.left -= 1

    def _one(self) -> tuple[object, int]:
        """One value, and how many stand inside it."""
        cursor = self._cursor
        byte = cursor.take(1)[0]
        if byte < 0x80 or byte >= 0xE0:
            return (byte if byte < 0x80 else byte - 256), 0
        if byte < 0x90 or byte in (0xDE, 0xDF):
            count = byte & 15 if byte < 0x90 else self._big(2 if byte == 0xDE else 4)
            self._promised(count * 2)
            return {}, count * 2
        if byte < 0xA0 or byte in (0xDC, 0xDD):
            count = byte & 15 if byte < 0xA0 else self._big(2 if byte == 0xDC else 4)
            self._promised(count)
            return [], count
        if byte < 0xC0 or byte in _TEXTS:
            return self._text(byte & 31 if byte < 0xC0 else self._big(_TEXTS[byte])), 0
        if byte in _CONSTANTS:
            return _CONSTANTS[byte], 0
        if byte in _NUMBERS:
            size, signed = _NUMBERS[byte]
            return int.from_bytes(cursor.take(size), "big", signed=signed), 0
        if byte in (0xCA, 0xCB):
            size = 4 if byte == 0xCA else 8
            return float(struct.unpack(">f" if size == 4 else ">d", cursor.take(size))[0]), 0
        if byte in _BINARIES:
            return self._bulk(None, self._big(_BINARIES[byte])), 0
        if byte in _EXTENSIONS or byte in _FIXED_EXTENSIONS:
            length = self._big(_EXTENSIONS[byte]) if byte in _EXTENSIONS else _FIXED_EXTENSIONS[byte]
            bulk = self._bulk(int.from_bytes(cursor.take(1), "big", signed=True), length)
            self.extensions.append(bulk)
            return bulk, 0
        raise Malformed(f"the byte {byte:#04x} at {cursor.position - 1:#x} starts no value")

    def _big(self, size: int) -> int:
        return int.from_bytes(self._cursor.take(size), "big")

    def _promised(self, count: int) -> None:
        """Each value takes a byte at least."""
        if count > _LOOKED_AHEAD and not self._cursor.reader.pread(self._cursor.position + count - 1, 1):
            raise Malformed(f"{count:,} values are promised at {self._cursor.position:#x}, and fewer bytes follow")

    def _text(self, length: int) -> str:
        if length > _TEXT:
            self._cursor.skip(length)
            return ""
        return self._cursor.take(length).decode("utf-8", "replace")

    def _bulk(self, code: int | None, length: int) -> Bulk:
        bulk = Bulk(code, self._cursor.position, length)
        self._cursor.skip(length)
        return bulk
