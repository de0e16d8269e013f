"""The abstract machine: follows CPython's unpickler over any bytes without building a single object.

It takes the union of the C and the Python unpickler: where one refuses and the other goes on, it goes on. What the
stack holds is described in `symbols`. Sources: `Lib/pickle.py` and `Modules/_pickle.c` of CPython 3.8 to 3.14.
"""

import re
import struct
import sys
from array import array
from collections.abc import Callable

from garrison.artifacts.pickle.ledger import Ledger
from garrison.artifacts.pickle.literals import decode_line, decode_utf8, eight_bit, literal
from garrison.artifacts.pickle.opcodes import ATOM_SIZE, COUNTED, HIGHEST_PROTOCOL
from garrison.artifacts.pickle.symbols import (
    ABSENT,
    CONTAINERS,
    EMPTY_TUPLE,
    SHARED,
    SYMBOLS,
    UNKNOWN,
    Broken,
    Symbol,
)
from garrison.core.errors import LimitExceeded
from garrison.sources.reader import Reader

LIST, DICTIONARY, SET, TUPLE = range(4)

_WINDOW = 1 << 20
_FIRST_WINDOW = 1 << 12
_MARGIN = 600
_LINE = 1 << 16
_MANY = 20_000
_MOST = 1 << 21
_DEEP = 1 << 25
_WIDTH = 64
_BOMB = 1e7
_CERTAIN = 1e60
_SPARSE = 200_000
_HUGE = 1 << 28

_NUMBERS = re.compile(rb"(?:K.|M..|J.{4}|G.{8}|[N\x88\x89]){16,}+(?=[eutld\x90\x91])", re.DOTALL).match
_SAME = re.compile(rb"(.)\1*+", re.DOTALL).match
_INTEGER = re.compile(rb"\s*[+-]?(?:0[xXoObB])?[0-9a-fA-F_]+L?\s*(?:\0.*)?|\0.*", re.DOTALL).fullmatch

_APPLIED = frozenset(b"R\x81\x92btQ")
_NUMBER_STARTS = frozenset(bytes([start]) for start in b"KMJGN\x88\x89")
_LITERAL_SIZES = {opcode: (struct.calcsize(form), struct.Struct(form).unpack_from) for opcode, form in COUNTED.items()}


Memory = tuple["array[int]", dict[int, int], int]
"""A memo: its dense part, its sparse part, and how many entries of the dense part are empty."""


class Ending:
    """How one stream ended."""

    __slots__ = ("detail", "frame_end", "opcode", "position", "stopped", "value")

    def __init__(self, position: int, *, stopped: bool, detail: str, value: int, frame_end: int) -> None:
        self.position = position
        """Just behind the STOP, or where it broke."""
        self.stopped = stopped
        self.detail = detail
        self.value = value
        self.frame_end = frame_end
        """Where the last frame said that it ends; unpicklers that read from files go on there."""


class Machine:
    """One unpickler at work; `run` is one `load`."""

    def __init__(
        self,
        reader: Reader,
        ledger: Ledger,
        *,
        check_time: Callable[[], None],
        look: Callable[[bytes, int], None] | None = None,
        patience: int | None = None,
    ) -> None:
        self.reader = reader
        self.ledger = ledger
        self.check_time = check_time
        self.look = look
        """Is shown each window of bytes that the machine reads."""
        self.patience = patience
        """How many bytes to go at most."""
        self.data = b""
        self.base = 0
        self.place = 0
        self.crossed = False
        """Whether something reached across the end of its frame, or may have."""
        self.nested_frame = False
        self.raw: list[tuple[int, int]] = []
        """Where arrays that stand in the stream itself begin, and where the stream goes on behind them."""
        self.disputed: list[int] = []
        """Where arrays begin that unpicklers find elsewhere, or that hold pickles that they read differently."""
        self.stack = array("q")
        self.marks = array("q")
        self.memo = array("q")
        self.sparse: dict[int, int] = {}
        self.stacked: dict[tuple[int, int], int] = {}
        """Globals by the literals that named them."""
        self.holes = 0
        self.weights = array("d")
        self.kinds = bytearray()
        self.details: dict[int, tuple[int, ...]] = {}
        self.older: dict[int, tuple[int, ...]] = {}
        self.frame_end = 0
        self.protocol = 0
        self.shared = False
        self.heaviest = 1.0
        self._final = False
        self._looked = 0

    # ---------------------------------------------------------------- values

    def container(self, kind: int, weight: float, items: tuple[int, ...] | None) -> int:
        """A new container; its items are remembered when there is room."""
        count = len(self.weights)
        if count >= _MOST:
            return SHARED
        self.weights.append(weight)
        self.kinds.append(kind)
        value = CONTAINERS - count
        if items is not None:
            self.remember(value, items)
        return value

    def remember(self, value: int, items: tuple[int, ...]) -> None:
        if len(self.details) >= _MANY:
            self.older = self.details
            self.details = {}
        self.details[value] = items[: _WIDTH + 1]

    def _extend(self, value: int, items: "array[int] | tuple[int, ...]") -> None:
        """Remember further items of a container, the first few; call it before its weight grows."""
        known = self.items(value)
        if known is not None and len(known) <= _WIDTH:
            self.remember(value, known + tuple(items[: _WIDTH + 1]))

    def items(self, value: int) -> tuple[int, ...] | None:
        """What a container holds, the first `_WIDTH` at least; None where that is not known."""
        if value == EMPTY_TUPLE:
            return ()
        found = self.details.get(value)
        if found is None:
            found = self.older.get(value)
        if found is None and SYMBOLS < value <= CONTAINERS and self.weights[CONTAINERS - value] == 1.0:
            return ()
        return found

    def kind(self, value: int) -> int | None:
        """`LIST`, `DICTIONARY`, `SET` or `TUPLE` for containers that can still be told apart."""
        if value == EMPTY_TUPLE:
            return TUPLE
        return self.kinds[CONTAINERS - value] if SYMBOLS < value <= CONTAINERS else None

    def is_container(self, value: int) -> bool:
        return value in (EMPTY_TUPLE, SHARED) or SYMBOLS < value <= CONTAINERS

    def symbol(self, value: int) -> Symbol | None:
        return self.ledger.symbols[SYMBOLS - value] if value <= SYMBOLS and value != ABSENT else None

    def literal(self, value: int, limit: int = 1 << 16) -> object:
        """What a literal says: text, bytes, a number; `...` for other values and for what is longer than `limit`."""
        if value < 0:
            symbol = self.symbol(value)
            return symbol.content if symbol is not None and symbol.content is not None else ...
        return literal(self.pread, value, limit)

    def spellings(self, value: int) -> list[str]:
        """Other texts that a literal of eight-bit characters becomes, if the loader gives another encoding."""
        found = eight_bit(self.pread, value) if value >= 0 else None
        return [found.decode("latin-1")] if found is not None and not found.isascii() else [str(self.literal(value))]

    def pread(self, offset: int, length: int) -> bytes:
        """Bytes of the stream, from the window at hand where it holds them."""
        start = offset - self.base
        if start >= 0 and start + length <= len(self.data):
            return self.data[start : start + length]
        return self.reader.pread(offset, length)

    def forget_window(self) -> None:
        """Read anew what was read ahead."""
        self.data = b""
        self.base = 0
        self._final = False
        self._looked = 0

    def share(self, other: "Machine") -> None:
        """Use another machine's containers, so that values of its memo mean the same here."""
        self.weights = other.weights
        self.kinds = other.kinds
        self.details = other.details
        self.older = other.older

    # ---------------------------------------------------------------- running

    def memory(self) -> Memory | None:
        """The memo as the last run left it, if it holds anything."""
        return (self.memo, self.sparse, self.holes) if self.memo or self.sparse else None

    def run(self, start: int, *, memory: Memory | None = None, frame_end: int = 0) -> Ending:
        """Follow one stream from `start` to its STOP or to where it breaks.

        An `Unpickler` that loads twice still has the `memory` of the first load, and may still be inside a frame
        that ends at `frame_end`. Raises `LimitExceeded` when the stream takes too long or too much.
        """
        self.stack = array("q")
        self.marks = array("q")
        self.memo = array("q") if memory is None else memory[0][:]
        self.sparse = {} if memory is None else dict(memory[1])
        self.holes = 0 if memory is None else memory[2]
        self.shared = False
        self.frame_end = frame_end
        self.place = start
        try:
            position, value = self._loop(start)
            return Ending(position, stopped=True, detail="", value=value, frame_end=self.frame_end)
        except Broken as broken:
            detail = str(broken)
        except (IndexError, struct.error):
            detail = "ends too early"
        # What broke may be an opcode that reaches across the end of its frame.
        self.crossed = self.crossed or bool(self.frame_end)
        return Ending(self.place, stopped=False, detail=detail, value=UNKNOWN, frame_end=0)

    def _loop(self, start: int) -> tuple[int, int]:
        stack = self.stack
        marks = self.marks
        memo = self.memo
        weights = self.weights
        kinds = self.kinds
        push = stack.append
        put = memo.append
        atom_size = ATOM_SIZE
        settled = self.ledger.settled
        ordinary = not self.sparse and not self.holes
        many = len(weights) >= _MANY
        shared = self.shared
        fence = 0
        data = self.data
        base = self.base
        window = _FIRST_WINDOW
        if base <= start < base + len(data):
            position = start - base
            reach = len(data) if self._final else len(data) - _MARGIN
        else:
            base = start
            position = 0
            reach = 0
        safe = 0
        limit = sys.maxsize if self.patience is None else start + self.patience
        while True:
            if position >= safe:
                absolute = base + position
                if self.frame_end:
                    if absolute > self.frame_end:
                        self.crossed = True
                    if absolute >= self.frame_end:
                        self.frame_end = 0
                if position >= reach:
                    if absolute > limit and self.reader.pread(absolute, 1):
                        raise LimitExceeded("buffer", "the sniffer reads no further")
                    self.check_time()
                    if len(stack) > _DEEP or len(memo) > _DEEP:
                        raise LimitExceeded("memory", f"needs a stack or memo of more than {_DEEP} entries")
                    many = len(weights) >= _MANY
                    shared = self.shared
                    self.place = absolute
                    if absolute > base + len(data):
                        window = _FIRST_WINDOW
                    data = self._window(absolute, window)
                    base = absolute
                    position = 0
                    # A long opcode may be cut at the end of a window, unless it is the last.
                    self._final = len(data) < window
                    reach = len(data) if self._final else len(data) - _MARGIN
                    window = min(window * 16, _WINDOW)
                    if not data:
                        raise Broken("ends without STOP")
                safe = reach
                if self.frame_end and self.frame_end - base < safe:
                    safe = self.frame_end - base
            opcode = data[position]
            size = atom_size[opcode]
            if size:
                push(base + position)
                position += size
            elif opcode > 0x7F:
                if opcode == 0x94:  # MEMOIZE
                    if len(stack) <= fence:
                        raise Broken("memoises an empty stack")
                    if ordinary:
                        put(stack[-1])
                    else:
                        self.place = base + position
                        self._put(len(memo) - self.holes + len(self.sparse), stack[-1])
                        ordinary = not self.sparse and not self.holes
                    position += 1
                elif opcode == 0x8C:  # SHORT_BINUNICODE
                    push(base + position)
                    position += 2 + data[position + 1]
                elif 0x85 <= opcode <= 0x87:  # TUPLE1, TUPLE2, TUPLE3
                    count = opcode - 0x84
                    if len(stack) - count < fence:
                        raise Broken("takes a tuple from too short a stack")
                    position += 1
                    if many:
                        follower = data[position] if position < len(data) else 0
                        memoised = follower == 0x94 and ordinary and position + 1 < len(data)
                        if memoised:
                            follower = data[position + 1]
                        if (follower not in _APPLIED or (follower == 0x52 and stack[-1 - count] in settled)) and not (
                            shared and min(stack[-count:]) < 0
                        ):
                            # One of very many: nobody asks what is in it.
                            if count > 1:
                                del stack[1 - count :]
                            stack[-1] = SHARED
                            if memoised:
                                put(SHARED)
                                position += 1
                            continue
                    items = stack[-count:]
                    weight = count + 1.0
                    if shared and min(items) < 0:
                        weight = self._weigh(items)
                    made = len(weights)
                    value = SHARED
                    if made < _MOST:
                        weights.append(weight)
                        kinds.append(3)
                        value = CONTAINERS - made
                        if made < _MANY or self._applied(position):
                            self.remember(value, tuple(items))
                    if count > 1:
                        del stack[1 - count :]
                    stack[-1] = value
                elif opcode == 0x8A or opcode == 0x8E or opcode == 0x8D:  # LONG1, BINBYTES8, BINUNICODE8
                    self.place = base + position
                    position = self._counted(opcode, base, position)
                else:
                    self.place = base + position
                    position = self._rare(opcode, base, position)
                    fence = marks[-1] if marks else 0
                    if self.frame_end and self.frame_end - base < safe:
                        safe = self.frame_end - base
                    ordinary = not self.sparse and not self.holes
                    shared = self.shared
            elif opcode > 0x5D:
                if opcode == 0x68 or opcode == 0x6A:  # BINGET, LONG_BINGET
                    if opcode == 0x68:
                        index = data[position + 1]
                        position += 2
                    else:
                        index = int.from_bytes(data[position + 1 : position + 5], "little")
                        position += 5
                        if position > len(data):
                            raise Broken("ends too early")
                    value = memo[index] if index < len(memo) else ABSENT
                    if value < 0:
                        if value == ABSENT:
                            self.place = base + position
                            value = self._get(index)
                        if value > SYMBOLS and self.heaviest < _CERTAIN:
                            self.shared = shared = True
                    push(value)
                elif opcode == 0x71 or opcode == 0x72:  # BINPUT, LONG_BINPUT
                    if opcode == 0x71:
                        index = data[position + 1]
                        position += 2
                    else:
                        index = int.from_bytes(data[position + 1 : position + 5], "little")
                        position += 5
                        if position > len(data):
                            raise Broken("ends too early")
                    if len(stack) <= fence:
                        raise Broken("memoises an empty stack")
                    if index == len(memo) and ordinary:
                        put(stack[-1])
                    else:
                        self.place = base + position
                        self._put(index, stack[-1])
                        ordinary = not self.sparse and not self.holes
                elif opcode == 0x65 or opcode == 0x75:  # APPENDS, SETITEMS
                    if not marks:
                        raise Broken("takes items without a mark")
                    marks.pop()
                    bottom = fence
                    fence = marks[-1] if marks else 0
                    if bottom <= fence:
                        raise Broken("adds items to an empty stack")
                    target = stack[bottom - 1]
                    position += 1
                    if SYMBOLS < target <= CONTAINERS:
                        index = CONTAINERS - target
                        if index < _MANY or (position < len(data) and data[position] in _APPLIED):
                            self._extend(target, stack[bottom : bottom + _WIDTH + 1])
                        if shared and bottom < len(stack):
                            weights[index] += self._weigh(stack[bottom:])
                        else:
                            weights[index] += len(stack) - bottom
                        del stack[bottom:]
                    else:
                        items = stack[bottom:]
                        del stack[bottom:]
                        if target != SHARED:
                            self.place = base + position
                            self._alter(opcode, target, tuple(items[: _WIDTH + 1]))
                elif opcode == 0x74:  # TUPLE
                    if not marks:
                        raise Broken("takes items without a mark")
                    items = stack[fence:]
                    del stack[fence:]
                    marks.pop()
                    fence = marks[-1] if marks else 0
                    position += 1
                    made = len(weights)
                    value = EMPTY_TUPLE if not items else SHARED
                    if items and made < _MOST:
                        weights.append(self._weigh(items) if shared and min(items) < 0 else 1.0 + len(items))
                        kinds.append(3)
                        value = CONTAINERS - made
                        if made < _MANY or self._applied(position):
                            self.remember(value, tuple(items[: _WIDTH + 1]))
                    push(value)
                elif opcode == 0x7D:  # EMPTY_DICT
                    made = len(weights)
                    if made < _MOST:
                        weights.append(1.0)
                        kinds.append(1)
                        push(CONTAINERS - made)
                        position += 1
                    else:
                        end = _SAME(data, position).end()  # type: ignore[union-attr]
                        stack.extend(array("q", [SHARED]) * (end - position))
                        position = end
                elif opcode == 0x61 or opcode == 0x73:  # APPEND, SETITEM
                    count = 1 if opcode == 0x61 else 2
                    if len(stack) - count <= fence:
                        raise Broken("adds an item to an empty stack")
                    position += 1
                    target = stack[-1 - count]
                    if SYMBOLS < target <= CONTAINERS:
                        index = CONTAINERS - target
                        if index < _MANY or (position < len(data) and data[position] in _APPLIED):
                            self._extend(target, stack[-count:])
                        weights[index] += self._weigh(stack[-count:]) if shared else count
                        del stack[-count:]
                    else:
                        items = stack[-count:]
                        del stack[-count:]
                        if target != SHARED:
                            self.place = base + position
                            self._alter(opcode, target, tuple(items))
                elif (opcode == 0x70 or opcode == 0x67) and 0 < (
                    end := data.find(b"\n", position, reach)
                ) < position + 12:
                    # PUT and GET of protocol 0.
                    digits = data[position + 1 : end]
                    if opcode == 0x70 and digits.isdigit() and int(digits) == len(memo) and ordinary:
                        if len(stack) <= fence:
                            raise Broken("memoises an empty stack")
                        put(stack[-1])
                        position = end + 1
                    elif opcode == 0x67 and digits.isdigit() and int(digits) < len(memo):
                        value = memo[int(digits)]
                        if value < 0:
                            if value == ABSENT:
                                self.place = base + position
                                value = self._get(int(digits))
                            if value > SYMBOLS and self.heaviest < _CERTAIN:
                                self.shared = shared = True
                        push(value)
                        position = end + 1
                    else:
                        self.place = base + position
                        position = self._rare(opcode, base, position)
                        ordinary = not self.sparse and not self.holes
                        shared = self.shared
                elif opcode == 0x6C or opcode == 0x64:  # LIST, DICT
                    if not marks:
                        raise Broken("takes items without a mark")
                    items = stack[fence:]
                    del stack[fence:]
                    marks.pop()
                    fence = marks[-1] if marks else 0
                    position += 1
                    made = len(weights)
                    value = SHARED
                    if made < _MOST:
                        weights.append(self._weigh(items) if shared and items and min(items) < 0 else 1.0 + len(items))
                        kinds.append(0 if opcode == 0x6C else 1)
                        value = CONTAINERS - made
                        if items and (made < _MANY or self._applied(position)):
                            self.remember(value, tuple(items[: _WIDTH + 1]))
                    push(value)
                else:
                    self.place = base + position
                    position = self._rare(opcode, base, position)
                    fence = marks[-1] if marks else 0
                    ordinary = not self.sparse and not self.holes
                    shared = self.shared
            elif opcode == 0x58:  # BINUNICODE
                push(base + position)
                position += 5 + int.from_bytes(data[position + 1 : position + 5], "little")
            elif opcode == 0x5D:  # EMPTY_LIST
                made = len(weights)
                if made < _MOST:
                    weights.append(1.0)
                    kinds.append(0)
                    push(CONTAINERS - made)
                    position += 1
                else:
                    end = _SAME(data, position).end()  # type: ignore[union-attr]
                    stack.extend(array("q", [SHARED]) * (end - position))
                    position = end
            elif opcode == 0x28:  # MARK
                position += 1
                fence = len(stack)
                marks.append(fence)
                if data[position : position + 3] == b"(((":
                    end = _SAME(data, position).end()  # type: ignore[union-attr]
                    marks.extend(array("q", [fence]) * (end - position))
                    position = end
                elif data[position : position + 1] in _NUMBER_STARTS:
                    run = _NUMBERS(data, position)
                    if run is not None:
                        # Numbers only, up to an opcode that takes all of them: nobody will ask for one alone.
                        end = run.end()
                        stack.frombytes(b"\xff" * (8 * min((end - position) >> 2, 1000)))
                        position = end
            elif opcode == 0x55 or opcode == 0x43:  # SHORT_BINSTRING, SHORT_BINBYTES
                push(base + position)
                position += 2 + data[position + 1]
            elif opcode == 0x52:  # REDUCE
                if len(stack) - 2 < fence:
                    raise Broken("takes from an empty stack")
                known = settled.get(stack[-2])
                if known is not None:
                    known[0][1] += 1
                    del stack[-1]
                    stack[-1] = known[1]
                    position += 1
                else:
                    self.place = base + position
                    position = self._rare(opcode, base, position)
                    ordinary = not self.sparse and not self.holes
                    shared = self.shared
            elif opcode == 0x29:  # EMPTY_TUPLE
                push(EMPTY_TUPLE)
                position += 1
            elif opcode == 0x2E:  # STOP
                self.place = base + position
                if len(stack) <= fence:
                    raise Broken("stops with an empty stack")
                return base + position + 1, stack[-1]
            elif opcode == 0x49 and 0 < (end := data.find(b"\n", position, reach)) < position + 24:
                line = data[position + 1 : end]  # INT
                if not line.isdigit() and not _number(opcode, line):
                    self.place = base + position
                    raise Broken("holds a number that is none")
                push(base + position)
                position = end + 1
            elif opcode == 0x56 and (end := data.find(b"\n", position, reach)) > 0:  # UNICODE
                push(base + position)
                position = end + 1
            else:
                self.place = base + position
                position = self._rare(opcode, base, position)
                fence = marks[-1] if marks else 0
                ordinary = not self.sparse and not self.holes
                shared = self.shared

    def _applied(self, position: int) -> bool:
        """Whether what stands on top of the stack is used by the next opcode but a memo's."""
        data = self.data[position : position + 6]
        skip = {0x94: 1, 0x71: 2, 0x72: 5}.get(data[0], 0) if data else 0
        if data[:1] == b"p":
            return True
        return len(data) > skip and data[skip] in _APPLIED

    def _window(self, absolute: int, length: int) -> bytes:
        data = self.reader.pread(absolute, length)
        self.data = data
        self.base = absolute
        if self.look is not None and absolute + len(data) > self._looked:
            self.look(data, absolute)
            self._looked = absolute + len(data)
        return data

    # ---------------------------------------------------------------- memo

    def _get(self, index: int) -> int:
        value = self.sparse.get(index, ABSENT) if index >= len(self.memo) else self.memo[index]
        if value == ABSENT:
            raise Broken(f"gets memo entry {index}, which was never put")
        return value

    def _put(self, index: int, value: int) -> None:
        memo = self.memo
        if index < len(memo):
            if memo[index] == ABSENT:
                self.holes -= 1
            memo[index] = value
        elif index == len(memo) or (index <= 2 * len(memo) + 1024 and not self.sparse):
            gap = index - len(memo)
            if gap:
                memo.extend(array("q", [ABSENT]) * gap)
                self.holes += gap
            memo.append(value)
            while self.sparse and len(memo) in self.sparse:
                memo.append(self.sparse.pop(len(memo)))
        else:
            if len(self.sparse) > _SPARSE and index not in self.sparse:
                raise LimitExceeded("memory", "the memo is too large and too sparse")
            self.sparse[index] = value
            if index >= _HUGE:
                self.ledger.anomaly(
                    "pickle-resource-bomb",
                    "asks for a memo entry beyond 268 million: CPython's unpickler allocates a memo of that length",
                    self.place,
                )

    # ---------------------------------------------------------------- weights

    def _weigh(self, items: "array[int] | tuple[int, ...]") -> float:
        """How large the items would be if every shared object were written out."""
        total = 1.0
        weights = self.weights
        for value in items:
            total += weights[CONTAINERS - value] if SYMBOLS < value <= CONTAINERS else 1.0
        if total > self.heaviest:
            self.heaviest = total
        if total > _CERTAIN:
            self.shared = False
        return total

    def is_bomb(self, size: int) -> bool:
        """Whether what was built is exponentially larger than `size`, the bytes that built it."""
        return self.heaviest > _BOMB and self.heaviest > float(size) ** 2

    # ---------------------------------------------------------------- stack

    def _pop(self) -> int:
        if len(self.stack) <= (self.marks[-1] if self.marks else 0):
            raise Broken("takes from an empty stack")
        return self.stack.pop()

    def _top(self) -> int:
        if len(self.stack) <= (self.marks[-1] if self.marks else 0):
            raise Broken("looks at an empty stack")
        return self.stack[-1]

    def _pop_mark(self) -> "array[int]":
        if not self.marks:
            raise Broken("takes items without a mark")
        fence = self.marks.pop()
        items = self.stack[fence:]
        del self.stack[fence:]
        return items

    def _alter(self, opcode: int, target: int, items: tuple[int, ...]) -> None:
        """Items are added to something that is no plain container."""
        symbol = self.symbol(target)
        if symbol is None:
            return
        if opcode in (0x75, 0x73):
            self.ledger.set_items(self, symbol, items)
        else:
            self.ledger.add_items(self, symbol, items)

    # ---------------------------------------------------------------- opcodes

    def _counted(self, opcode: int, base: int, position: int) -> int:
        """Skip an opcode with a counted argument, and push it as a literal."""
        size, unpack = _LITERAL_SIZES[opcode]
        (count,) = unpack(self.data, position + 1)
        if count < 0 or count > sys.maxsize:
            self.place = base + position
            raise Broken(f"claims a literal of {count} bytes")
        self.stack.append(base + position)
        return position + 1 + size + int(count)

    def _line(self, position: int) -> tuple[bytes, int]:
        """The line at `position` of the window without its newline, and the position behind it.

        As in the Python unpickler, the last line of the bytes loses its last byte if it has no newline.
        """
        data = self.data
        end = data.find(b"\n", position)
        if end >= 0:
            return data[position:end], end + 1
        absolute = self.base + position
        kept = b""
        for chunk in self.reader.chunks(absolute):
            end = chunk.find(b"\n")
            if len(kept) < _LINE:
                kept += chunk[: end if end >= 0 else None]
            if end >= 0:
                return kept[:_LINE], absolute + end + 1 - self.base
            absolute += len(chunk)
            self.check_time()
        return kept[:-1][:_LINE], absolute - self.base

    def _rare(self, opcode: int, base: int, position: int) -> int:
        """All opcodes that ordinary pickles hold few of; returns the position behind."""
        data = self.data
        stack = self.stack
        ledger = self.ledger
        place = base + position
        match opcode:
            case 0x52:  # REDUCE
                arguments = self._pop()
                function = self._top()
                stack[-1] = ledger.call(self, function, arguments)
                return position + 1
            case 0x81:  # NEWOBJ
                arguments = self._pop()
                function = self._pop()
                stack.append(ledger.make(self, function, arguments))
                return position + 1
            case 0x92:  # NEWOBJ_EX
                keywords = self._pop()
                arguments = self._pop()
                function = self._pop()
                stack.append(ledger.call(self, function, arguments, keywords))
                return position + 1
            case 0x62:  # BUILD
                state = self._pop()
                target = self._top()
                skipped = ledger.build(self, target, state, position + base + 1)
                if skipped:
                    self.raw.append((position + base + 1, skipped))
                    if self.frame_end > place + 1:
                        # Unpicklers that read whole frames find the array behind this one.
                        self.disputed.append(place + 1)
                    elif self.frame_end == place + 1:
                        self.frame_end = 0
                    stack[-1] = UNKNOWN
                    return skipped - base
                return position + 1
            case 0x63:  # GLOBAL
                module, position = self._line(position + 1)
                name, position = self._line(position)
                stack.append(ledger.resolve(decode_utf8(module), decode_utf8(name), place))
                return position
            case 0x93:  # STACK_GLOBAL
                name_value = self._pop()
                module_value = self._pop()
                stack.append(ledger.resolve_stack(self, module_value, name_value, place))
                return position + 1
            case 0x69:  # INST
                module, position = self._line(position + 1)
                name, position = self._line(position)
                function = ledger.resolve(decode_line(module, "ascii"), decode_line(name, "ascii"), place)
                items = tuple(self._pop_mark())
                stack.append(ledger.call(self, function, self.container(TUPLE, 1.0 + len(items), items)))
                return position
            case 0x6F:  # OBJ
                items = tuple(self._pop_mark())
                if not items:
                    raise Broken("instantiates nothing")
                arguments = self.container(TUPLE, float(len(items)), items[1:])
                stack.append(ledger.call(self, items[0], arguments))
                return position + 1
            case 0x82 | 0x83 | 0x84:  # EXT1, EXT2, EXT4
                size = (1, 2, 4)[opcode - 0x82]
                raw = data[position + 1 : position + 1 + size]
                if len(raw) < size:
                    raise Broken("ends too early")
                code = int.from_bytes(raw, "little", signed=size == 4)
                if code <= 0:
                    raise Broken(f"asks for extension code {code}")
                stack.append(ledger.extension(code, place))
                return position + 1 + size
            case 0x50:  # PERSID
                line, position = self._line(position + 1)
                ledger.persistent += 1
                stack.append(UNKNOWN)
                return position
            case 0x51:  # BINPERSID
                ledger.persistent_id(self, self._pop())
                stack.append(UNKNOWN)
                return position + 1
            case 0x80:  # PROTO
                if data[position + 1] > HIGHEST_PROTOCOL:
                    raise Broken(f"asks for protocol {data[position + 1]}, which no unpickler has")
                self.protocol = data[position + 1]
                ledger.protocol = max(ledger.protocol, self.protocol)
                return position + 2
            case 0x95:  # FRAME
                (length,) = struct.unpack_from("<Q", data, position + 1)
                if length > sys.maxsize:
                    raise Broken(f"claims a frame of {length} bytes")
                end = place + 9 + length
                if self.frame_end and place < self.frame_end:
                    # The C unpickler goes on in the outer frame, unless the inner one does not fit.
                    self.nested_frame = True
                    if end <= self.frame_end:
                        end = self.frame_end
                    else:
                        self.crossed = True
                self.frame_end = end
                return position + 9
            case 0x42 | 0x43 | 0x54 | 0x8B | 0x96 | 0x8D | 0x8E | 0x8A:
                return self._counted(opcode, base, position)
            case 0x49 | 0x4C | 0x46:  # INT, LONG, FLOAT
                line, behind = self._line(position + 1)
                if not _number(opcode, line):
                    raise Broken("holds a number that is none")
                stack.append(place)
                return behind
            case 0x56 | 0x53:  # UNICODE, STRING
                line, behind = self._line(position + 1)
                if opcode == 0x53 and not (len(line) >= 2 and line[:1] in (b"'", b'"') and _quoted(line, behind)):
                    raise Broken("holds a string without quotes")
                stack.append(place)
                return behind
            case 0x70:  # PUT
                line, behind = self._line(position + 1)
                index = _index(line)
                if index < 0:
                    raise Broken("puts a negative memo entry")
                self._put(index, self._top())
                return behind
            case 0x67:  # GET
                line, behind = self._line(position + 1)
                index = _index(line)
                value = self._get(index) if index >= 0 else ABSENT
                if value == ABSENT:
                    raise Broken("gets a negative memo entry")
                if SYMBOLS < value < 0 and self.heaviest < _CERTAIN:
                    self.shared = True
                stack.append(value)
                return behind
            case 0x30:  # POP
                fence = self.marks[-1] if self.marks else 0
                if len(stack) > fence:
                    stack.pop()
                else:
                    self._pop_mark()
                return position + 1
            case 0x31:  # POP_MARK
                self._pop_mark()
                return position + 1
            case 0x32:  # DUP
                value = self._top()
                count = 1
                if data[position : position + 4] == b"2222":
                    count = _SAME(data, position).end() - position  # type: ignore[union-attr]
                if SYMBOLS < value < 0 and self.heaviest < _CERTAIN:
                    self.shared = True
                if count == 1:
                    stack.append(value)
                else:
                    stack.extend(array("q", [value]) * count)
                return position + count
            case 0x8F:  # EMPTY_SET
                stack.append(self.container(SET, 1.0, None))
                return position + 1
            case 0x91:  # FROZENSET
                popped = self._pop_mark()
                weight = self._weigh(popped) if self.shared else 1.0 + len(popped)
                stack.append(self.container(SET, weight, tuple(popped[: _WIDTH + 1])))
                return position + 1
            case 0x90:  # ADDITEMS
                popped = self._pop_mark()
                target = self._top()
                if SYMBOLS < target <= CONTAINERS:
                    if len(self.weights) < _MANY:
                        self._extend(target, popped)
                    self.weights[CONTAINERS - target] += self._weigh(popped) if self.shared else len(popped)
                elif target != SHARED:
                    self._alter(opcode, target, tuple(popped[: _WIDTH + 1]))
                return position + 1
            case 0x97:  # NEXT_BUFFER
                stack.append(UNKNOWN)
                return position + 1
            case 0x98:  # READONLY_BUFFER
                self._top()
                return position + 1
        raise Broken(f"holds {opcode:#04x}, which is no opcode")


def _number(opcode: int, line: bytes) -> bool:
    if opcode != 0x46:
        return len(line) > 1000 or _INTEGER(line) is not None
    try:
        float(line.partition(b"\0")[0][:1000])
    except ValueError:
        return False
    return True


def _index(line: bytes) -> int:
    try:
        return int(line.partition(b"\0")[0][:100])
    except ValueError:
        raise Broken("holds a memo entry's number that is none") from None


def _quoted(line: bytes, _behind: int) -> bool:
    return len(line) >= _LINE or line[:1] == line[-1:]
