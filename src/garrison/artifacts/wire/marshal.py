"""Reads what Python's `marshal` writes: data and code objects of versions 2.3 to 3.14, without running any of it.

Source: `Python/marshal.c` of CPython 2.7 and 3.0 to 3.14 (`r_object`). The layout of a code object differs between
versions and does not say which it is, so that each is tried: the fields' types tell.
"""

from types import GeneratorType
from typing import TYPE_CHECKING

from garrison.core.errors import LimitExceeded, Malformed
from garrison.sources.reader import Reader

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

_ITEMS = 4_000_000
_DEPTH = 2000
_CHUNK = 1 << 16
_TEXT = 4096
_FIXED = {0x69: 4, 0x49: 8, 0x67: 8, 0x79: 16}
_ATOMS = frozenset(b"NFTS.")
_TEXTS = {0x73: 4, 0x74: 4, 0x75: 4, 0x61: 4, 0x41: 4, 0x7A: 1, 0x5A: 1}
"""Strings, by their type, with the width of their length."""
_COUNTED = {0x28: 4, 0x29: 1, 0x5B: 4, 0x3C: 4, 0x3E: 4}
_OLD = "code consts names varnames freevars cellvars filename name first lines"
LAYOUTS: dict[str, tuple[int, str]] = {
    "3.11": (5, "code consts names varnames kinds filename name qualname first lines exceptions"),
    "3.8": (6, _OLD),
    "3.0": (5, _OLD),
    "2.3": (4, _OLD),
}
"""How many integers a code object of that version and later begins with, and the fields behind them."""


class Code:
    """A code object: what it is called, and what it refers to."""

    __slots__ = ("consts", "filename", "name", "names", "variables")

    def __init__(self, fields: "dict[str, object]") -> None:
        self.name = str(fields["name"])
        self.filename = str(fields["filename"])
        self.names = _texts(fields["names"])
        self.variables = _texts(fields["varnames"])
        self.consts = _texts(fields["consts"])
        """The strings among its constants."""


def _texts(value: object) -> list[str]:
    return [item for item in value if type(item) is str] if isinstance(value, list) else []


class Parser:
    """One object. `codes` has every code object of it, the inner before the outer."""

    def __init__(self, reader: Reader, position: int, layout: str, check_time: "Callable[[], None]") -> None:
        self.position = position
        self.items = 0
        self.codes: list[Code] = []
        self._reader = reader
        self._layout = LAYOUTS[layout]
        self._check_time = check_time
        self._references: list[object] = []
        self._interned: list[object] = []
        self._start = position
        self._buffer = b""

    def parse(self, most: int = _ITEMS) -> object:
        """The object: texts as text, tuples and lists as lists; other values as None, since nobody asks for them."""
        self._most = most
        stack: list[Generator[object, object, object]] = []
        value = self._next()
        while True:
            if isinstance(value, GeneratorType):
                stack.append(value)
                if len(stack) > _DEPTH:
                    raise Malformed(f"nested deeper than the {_DEPTH} that Python reads")
                value = None
            elif not stack:
                return value
            try:
                value = stack[-1].send(value)
            except StopIteration as done:
                stack.pop()
                value = done.value

    def _next(self) -> object:
        """The next object, or the steps that read it."""
        self.items += 1
        if self.items > self._most:
            raise LimitExceeded("buffer", f"more than {self._most} marshalled objects")
        place = self.position
        byte = self._take(1)[0]
        kind = byte & 0x7F
        if kind in _TEXTS:
            return self._keep(byte, self._text(kind))
        if kind in _ATOMS:
            return None
        if kind in _FIXED:
            self._take(_FIXED[kind])
            return self._keep(byte, None)
        if kind in _COUNTED or kind in b"{:c":
            slot = len(self._references) if byte & 0x80 else -1
            self._keep(byte, None)
            return self._code(place, slot) if kind == 0x63 else self._container(kind, slot)
        if kind == 0x72 or kind == 0x52:
            table = self._references if kind == 0x72 else self._interned
            index = self._integer(4)
            if not 0 <= index < len(table):
                raise Malformed(f"refers to object {index} of {len(table)} at {place:#x}")
            return table[index]
        if kind == 0x6C:
            self._skip(2 * abs(self._integer(4)))
        elif kind in b"fx":
            for _ in range(1 if kind == 0x66 else 2):
                self._take(self._integer(1))
        else:
            raise Malformed(f"type {byte:#x} at {place:#x}, which marshal does not write")
        return self._keep(byte, None)

    def _keep(self, byte: int, value: object) -> object:
        if byte & 0x80:
            self._references.append(value)
        return value

    def _text(self, kind: int) -> str:
        length = self._integer(_TEXTS[kind])
        if length < 0:
            raise Malformed(f"a string of {length} bytes before {self.position:#x}")
        data = self._take(min(length, _TEXT))
        self._skip(length - len(data))
        text = data.decode("utf-8", "replace")
        if kind == 0x74:
            self._interned.append(text)
        return text

    def _container(self, kind: int, slot: int) -> "Generator[object, object, object]":
        found: list[object] = []
        if slot >= 0:
            self._references[slot] = found
        if kind == 0x7B:
            while self._peek() != 0x30:
                for _ in range(2):
                    value = self._next()
                    if isinstance(value, GeneratorType):
                        yield value
            self._take(1)
            return found
        count = 3 if kind == 0x3A else self._integer(_COUNTED[kind])
        if count < 0:
            raise Malformed(f"{count} elements before {self.position:#x}")
        keep = kind in b"()"
        for _ in range(count):
            value = self._next()
            if isinstance(value, GeneratorType):
                value = yield value
            if keep:
                found.append(value)
        return found

    def _code(self, place: int, slot: int) -> "Generator[object, object, object]":
        integers, names = self._layout
        for _ in range(integers):
            if not 0 <= self._integer(4) < 1 << 28:
                raise Malformed(f"a code object at {place:#x} of another layout")
        fields: dict[str, object] = {}
        for name in names.split():
            if name == "first":
                self._integer(4)
                continue
            value = self._next()
            if isinstance(value, GeneratorType):
                value = yield value
            expected = list if name in ("consts", "names", "varnames", "freevars", "cellvars") else str
            if type(value) is not expected:
                raise Malformed(f"a code object at {place:#x} of another layout")
            fields[name] = value
        code = Code(fields)
        self.codes.append(code)
        if slot >= 0:
            self._references[slot] = code
        return code

    # ---------------------------------------------------------------- bytes

    def _peek(self) -> int:
        byte = self._take(1)[0]
        self.position -= 1
        return byte

    def _integer(self, width: int) -> int:
        return int.from_bytes(self._take(width), "little", signed=width > 1)

    def _take(self, count: int) -> bytes:
        at = self.position - self._start
        data = self._buffer[at : at + count]
        if len(data) < count:
            self._check_time()
            self._start = self.position
            self._buffer = self._reader.pread(self.position, max(count, _CHUNK))
            data = self._buffer[:count]
            if len(data) < count:
                raise Malformed(f"ends at {self.position + len(data):#x}, inside a value")
        self.position += count
        return data

    def _skip(self, count: int) -> None:
        if count > 0:
            self.position += count - 1
            if self.position - self._start >= len(self._buffer):
                self._start, self._buffer = self.position, b""
            self._take(1)


class Document:
    """What marshalled bytes hold: the type of the object, where it ends, and the code in it."""

    def __init__(self, kind: str, end: int, items: int) -> None:
        self.kind = kind
        self.end = end
        self.items = items
        self.codes: list[Code] = []


def read(reader: Reader, position: int, check_time: "Callable[[], None]", most: int = _ITEMS) -> Document:
    """The object at `position`, with the code of every layout that fits: which one Python takes depends on its version.

    Raises the error of the layout that came furthest.
    """
    furthest = -1
    error: Malformed | None = None
    found: Document | None = None
    for layout in LAYOUTS:
        parser = Parser(reader, position, layout, check_time)
        try:
            parser.parse(most)
        except Malformed as problem:
            if parser.position > furthest:
                furthest, error = parser.position, problem
            continue
        found = found or Document(chr(reader.exactly(position, 1)[0] & 0x7F), parser.position, parser.items)
        found.codes += reversed(parser.codes)
        if not parser.codes:
            break
    if found is None:
        assert error is not None
        raise error
    return found
