"""Evaluates pickles into inert values: no import, no call, no object of a class that the pickle names.

What would be a call becomes an `Opaque`, but for the few callables that the rules handed in know: their results are
numbers, text, containers, arrays and tensors. Where CPython's unpicklers read the same bytes differently (at the ends
of frames), one reading is taken: whatever it holds is inert. Source: `Lib/pickle.py` of CPython 3.11.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from garrison.artifacts.disarm.plain_opcodes import PLAIN, PlainOpcodes
from garrison.artifacts.disarm.values import Mapping, Opaque, Reference, Value
from garrison.artifacts.pickle.literals import decode_line, decode_utf8
from garrison.artifacts.pickle.opcodes import HIGHEST_PROTOCOL
from garrison.core.errors import LimitExceeded, Malformed
from garrison.sources.reader import Reader
from garrison.sources.source import Context

_CHECKED = 1 << 12
_DEPTH = 8
_RENAMED_UNTIL = 3

UNKNOWN: Final = object()
"""The answer of a rule that does not know what the call would give."""

Persistent = Callable[[Value], Value]
Rule = Callable[["Unpickling", tuple[Value, ...]], Value]
"""What a call with these arguments gives, or `UNKNOWN`."""


@dataclass(frozen=True)
class Rules:
    """What is known of classes and functions without calling them; for all others only calling would tell."""

    calls: dict[str, Rule]
    """What functions and classes give when they are called, by whole name."""
    objects: dict[str, Rule]
    """What `__new__` of classes gives, by whole name."""
    states: dict[type, Callable[["Unpickling", Any, Value], Value]]
    """What stands for a value after BUILD with a state, by the value's class here."""


class Stopped(Exception):
    """The stream has come to its STOP, with this value."""

    def __init__(self, value: Value) -> None:
        self.value = value


class Unpickling(PlainOpcodes):
    """One unpickler at work on one stream."""

    def __init__(
        self,
        reader: Reader,
        context: Context,
        rules: Rules,
        *,
        acts: list[Opaque] | None = None,
        persistent: Persistent | None = None,
        depth: int = 0,
    ) -> None:
        """`persistent` gives the value of a persistent id; without it each is an `Opaque`."""
        super().__init__(reader, acts)
        self.context = context
        self.rules = rules
        self.persistent = persistent
        self.depth = depth
        """How many pickles this one stands in."""
        self._protocol = 0

    def load(self, start: int = 0) -> Value:
        """The value of the stream at `start`; afterwards `stream` is just behind it.

        Raises `Malformed` where the stream breaks, and `LimitExceeded`.
        """
        stream = self.stream
        stream.go(start)
        self._protocol = 0
        self._stack.clear()
        count = 0
        try:
            while True:
                if not count & (_CHECKED - 1):
                    self.context.check_time()
                count += 1
                self.place = stream.position
                self._opcode = stream.take(1)[0]
                _OPCODES[self._opcode](self)
        except Stopped as stopped:
            return stopped.value
        except IndexError:
            raise Malformed(f"the pickle takes from an empty stack at {self.place:#x}") from None
        except (ValueError, struct.error, UnicodeError, KeyError) as error:
            raise Malformed(f"the pickle breaks at {self.place:#x}: {error}"[:200]) from None

    # ---------------------------------------------------------------- what rules ask for

    def nested(self) -> Value:
        """The value of a pickle that stands in this one, just here."""
        if self.depth >= _DEPTH:
            raise LimitExceeded("depth", f"pickles inside pickles, more than {_DEPTH} deep")
        stream = self.stream
        inner = Unpickling(stream.reader, self.context, self.rules, acts=self.acts, depth=self.depth + 1)
        value = inner.load(stream.position)
        stream.position = inner.stream.position
        return value

    def result(self, function: Reference, arguments: tuple[Value, ...]) -> Value:
        """What a call gives; `UNKNOWN` where only calling would tell."""
        rule = self.rules.calls.get(function.whole)
        return UNKNOWN if rule is None else rule(self, arguments)

    def instance(self, kind: Reference, arguments: tuple[Value, ...]) -> Value:
        """What `kind.__new__` gives; `UNKNOWN` where that is an object of its own."""
        rule = self.rules.objects.get(kind.whole)
        return UNKNOWN if rule is None else rule(self, arguments)

    # ---------------------------------------------------------------- opcodes

    def proto(self) -> None:
        self._protocol = self.stream.number(1)
        if self._protocol > HIGHEST_PROTOCOL:
            raise Malformed(f"asks for protocol {self._protocol} of pickle")

    def frame(self) -> None:
        self.stream.take(8)

    def stop(self) -> None:
        raise Stopped(self._stack.pop())

    def global_(self) -> None:
        module = decode_utf8(self.stream.line())
        self._stack.push(self._reference(module, decode_utf8(self.stream.line())))

    def stack_global(self) -> None:
        name, module = self._stack.pop(), self._stack.pop()
        if isinstance(name, str) and isinstance(module, str):
            self._stack.push(self._reference(module, name))
        else:
            self._stack.push(self.act("a global whose name is computed", module, name))

    def _reference(self, module: str, name: str) -> Reference:
        """A global by its name of today: pickles of old name those of Python 2."""
        if self._protocol < _RENAMED_UNTIL:
            from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING

            module, name = NAME_MAPPING.get((module, name), (IMPORT_MAPPING.get(module, module), name))
        return Reference(module, name, self.place)

    def extension1(self) -> None:
        self._stack.push(self.act(f"extension {self.stream.number(1)} of copyreg"))

    def extension2(self) -> None:
        self._stack.push(self.act(f"extension {self.stream.number(2)} of copyreg"))

    def extension4(self) -> None:
        self._stack.push(self.act(f"extension {self.stream.number(4)} of copyreg"))

    def reduce(self) -> None:
        arguments = self._stack.pop()
        self._stack.push(self._called(self._stack.pop(), arguments))

    def new_object(self) -> None:
        arguments = self._stack.pop()
        self._stack.push(self._made(self._stack.pop(), arguments))

    def new_object_with_keywords(self) -> None:
        keywords, arguments = self._stack.pop(), self._stack.pop()
        made = self._made(self._stack.pop(), arguments)
        if isinstance(made, Opaque) and isinstance(keywords, Mapping):
            made.arguments += tuple(value for _, value in keywords.entries)
        self._stack.push(made)

    def inst(self) -> None:
        module = decode_line(self.stream.line(), "ascii")
        function = self._reference(module, decode_line(self.stream.line(), "ascii"))
        arguments = tuple(self._stack.pop_mark())
        self._stack.push(self._made(function, arguments))

    def obj(self) -> None:
        items = self._stack.pop_mark()
        self._stack.push(self._made(items[0], tuple(items[1:])))

    def _called(self, function: Value, arguments: Value) -> Value:
        known = arguments if isinstance(arguments, tuple) else (arguments,)
        if isinstance(function, Reference):
            if isinstance(arguments, tuple):
                found = self.result(function, arguments)
                if found is not UNKNOWN:
                    return found
            return self.act(f"call of {function.whole}", *known)
        if isinstance(function, Opaque):
            return self.act(f"call of the result of: {function.reason}", *known)
        return self.act("call of what cannot be called", *known)

    def _made(self, function: Value, arguments: Value) -> Value:
        """What NEWOBJ makes, and the opcodes of old: an object of a class, if it is one."""
        known = arguments if isinstance(arguments, tuple) else (arguments,)
        if not isinstance(function, Reference):
            return self._called(function, arguments)
        found = self.instance(function, known)
        return self.act(f"object of {function.whole}", *known) if found is UNKNOWN else found

    def build(self) -> None:
        state = self._stack.pop()
        target = self._stack.top
        rule = self.rules.states.get(type(target))
        if rule is not None:
            self._stack.top = rule(self, target, state)
        elif isinstance(target, Mapping):
            target.attributes.append(state)
        elif isinstance(target, Opaque):
            target.states.append(state)
        elif isinstance(target, Reference):
            self.act(f"change of {target.whole} itself", state)
        elif state not in (None, ()):
            self.act("state given to what has none", state)

    def persistent_line(self) -> None:
        self._persist(self.stream.line().decode("ascii", "backslashreplace"))

    def persistent_id(self) -> None:
        self._persist(self._stack.pop())

    def _persist(self, identifier: Value) -> None:
        if self.persistent is None:
            self._stack.push(self.act("an object that is kept outside of the pickle", identifier))
        else:
            self._stack.push(self.persistent(identifier))

    def next_buffer(self) -> None:
        self._stack.push(self.act("a buffer that is kept outside of the pickle"))

    def read_only(self) -> None:
        _ = self._stack.top

    def unknown(self) -> None:
        raise Malformed(f"no opcode of pickle stands at {self.place:#x}")


_NAMED: dict[str, Callable[[Unpickling], None]] = {
    **PLAIN,
    ".": Unpickling.stop,
    "P": Unpickling.persistent_line,
    "Q": Unpickling.persistent_id,
    "R": Unpickling.reduce,
    "b": Unpickling.build,
    "c": Unpickling.global_,
    "i": Unpickling.inst,
    "o": Unpickling.obj,
    "\x80": Unpickling.proto,
    "\x81": Unpickling.new_object,
    "\x82": Unpickling.extension1,
    "\x83": Unpickling.extension2,
    "\x84": Unpickling.extension4,
    "\x92": Unpickling.new_object_with_keywords,
    "\x93": Unpickling.stack_global,
    "\x95": Unpickling.frame,
    "\x97": Unpickling.next_buffer,
    "\x98": Unpickling.read_only,
}
_OPCODES = [_NAMED.get(chr(opcode), Unpickling.unknown) for opcode in range(256)]
