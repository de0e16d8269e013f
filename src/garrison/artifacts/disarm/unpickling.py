"""Evaluates pickles into inert values: no import, no call, no object of a class that the pickle names.

What would be a call becomes an `Opaque`, but for the few callables of `callables`, whose results are known to be
numbers, text, containers, arrays and tensors. Where CPython's unpicklers read the same bytes differently (at the ends
of frames), one reading is taken: whatever it holds is inert. Source: `Lib/pickle.py` of CPython 3.11.
"""

import struct
from collections.abc import Callable

from garrison.artifacts.disarm.values import Array, Collection, Element, LongText, Mapping, Opaque, Reference, Value
from garrison.artifacts.pickle.literals import decode_line, decode_utf8, literal
from garrison.artifacts.pickle.opcodes import HIGHEST_PROTOCOL
from garrison.core.errors import LimitExceeded, Malformed
from garrison.sources.reader import Reader
from garrison.sources.source import Context

_HELD = 4096
"""Bytes of a literal that is held itself; a longer one stays where it is."""
_LINE = 16 << 20
_WINDOW = 1 << 18
_PUSHED = 4_000_000
_CHECKED = 1 << 12
_BIG_NUMBER = 256
_DEPTH = 8
_RENAMED_UNTIL = 3

_COUNTS = {0x55: 1, 0x43: 1, 0x8C: 1, 0x58: 4, 0x42: 4, 0x54: 4, 0x8D: 8, 0x8E: 8, 0x96: 8}
_TEXT = frozenset(b"\x8cX\x8d")
_OLD_TEXT = frozenset(b"UT")

Persistent = Callable[[Value], Value]


class Stopped(Exception):
    """The stream has come to its STOP, with this value."""

    def __init__(self, value: Value) -> None:
        self.value = value


class Unpickling:
    """One unpickler at work on one stream."""

    def __init__(
        self,
        reader: Reader,
        context: Context,
        *,
        acts: list[Opaque] | None = None,
        persistent: Persistent | None = None,
        depth: int = 0,
    ) -> None:
        """`persistent` gives the value of a persistent id; without it each is an `Opaque`."""
        self.reader = reader
        self.context = context
        self.persistent = persistent
        self.acts: list[Opaque] = [] if acts is None else acts
        """All that would have run code, in order, whether or not the result holds it."""
        self.depth = depth
        """How many pickles this one stands in."""
        self.position = 0
        self.place = 0
        self._data = b""
        self._base = 0
        self._stack: list[Value] = []
        self._marks: list[list[Value]] = []
        self._memo: dict[int, Value] = {}
        self._pushed = 0
        self._protocol = 0

    def load(self, start: int = 0) -> Value:
        """The value of the stream at `start`; afterwards `position` is just behind it.

        Raises `Malformed` where the stream breaks, and `LimitExceeded`.
        """
        self.position = self._base = start
        self._data = b""
        self._protocol = 0
        self._stack, self._marks, self._memo = [], [], {}
        count = 0
        try:
            while True:
                if not count & (_CHECKED - 1):
                    self.context.check_time()
                count += 1
                self.place = self.position
                opcode = self._take(1)[0]
                _OPCODES[opcode](self)
        except Stopped as stopped:
            return stopped.value
        except IndexError:
            raise Malformed(f"the pickle takes from an empty stack at {self.place:#x}") from None
        except (ValueError, struct.error, UnicodeError, KeyError) as error:
            raise Malformed(f"the pickle breaks at {self.place:#x}: {error}"[:200]) from None

    # ---------------------------------------------------------------- bytes

    def _take(self, count: int) -> bytes:
        start = self.position - self._base
        data = self._data[start : start + count]
        if len(data) < count:
            self._data = self.reader.pread(self.position, max(_WINDOW, count))
            self._base = self.position
            data = self._data[:count]
            if len(data) < count:
                raise Malformed(f"the pickle ends too early, at {self.position + len(data):#x}")
        self.position += count
        return data

    def _line(self) -> bytes:
        line = bytearray()
        while True:
            self._take(1)
            self.position -= 1
            start = self.position - self._base
            end = self._data.find(b"\n", start)
            line += self._data[start : end if end >= 0 else len(self._data)]
            if len(line) > _LINE:
                raise LimitExceeded("buffer", "a line of a pickle is too long")
            if end >= 0:
                self.position = self._base + end + 1
                return bytes(line)
            self.position = self._base + len(self._data)

    def _number(self, size: int) -> int:
        return int.from_bytes(self._take(size), "little")

    def skip(self, count: int) -> None:
        """Go on behind bytes that are no pickle."""
        if count and not self.reader.pread(self.position + count - 1, 1):
            raise Malformed(f"the pickle ends too early, in the {count:,} bytes at {self.position:#x}")
        self.position += count

    def nested(self, start: int) -> Value:
        """The value of a pickle that stands in this one at `start`."""
        if self.depth >= _DEPTH:
            raise LimitExceeded("depth", f"pickles inside pickles, more than {_DEPTH} deep")
        inner = Unpickling(self.reader, self.context, acts=self.acts, depth=self.depth + 1)
        value = inner.load(start)
        self.position = inner.position
        return value

    # ---------------------------------------------------------------- stack

    def push(self, value: Value) -> None:
        self._pushed += 1
        if self._pushed > _PUSHED:
            raise LimitExceeded("memory", f"a pickle of more than {_PUSHED:,} values")
        self._stack.append(value)

    def _pop(self) -> Value:
        return self._stack.pop()

    def _pop_mark(self) -> list[Value]:
        items = self._stack
        self._stack = self._marks.pop()
        return items

    def act(self, reason: str, *arguments: Value) -> Opaque:
        """A value that only running code would make."""
        made = Opaque(reason, self.place, arguments)
        self.acts.append(made)
        return made

    # ---------------------------------------------------------------- opcodes

    def proto(self) -> None:
        self._protocol = self._number(1)
        if self._protocol > HIGHEST_PROTOCOL:
            raise Malformed(f"asks for protocol {self._protocol} of pickle")

    def frame(self) -> None:
        self._take(8)

    def stop(self) -> None:
        raise Stopped(self._pop())

    def mark(self) -> None:
        self._pushed += 1
        if self._pushed > _PUSHED:
            raise LimitExceeded("memory", f"a pickle of more than {_PUSHED:,} values")
        self._marks.append(self._stack)
        self._stack = []

    def pop(self) -> None:
        if self._stack:
            self._stack.pop()
        else:
            self._pop_mark()

    def pop_mark(self) -> None:
        self._pop_mark()

    def dup(self) -> None:
        self.push(self._stack[-1])

    def none(self) -> None:
        self.push(None)

    def true(self) -> None:
        self.push(True)

    def false(self) -> None:
        self.push(False)

    def bin_int1(self) -> None:
        self.push(self._take(1)[0])

    def bin_int2(self) -> None:
        self.push(self._number(2))

    def bin_int(self) -> None:
        self.push(int.from_bytes(self._take(4), "little", signed=True))

    def bin_float(self) -> None:
        self.push(struct.unpack(">d", self._take(8))[0])

    def long1(self) -> None:
        self.push(int.from_bytes(self._take(self._number(1)), "little", signed=True))

    def long4(self) -> None:
        count = self._number(4)
        if count > _BIG_NUMBER:
            raise LimitExceeded("buffer", f"a number of {count:,} bytes")
        self.push(int.from_bytes(self._take(count), "little", signed=True))

    def line_literal(self) -> None:
        """INT, LONG, FLOAT, STRING, UNICODE: one line."""
        place = self.place
        value = literal(self.reader.pread, place, len(self._line()) + 1)
        if value is ...:
            raise Malformed(f"the pickle holds a literal that is none at {place:#x}")
        self.push(value)

    def counted(self) -> None:
        """Text and bytes after their length."""
        opcode = self._data[self.place - self._base]
        size = self._number(_COUNTS[opcode])
        if size > _HELD:
            start = self.position
            if not self.reader.pread(start + size - 1, 1):
                raise Malformed(f"the pickle claims a literal of {size:,} bytes at {self.place:#x}")
            self.position += size
            where = self.reader.window(start, size)
            self.push(LongText(where) if opcode in _TEXT else where)
            return
        raw = self._take(size)
        if opcode in _TEXT or (opcode in _OLD_TEXT and raw.isascii()):
            self.push(raw.decode("utf-8", "surrogatepass"))
        else:
            self.push(raw)

    def empty_tuple(self) -> None:
        self.push(())

    def tuple1(self) -> None:
        self.push((self._pop(),))

    def tuple2(self) -> None:
        last = self._pop()
        self.push((self._pop(), last))

    def tuple3(self) -> None:
        last, middle = self._pop(), self._pop()
        self.push((self._pop(), middle, last))

    def tuple_(self) -> None:
        items = tuple(self._pop_mark())
        self.push(items)

    def empty_list(self) -> None:
        self.push([])

    def list_(self) -> None:
        items = self._pop_mark()
        self.push(items)

    def empty_dict(self) -> None:
        self.push(Mapping())

    def dict_(self) -> None:
        items = self._pop_mark()
        self.push(Mapping(_pairs(items)))

    def empty_set(self) -> None:
        self.push(Collection([]))

    def frozen_set(self) -> None:
        items = self._pop_mark()
        self.push(Collection(items))

    def append(self) -> None:
        item = self._pop()
        self._extend([item])

    def appends(self) -> None:
        items = self._pop_mark()
        self._extend(items)

    def _extend(self, items: list[Value]) -> None:
        match self._stack[-1]:
            case list() as target:
                target += items
            case Collection(items=known) | Opaque(items=known):
                known += items
            case _:
                self.act("items added to what is no list", *items)

    def set_item(self) -> None:
        value = self._pop()
        self._set([(self._pop(), value)])

    def set_items(self) -> None:
        self._set(_pairs(self._pop_mark()))

    def _set(self, pairs: list[tuple[Value, Value]]) -> None:
        match self._stack[-1]:
            case Mapping(entries=known) | Opaque(entries=known):
                known += pairs
            case _:
                self.act("items set on what is no dictionary", *(value for _, value in pairs))

    def put(self) -> None:
        self._memo[int(self._line()[:20])] = self._stack[-1]

    def bin_put(self) -> None:
        self._memo[self._number(1)] = self._stack[-1]

    def long_bin_put(self) -> None:
        self._memo[self._number(4)] = self._stack[-1]

    def memoize(self) -> None:
        self._memo[len(self._memo)] = self._stack[-1]

    def get(self) -> None:
        self._recall(int(self._line()[:20]))

    def bin_get(self) -> None:
        self._recall(self._number(1))

    def long_bin_get(self) -> None:
        self._recall(self._number(4))

    def _recall(self, index: int) -> None:
        if index not in self._memo:
            raise Malformed(f"the pickle gets memo entry {index}, which was never put, at {self.place:#x}")
        self.push(self._memo[index])

    def global_(self) -> None:
        module = decode_utf8(self._line())
        self.push(self._reference(module, decode_utf8(self._line())))

    def stack_global(self) -> None:
        name, module = self._pop(), self._pop()
        if isinstance(name, str) and isinstance(module, str):
            self.push(self._reference(module, name))
        else:
            self.push(self.act("a global whose name is computed", module, name))

    def _reference(self, module: str, name: str) -> Reference:
        """A global by its name of today: pickles of old name those of Python 2."""
        if self._protocol < _RENAMED_UNTIL:
            from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING

            module, name = NAME_MAPPING.get((module, name), (IMPORT_MAPPING.get(module, module), name))
        return Reference(module, name, self.place)

    def extension1(self) -> None:
        self.push(self.act(f"extension {self._number(1)} of copyreg"))

    def extension2(self) -> None:
        self.push(self.act(f"extension {self._number(2)} of copyreg"))

    def extension4(self) -> None:
        self.push(self.act(f"extension {self._number(4)} of copyreg"))

    def reduce(self) -> None:
        arguments = self._pop()
        self.push(self._called(self._pop(), arguments))

    def new_object(self) -> None:
        arguments = self._pop()
        self.push(self._made(self._pop(), arguments))

    def new_object_with_keywords(self) -> None:
        keywords, arguments = self._pop(), self._pop()
        made = self._made(self._pop(), arguments)
        if isinstance(made, Opaque) and isinstance(keywords, Mapping):
            made.arguments += tuple(value for _, value in keywords.entries)
        self.push(made)

    def inst(self) -> None:
        module = decode_line(self._line(), "ascii")
        function = self._reference(module, decode_line(self._line(), "ascii"))
        arguments = tuple(self._pop_mark())
        self.push(self._made(function, arguments))

    def obj(self) -> None:
        items = self._pop_mark()
        self.push(self._made(items[0], tuple(items[1:])))

    def _called(self, function: Value, arguments: Value) -> Value:
        from garrison.artifacts.disarm import callables

        known = arguments if isinstance(arguments, tuple) else (arguments,)
        if isinstance(function, Reference):
            if isinstance(arguments, tuple):
                found = callables.result(self, function, arguments)
                if found is not callables.UNKNOWN:
                    return found
            return self.act(f"call of {function.whole}", *known)
        if isinstance(function, Opaque):
            return self.act(f"call of the result of: {function.reason}", *known)
        return self.act("call of what cannot be called", *known)

    def _made(self, function: Value, arguments: Value) -> Value:
        """What NEWOBJ makes, and the opcodes of old: an object of a class, if it is one."""
        from garrison.artifacts.disarm import callables

        known = arguments if isinstance(arguments, tuple) else (arguments,)
        if not isinstance(function, Reference):
            return self._called(function, arguments)
        found = callables.instance(self, function, known)
        return self.act(f"object of {function.whole}", *known) if found is callables.UNKNOWN else found

    def build(self) -> None:
        from garrison.artifacts.disarm import callables

        state = self._pop()
        target = self._stack[-1]
        if isinstance(target, Element | Array | callables.Wrapper):
            self._stack[-1] = callables.with_state(self, target, state)
        elif isinstance(target, Mapping):
            target.attributes.append(state)
        elif isinstance(target, Opaque):
            target.states.append(state)
        elif isinstance(target, Reference):
            self.act(f"change of {target.whole} itself", state)
        elif state not in (None, ()):
            self.act("state given to what has none", state)

    def persistent_line(self) -> None:
        self._persist(self._line().decode("ascii", "backslashreplace"))

    def persistent_id(self) -> None:
        self._persist(self._pop())

    def _persist(self, identifier: Value) -> None:
        if self.persistent is None:
            self.push(self.act("an object that is kept outside of the pickle", identifier))
        else:
            self.push(self.persistent(identifier))

    def next_buffer(self) -> None:
        self.push(self.act("a buffer that is kept outside of the pickle"))

    def read_only(self) -> None:
        _ = self._stack[-1]

    def unknown(self) -> None:
        raise Malformed(f"no opcode of pickle stands at {self.place:#x}")


def _pairs(items: list[Value]) -> list[tuple[Value, Value]]:
    return list(zip(items[::2], items[1::2], strict=True))


_NAMED: dict[str, Callable[[Unpickling], None]] = {
    "(": Unpickling.mark,
    ".": Unpickling.stop,
    "0": Unpickling.pop,
    "1": Unpickling.pop_mark,
    "2": Unpickling.dup,
    **dict.fromkeys("FILSV", Unpickling.line_literal),
    **{chr(opcode): Unpickling.counted for opcode in _COUNTS},
    "J": Unpickling.bin_int,
    "K": Unpickling.bin_int1,
    "M": Unpickling.bin_int2,
    "N": Unpickling.none,
    "P": Unpickling.persistent_line,
    "Q": Unpickling.persistent_id,
    "R": Unpickling.reduce,
    "G": Unpickling.bin_float,
    "a": Unpickling.append,
    "b": Unpickling.build,
    "c": Unpickling.global_,
    "d": Unpickling.dict_,
    "}": Unpickling.empty_dict,
    "e": Unpickling.appends,
    "g": Unpickling.get,
    "h": Unpickling.bin_get,
    "i": Unpickling.inst,
    "j": Unpickling.long_bin_get,
    "l": Unpickling.list_,
    "]": Unpickling.empty_list,
    "o": Unpickling.obj,
    "p": Unpickling.put,
    "q": Unpickling.bin_put,
    "r": Unpickling.long_bin_put,
    "s": Unpickling.set_item,
    "t": Unpickling.tuple_,
    ")": Unpickling.empty_tuple,
    "u": Unpickling.set_items,
    "\x80": Unpickling.proto,
    "\x81": Unpickling.new_object,
    "\x82": Unpickling.extension1,
    "\x83": Unpickling.extension2,
    "\x84": Unpickling.extension4,
    "\x85": Unpickling.tuple1,
    "\x86": Unpickling.tuple2,
    "\x87": Unpickling.tuple3,
    "\x88": Unpickling.true,
    "\x89": Unpickling.false,
    "\x8a": Unpickling.long1,
    "\x8b": Unpickling.long4,
    "\x8f": Unpickling.empty_set,
    "\x90": Unpickling.appends,
    "\x91": Unpickling.frozen_set,
    "\x92": Unpickling.new_object_with_keywords,
    "\x93": Unpickling.stack_global,
    "\x94": Unpickling.memoize,
    "\x95": Unpickling.frame,
    "\x97": Unpickling.next_buffer,
    "\x98": Unpickling.read_only,
}
_OPCODES = [_NAMED.get(chr(opcode), Unpickling.unknown) for opcode in range(256)]
