"""The opcodes of pickle that make plain values: numbers, text, containers, and the memo of them.

Source: `Lib/pickle.py` of CPython 3.11.
"""

import struct
from typing import Final

from garrison.artifacts.disarm.stack import Stack
from garrison.artifacts.disarm.stream import Stream
from garrison.artifacts.disarm.values import Collection, LongText, Mapping, Opaque, Value
from garrison.artifacts.pickle.literals import literal
from garrison.core.errors import LimitExceeded, Malformed
from garrison.sources.reader import Reader

_HELD = 4096
"""Bytes of a literal that is held itself; a longer one stays where it is."""
_BIG_NUMBER = 256

_COUNTS = {0x55: 1, 0x43: 1, 0x8C: 1, 0x58: 4, 0x42: 4, 0x54: 4, 0x8D: 8, 0x8E: 8, 0x96: 8}
_TEXT = frozenset(b"\x8cX\x8d")
_OLD_TEXT = frozenset(b"UT")


class PlainOpcodes:
    """A stream, a stack, and a method for each opcode."""

    def __init__(self, reader: Reader, acts: list[Opaque] | None = None) -> None:
        self.stream = Stream(reader)
        self.acts: list[Opaque] = [] if acts is None else acts
        """All that would have run code, in order, whether or not the result holds it."""
        self.place = 0
        """Where the opcode at work stands."""
        self._opcode = 0
        self._stack = Stack()

    def act(self, reason: str, *arguments: Value) -> Opaque:
        """A value that only running code would make."""
        made = Opaque(reason, self.place, arguments)
        self.acts.append(made)
        return made

    # ---------------------------------------------------------------- opcodes

    def mark(self) -> None:
        self._stack.mark()

    def pop(self) -> None:
        self._stack.drop()

    def pop_mark(self) -> None:
        self._stack.pop_mark()

    def dup(self) -> None:
        self._stack.push(self._stack.top)

    def none(self) -> None:
        self._stack.push(None)

    def true(self) -> None:
        self._stack.push(True)

    def false(self) -> None:
        self._stack.push(False)

    def bin_int1(self) -> None:
        self._stack.push(self.stream.take(1)[0])

    def bin_int2(self) -> None:
        self._stack.push(self.stream.number(2))

    def bin_int(self) -> None:
        self._stack.push(int.from_bytes(self.stream.take(4), "little", signed=True))

    def bin_float(self) -> None:
        self._stack.push(struct.unpack(">d", self.stream.take(8))[0])

    def long1(self) -> None:
        self._stack.push(int.from_bytes(self.stream.take(self.stream.number(1)), "little", signed=True))

    def long4(self) -> None:
        count = self.stream.number(4)
        if count > _BIG_NUMBER:
            raise LimitExceeded("buffer", f"a number of {count:,} bytes")
        self._stack.push(int.from_bytes(self.stream.take(count), "little", signed=True))

    def line_literal(self) -> None:
        """INT, LONG, FLOAT, STRING, UNICODE: one line."""
        place = self.place
        value = literal(self.stream.reader.pread, place, len(self.stream.line()) + 1)
        if value is ...:
            raise Malformed(f"the pickle holds a literal that is none at {place:#x}")
        self._stack.push(value)

    def counted(self) -> None:
        """Text and bytes after their length."""
        opcode = self._opcode
        size = self.stream.number(_COUNTS[opcode])
        if size > _HELD:
            where = self.stream.reader.window(self.stream.position, size)
            self.stream.skip(size)
            self._stack.push(LongText(where) if opcode in _TEXT else where)
            return
        raw = self.stream.take(size)
        if opcode in _TEXT or (opcode in _OLD_TEXT and raw.isascii()):
            self._stack.push(raw.decode("utf-8", "surrogatepass"))
        else:
            self._stack.push(raw)

    def empty_tuple(self) -> None:
        self._stack.push(())

    def tuple1(self) -> None:
        self._stack.push((self._stack.pop(),))

    def tuple2(self) -> None:
        last = self._stack.pop()
        self._stack.push((self._stack.pop(), last))

    def tuple3(self) -> None:
        last, middle = self._stack.pop(), self._stack.pop()
        self._stack.push((self._stack.pop(), middle, last))

    def tuple_(self) -> None:
        items = tuple(self._stack.pop_mark())
        self._stack.push(items)

    def empty_list(self) -> None:
        self._stack.push([])

    def list_(self) -> None:
        items = self._stack.pop_mark()
        self._stack.push(items)

    def empty_dict(self) -> None:
        self._stack.push(Mapping())

    def dict_(self) -> None:
        items = self._stack.pop_mark()
        self._stack.push(Mapping(_pairs(items)))

    def empty_set(self) -> None:
        self._stack.push(Collection([]))

    def frozen_set(self) -> None:
        items = self._stack.pop_mark()
        self._stack.push(Collection(items))

    def append(self) -> None:
        item = self._stack.pop()
        self._extend([item])

    def appends(self) -> None:
        items = self._stack.pop_mark()
        self._extend(items)

    def _extend(self, items: list[Value]) -> None:
        match self._stack.top:
            case list() as target:
                target += items
            case Collection(items=known) | Opaque(items=known):
                known += items
            case _:
                self.act("items added to what is no list", *items)

    def set_item(self) -> None:
        value = self._stack.pop()
        self._set([(self._stack.pop(), value)])

    def set_items(self) -> None:
        self._set(_pairs(self._stack.pop_mark()))

    def _set(self, pairs: list[tuple[Value, Value]]) -> None:
        match self._stack.top:
            case Mapping(entries=known) | Opaque(entries=known):
                known += pairs
            case _:
                self.act("items set on what is no dictionary", *(value for _, value in pairs))

    def put(self) -> None:
        self._stack.memo[int(self.stream.line()[:20])] = self._stack.top

    def bin_put(self) -> None:
        self._stack.memo[self.stream.number(1)] = self._stack.top

    def long_bin_put(self) -> None:
        self._stack.memo[self.stream.number(4)] = self._stack.top

    def memoize(self) -> None:
        self._stack.memo[len(self._stack.memo)] = self._stack.top

    def get(self) -> None:
        self._recall(int(self.stream.line()[:20]))

    def bin_get(self) -> None:
        self._recall(self.stream.number(1))

    def long_bin_get(self) -> None:
        self._recall(self.stream.number(4))

    def _recall(self, index: int) -> None:
        if index not in self._stack.memo:
            raise Malformed(f"the pickle gets memo entry {index}, which was never put, at {self.place:#x}")
        self._stack.push(self._stack.memo[index])


def _pairs(items: list[Value]) -> list[tuple[Value, Value]]:
    return list(zip(items[::2], items[1::2], strict=True))


PLAIN: Final = {
    "(": PlainOpcodes.mark,
    "0": PlainOpcodes.pop,
    "1": PlainOpcodes.pop_mark,
    "2": PlainOpcodes.dup,
    **dict.fromkeys("FILSV", PlainOpcodes.line_literal),
    **{chr(opcode): PlainOpcodes.counted for opcode in _COUNTS},
    "J": PlainOpcodes.bin_int,
    "K": PlainOpcodes.bin_int1,
    "M": PlainOpcodes.bin_int2,
    "N": PlainOpcodes.none,
    "G": PlainOpcodes.bin_float,
    "a": PlainOpcodes.append,
    "d": PlainOpcodes.dict_,
    "}": PlainOpcodes.empty_dict,
    "e": PlainOpcodes.appends,
    "g": PlainOpcodes.get,
    "h": PlainOpcodes.bin_get,
    "j": PlainOpcodes.long_bin_get,
    "l": PlainOpcodes.list_,
    "]": PlainOpcodes.empty_list,
    "p": PlainOpcodes.put,
    "q": PlainOpcodes.bin_put,
    "r": PlainOpcodes.long_bin_put,
    "s": PlainOpcodes.set_item,
    "t": PlainOpcodes.tuple_,
    ")": PlainOpcodes.empty_tuple,
    "u": PlainOpcodes.set_items,
    "\x85": PlainOpcodes.tuple1,
    "\x86": PlainOpcodes.tuple2,
    "\x87": PlainOpcodes.tuple3,
    "\x88": PlainOpcodes.true,
    "\x89": PlainOpcodes.false,
    "\x8a": PlainOpcodes.long1,
    "\x8b": PlainOpcodes.long4,
    "\x8f": PlainOpcodes.empty_set,
    "\x90": PlainOpcodes.appends,
    "\x91": PlainOpcodes.frozen_set,
    "\x94": PlainOpcodes.memoize,
}
"""The methods by their opcodes, as characters."""
