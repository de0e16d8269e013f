"""Reads R's serialisation into a tree of nodes, without recursion and without the numbers.

Source: R Internals, section 1.8, and `src/main/serialize.c` of R 4.5 (`ReadItem`, `ReadBC`, `InFormat`).
"""

import re
from collections.abc import Generator
from typing import Literal, Protocol

from garrison.core.errors import LimitExceeded, Malformed
from garrison.sources.reader import Reader
from garrison.sources.source import Context

_ITEMS = 4_000_000
_DEPTH = 20_000
_CHUNK = 1 << 16
_STRINGS = 16
_TEXT = 4096
_WORD = re.compile(rb"\s*(\S+)")
_ESCAPES = {b"n": b"\n", b"t": b"\t", b"v": b"\v", b"b": b"\b", b"r": b"\r", b"f": b"\f", b"a": b"\a"}

_SPECIAL = {
    0: "NULL",
    241: "baseenv",
    242: "emptyenv",
    250: "base namespace",
    251: "missing",
    252: "unbound",
    253: "globalenv",
    254: "NULL",
}
_CELLS: dict[int, str] = {2: "pairlist", 3: "closure", 5: "promise", 6: "call", 17: "dots"}
_NUMBERS = {10: 4, 13: 4, 14: 8, 15: 16}
_ACTIVE = 1 << 15


class Node:
    """One R object. What `items` are depends on `kind`:

    a call or pairlist has its elements, named by `tags`; a closure environment, formals and body; a promise
    environment, value and expression; an environment its bindings, named by `tags`; bytecode its constants.
    """

    __slots__ = ("active", "attributes", "bound", "items", "kind", "place", "size", "tags", "text")

    def __init__(self, kind: str, place: int, text: str = "", size: int = 0) -> None:
        self.kind = kind
        self.place = place
        self.text = text
        self.size = size
        self.items: list[Node] = []
        self.tags: list[str] = []
        self.attributes: Node | None = None
        self.bound = False
        """Whether it is the value of a variable in an environment."""
        self.active = False
        """Whether it is a function that runs whenever the variable that it is bound to is read."""


class Input(Protocol):
    """The primitive values of one of the three encodings."""

    position: int

    def integer(self) -> int: ...
    def text(self, length: int) -> bytes: ...
    def numbers(self, count: int, width: int) -> None: ...
    def raw(self, length: int) -> "Reader | bytes": ...
    def rest(self) -> int: ...


class _Buffered:
    def __init__(self, reader: Reader, position: int, context: Context) -> None:
        self.reader = reader
        self.position = position
        self.context = context
        self._start = position
        self._buffer = b""

    def take(self, count: int) -> bytes:
        at = self.position - self._start
        data = self._buffer[at : at + count] if at >= 0 else b""
        if len(data) < count:
            self.context.check_time()
            self._start = self.position
            self._buffer = self.reader.exactly(self.position, count) if count > _CHUNK else self._more(count)
            data = self._buffer[:count]
        self.position += count
        return data

    def _more(self, count: int) -> bytes:
        data = self.reader.pread(self.position, _CHUNK)
        if len(data) < count:
            raise Malformed(f"ends at {self.position + len(data):#x}, inside a value")
        return data

    def rest(self) -> int:
        """Where the bytes behind the value begin, -1 where there are none."""
        return self.position if self.reader.pread(self.position, 1) else -1


class Binary(_Buffered):
    """XDR (big-endian) or the writer's own byte order."""

    def __init__(self, reader: Reader, position: int, context: Context, order: Literal["big", "little"]) -> None:
        super().__init__(reader, position, context)
        self._order = order

    def integer(self) -> int:
        return int.from_bytes(self.take(4), self._order, signed=True)

    def text(self, length: int) -> bytes:
        if length <= _TEXT:
            return self.take(length)
        data = self.take(_TEXT)
        self._skip(length - _TEXT)
        return data

    def numbers(self, count: int, width: int) -> None:
        self._skip(count * width)

    def raw(self, length: int) -> Reader:
        window = self.reader.window(self.position, length)
        self._skip(length)
        return window

    def _skip(self, count: int) -> None:
        if count:
            self.position += count - 1
            if not 0 <= self.position - self._start < len(self._buffer):
                self._start, self._buffer = self.position, b""
            self.take(1)


class Text(_Buffered):
    """The `A` encoding: a value a line, in decimal; strings with C escapes."""

    def _word(self) -> bytes:
        while True:
            at = self.position - self._start
            match = _WORD.match(self._buffer, at)
            if match and match.end() < len(self._buffer):
                self.position = self._start + match.end()
                return match[1]
            more = self.reader.pread(self._start + len(self._buffer), _CHUNK)
            if not more:
                if match:
                    self.position = self._start + match.end()
                    return match[1]
                raise Malformed(f"ends at {self.position:#x}, before a value")
            self.context.check_time()
            rest = self._buffer[at:]
            if len(rest) > _CHUNK * 2:
                raise Malformed(f"a number of more than {_CHUNK} characters at {self.position:#x}")
            self._start, self._buffer = self.position, rest + more

    def integer(self) -> int:
        word = self._word()
        if word == b"NA":
            return -(1 << 31)
        try:
            if len(word) > 11:
                raise ValueError
            return int(word)
        except ValueError:
            raise Malformed(f"{word[:20]!r} before {self.position:#x} is no integer") from None

    def text(self, length: int) -> bytes:
        while (byte := self.take(1)).isspace():
            pass
        parts: list[bytes] = []
        for count in range(length):
            if count:
                byte = self.take(1)
            parts.append(self._escaped() if byte == b"\\" else byte)
        return b"".join(parts)

    def _escaped(self) -> bytes:
        byte = self.take(1)
        if byte not in b"01234567":
            return _ESCAPES.get(byte, byte)
        digits = byte
        while len(digits) < 3:
            byte = self.take(1)
            if byte not in b"01234567":
                self.position -= 1
                break
            digits += byte
        return bytes([int(digits, 8) & 255])

    def numbers(self, count: int, width: int) -> None:
        for _ in range(count * (2 if width == 16 else 1)):
            self._word()

    def raw(self, length: int) -> bytes:
        kept = bytearray()
        for _ in range(length):
            word = self._word()
            try:
                byte = int(word, 16) & 255
            except ValueError:
                raise Malformed(f"{word[:20]!r} before {self.position:#x} is no byte") from None
            if len(kept) < self.context.limits.buffer:
                kept.append(byte)
        return bytes(kept)


_Steps = Generator["_Steps", Node, Node]


class Parser:
    """One serialised object; what matters for security is collected on the way, so that it outlives a broken end."""

    def __init__(self, reader: Reader, position: int, context: Context) -> None:
        self._context = context
        self.input, self.encoding = _encoding(reader, position, context)
        self.version = self.input.integer()
        writer = self.input.integer()
        self.writer = f"{writer >> 16}.{writer >> 8 & 255}.{writer & 255}"
        self.input.integer()
        if self.version not in (2, 3):
            raise Malformed(f"serialisation version {self.version}")
        self.native = ""
        if self.version == 3:
            self.native = self._string(self.input.integer(), 256)
        self.references: list[Node] = []
        self.promises: list[Node] = []
        self.closures: list[Node] = []
        self.bytecode: list[Node] = []
        self.packages: list[Node] = []
        self.altreps: list[Node] = []
        self.actives: list[Node] = []
        self.raws: list[tuple[int, Reader | bytes]] = []
        self.items = 0

    def parse(self) -> Node:
        """The object."""
        stack: list[_Steps] = [self._read()]
        value: Node | None = None
        while stack:
            try:
                step = stack[-1].send(value)  # type: ignore[arg-type]
            except StopIteration as done:
                stack.pop()
                value = done.value
            else:
                stack.append(step)
                value = None
                if len(stack) > _DEPTH:
                    raise LimitExceeded("depth", f"R objects nested more than {_DEPTH} deep")
        assert value is not None
        return value

    # ---------------------------------------------------------------- items

    def _flags(self) -> int:
        self.items += 1
        if self.items > _ITEMS:
            raise LimitExceeded("buffer", f"more than {_ITEMS} R objects in one file")
        return self.input.integer()

    def _read(self) -> _Steps:
        place = self.input.position
        flags = self._flags()
        return self._typed(place, flags)

    def _typed(self, place: int, flags: int) -> _Steps:
        kind = flags & 255
        if kind in _SPECIAL:
            return Node("special", place, _SPECIAL[kind])
        if kind == 255:
            return self._reference(flags >> 8 or self.input.integer())
        if kind in _CELLS:
            return (yield self._cells(place, flags))
        if kind in (1, 247, 248, 249):
            return (yield self._named(place, kind))
        if kind == 4:
            return (yield self._environment(place))
        if kind == 238:
            return (yield self._altrep(place))
        node = yield self._value(place, kind)
        if flags & 512:
            node.attributes = yield self._read()
        return node

    def _reference(self, index: int) -> Node:
        if not 0 < index <= len(self.references):
            raise Malformed(f"refers to object {index} of {len(self.references)} before {self.input.position:#x}")
        return self.references[index - 1]

    def _cells(self, place: int, flags: int) -> _Steps:
        """A pairlist or call, cell by cell, or a closure or promise, which are stored as one cell."""
        kind = _CELLS[flags & 255]
        node = Node(kind, place)
        whole = kind in ("closure", "promise")
        while True:
            if flags & 512:
                attributes = yield self._read()
                node.attributes = node.attributes or attributes
            tag = (yield self._read()) if flags & 1024 else None
            head = yield self._read()
            if whole:
                node.items = [tag or Node("special", place, "NULL"), head, (yield self._read())]
                (self.closures if kind == "closure" else self.promises).append(node)
                return node
            if flags >> 12 & _ACTIVE:
                head.active = True
                self.actives.append(head)
            node.items.append(head)
            node.tags.append(tag.text if tag is not None else "")
            behind = self.input.position
            flags = self._flags()
            if flags & 255 in (0, 254):
                return node
            if flags & 255 not in (2, 6, 17):
                node.items.append((yield self._typed(behind, flags)))
                node.tags.append("")
                return node

    def _named(self, place: int, kind: int) -> _Steps:
        if kind == 1:
            name = yield self._read()
            node = Node("symbol", place, name.text)
        else:
            if self.input.integer():
                raise Malformed(f"names in a persistent string before {self.input.position:#x}")
            node = Node({247: "persistent", 248: "package", 249: "namespace"}[kind], place)
            for _ in range(self._length()):
                part = yield self._read()
                if len(node.tags) < _STRINGS:
                    node.tags.append(part.text)
            node.text = node.tags[0] if node.tags else ""
            self.packages.append(node)
        self.references.append(node)
        return node

    def _environment(self, place: int) -> _Steps:
        node = Node("environment", place)
        self.references.append(node)
        self.input.integer()  # whether it is locked
        yield self._read()  # the enclosing one
        frame = yield self._read()
        table = yield self._read()
        node.attributes = yield self._read()
        for cells in (frame, *table.items):
            if cells.kind in ("pairlist", "call", "dots"):
                node.items += cells.items
                node.tags += cells.tags
        for item in node.items:
            for value in (item, *(item.items if item.kind == "dots" else ())):
                value.bound = True
        return node

    def _altrep(self, place: int) -> _Steps:
        node = Node("altrep", place)
        info = yield self._read()
        state = yield self._read()
        node.attributes = yield self._read()
        node.items = [info, state]
        names = [item.text for item in info.items if item.kind == "symbol"]
        node.text, node.tags = (names[0], names[1:2]) if names else ("", [])
        self.altreps.append(node)
        return node

    def _value(self, place: int, kind: int) -> _Steps:
        source = self.input
        if kind in (9, 7, 8):
            length = source.integer()
            if length < -1:
                raise Malformed(f"a string of {length} bytes at {place:#x}")
            text = "NA" if length == -1 else self._string(length, _TEXT)
            return Node("string" if kind == 9 else "builtin", place, text, max(length, 0))
        if kind in _NUMBERS:
            length = self._length()
            source.numbers(length, _NUMBERS[kind])
            return Node("vector", place, size=length)
        if kind == 24:
            length = self._length()
            content = source.raw(length)
            if length > 8:
                self.raws.append((place, content))
            return Node("raw", place, size=length)
        if kind in (16, 19, 20):
            return (yield self._elements(place, kind))
        if kind in (22, 23):
            node = Node("pointer" if kind == 22 else "weak-reference", place)
            self.references.append(node)
            if kind == 22:
                node.items = [(yield self._read()), (yield self._read())]
            return node
        if kind == 25:
            return Node("object", place)
        if kind == 21:
            return (yield self._bytecode(place))
        raise Malformed(f"object type {kind} at {place:#x}, which R does not read")

    def _elements(self, place: int, kind: int) -> _Steps:
        length = self._length()
        node = Node({16: "characters", 19: "list", 20: "expression"}[kind], place, size=length)
        for index in range(length):
            item = yield self._read()
            if kind != 16 or index < _STRINGS:
                node.items.append(item)
        return node

    def _length(self) -> int:
        length = self.input.integer()
        if length == -1:
            length = (self.input.integer() << 32) + (self.input.integer() & 0xFFFFFFFF)
        if not 0 <= length < 1 << 52:
            raise Malformed(f"a vector of {length} elements before {self.input.position:#x}")
        return length

    def _string(self, length: int, most: int) -> str:
        if not 0 <= length < 1 << 31:
            raise Malformed(f"a string of {length} bytes before {self.input.position:#x}")
        return self.input.text(length)[:most].decode("utf-8", "replace") if length else ""

    # ---------------------------------------------------------------- bytecode

    def _bytecode(self, place: int) -> _Steps:
        count = self.input.integer()
        if count < 0:
            raise Malformed(f"bytecode with {count} shared constants at {place:#x}")
        shared: dict[int, Node] = {}
        return (yield self._code(place, shared, count))

    def _code(self, place: int, shared: dict[int, Node], most: int) -> _Steps:
        node = Node("bytecode", place)
        yield self._read()  # the instructions, a vector of integers
        for _ in range(self._length()):
            behind = self.input.position
            kind = self.input.integer()
            if kind == 21:
                node.items.append((yield self._code(behind, shared, most)))
            else:
                node.items.append((yield self._constant(behind, kind, shared, most)))
        self.bytecode.append(node)
        return node

    def _constant(self, place: int, kind: int, shared: dict[int, Node], most: int) -> _Steps:
        """Calls and pairlists among constants are stored cell by cell, and can be shared."""
        if kind == 243:
            index = self.input.integer()
            if index not in shared:
                raise Malformed(f"refers to constant {index} before {self.input.position:#x}")
            return shared[index]
        if kind not in (2, 6, 239, 240, 244):
            return (yield self._read())
        first: Node | None = None
        while True:
            slot = -1
            self.items += 1
            if kind == 244:
                slot = self.input.integer()
                kind = self.input.integer()
                if not 0 <= slot < most:
                    raise Malformed(f"shared constant {slot} of {most} before {self.input.position:#x}")
            if kind not in (2, 6, 239, 240):
                raise Malformed(f"constant of type {kind} before {self.input.position:#x}")
            node = Node("call" if kind in (6, 240) else "pairlist", place)
            if slot >= 0:
                shared[slot] = node
            if kind in (239, 240):
                node.attributes = yield self._read()
            tag = yield self._read()
            head = yield self._constant(self.input.position, self.input.integer(), shared, most)
            if first is None:
                first = node
            node.items.append(head)
            node.tags.append(tag.text if tag.kind == "symbol" else "")
            if first is not node:
                first.items.append(head)
                first.tags.append(node.tags[0])
            place = self.input.position
            kind = self.input.integer()
            if kind not in (2, 6, 239, 240, 244):
                tail = yield self._constant(place, kind, shared, most)
                if tail.text != "NULL" or tail.kind != "special":
                    first.items.append(tail)
                    first.tags.append("")
                return first


def _encoding(reader: Reader, position: int, context: Context) -> tuple[Input, str]:
    head = reader.exactly(position, 2)
    if head == b"X\n":
        return Binary(reader, position + 2, context, "big"), "xdr"
    if head == b"B\n":
        version = reader.exactly(position + 2, 4)
        return Binary(reader, position + 2, context, "little" if version[0] else "big"), "binary"
    if head in (b"A\n", b"A\r"):
        return Text(reader, position + 2, context), "ascii"
    raise Malformed(f"encoding {head!r}")
