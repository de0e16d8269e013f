"""Pickle streams one after another, as loaders meet them in a file, and the bytes behind the last."""

import heapq
import itertools
import re
from array import array
from collections.abc import Iterator

from garrison.artifacts.pickle.buffering import BLOCKS, FileBuffer, Segment, Spliced
from garrison.artifacts.pickle.ledger import Ledger
from garrison.artifacts.pickle.literals import span
from garrison.artifacts.pickle.machine import Ending, Machine, Memory
from garrison.artifacts.pickle.nested import Undecodable, decode
from garrison.artifacts.pickle.sniffing import is_plausible, resolves_something
from garrison.artifacts.pickle.symbols import Symbol
from garrison.core.errors import LimitExceeded, Malformed
from garrison.core.facts import AnyFact
from garrison.sources.reader import BytesReader, Reader, WindowReader
from garrison.sources.source import Context, Source

_STREAMS = 200_000
_REMEMBERED = 1000
_VARIANTS = 64
_LOOK_ALIKES = 1 << 16
"""Literals that begin like a pickle, and are tried."""
_CHUNK = 1 << 20
_OVERLAP = 16
"""More bytes than an opcode, a length and the beginning of a pickle take."""
_UNIT = 4096
_BLANK = re.compile(rb"[\s\0]*").fullmatch
_BYTES = {2: b"C", 5: b"B", 9: b"\x8e\x96"}
_TEXT = {2: b"\x8c", 5: b"X", 9: b"\x8d"}
"""Opcodes of literals, by how far in front of the literal they stand."""
_SNAPSHOTS = {
    b"{L\0\0\0\0\0\0\0\x06Config": _BYTES,
    b"{L\0\0\0\0\0\0\0\x07learner": _BYTES,
    b"CBM1": _BYTES,
    b"tree\nversion=": _TEXT,
}
"""How the literals begin in which XGBoost, CatBoost and LightGBM pickle their models."""
_SNAPSHOTS_WITHIN = 16 << 20
_HIDDEN = [re.compile(pattern).finditer for pattern in (rb"\x80[\x02-\x05]", rb"gA[SNJW]", rb"800[2-5]")]

_Following = tuple[int, int, Memory | None]
_Part = tuple[int, int]
"""Where bytes begin and end in the outermost reader."""


class _Hidden(WindowReader):
    """What a literal holds, with the parts of the outermost reader whose pickles are found already."""

    def __init__(self, parent: Reader, start: int, length: int, *, origin: int, tried: set[_Part]) -> None:
        super().__init__(parent, start, length)
        self.origin = origin
        """Where it begins in the outermost reader."""
        self.tried = tried


class Streams:
    """Runs the machine over all streams of a reader, in every way in which CPython would read them."""

    def __init__(self, reader: Reader, context: Context) -> None:
        self.reader = reader
        self.context = context
        self.ledger = Ledger()
        self.count = 0
        """Streams that reached their STOP."""
        self.machine = Machine(reader, self.ledger, check_time=context.check_time, look=self._look)
        self.broken: Ending | None = None
        """How the first stream broke, if it did."""
        self.end = 0
        """Where the last stream ended."""
        self.elsewhere: list[_Following] = []
        """Where else a further stream may begin, for unpicklers that read these bytes differently, inside which
        frame and with which memo."""
        hidden = reader if isinstance(reader, _Hidden) else None
        self._origin = 0 if hidden is None else hidden.origin
        self._tried: set[_Part] = set() if hidden is None else hidden.tried
        """What literals hold is read once, however many literals lie around it: those inside a literal are seen from
        outside too, and all that reach beyond the end share what follows the last of them."""
        self._literals: list[tuple[int, int, int]] = []
        """Those that may hold a pickle, until they are tried: the opcode, where it begins, how long it says it is."""
        self._seen: set[int] = set()
        self._variants = 0

    def again(self, context: Context) -> None:
        """Go on under a new budget, with bytes behind those that were run which may be others than were read ahead."""
        self.context = context
        self.machine.check_time = context.check_time
        self.machine.forget_window()
        self._seen.clear()
        self._tried.clear()

    def one(self, start: int, frame_end: int = 0, memory: Memory | None = None) -> Ending:
        """Run one stream, and again wherever unpicklers disagree about how to read it."""
        machine = self.machine
        known = len(machine.raw)
        ending = machine.run(start, frame_end=frame_end, memory=memory)
        if machine.crossed or machine.nested_frame:
            machine.crossed = False
            self._from_files(start, frame_end, memory)
        if machine.nested_frame:
            self.ledger.anomaly(
                "pickle-frame-confusion",
                "begins a frame inside a frame, which only one of CPython's unpicklers reads",
                start,
            )
            machine.nested_frame = False
        if machine.disputed:
            self._disputed_arrays()
        if len(machine.raw) > known:
            self._without_arrays(start)
        if machine.is_bomb(ending.position - start):
            self.ledger.anomaly(
                "pickle-expansion-bomb",
                f"{ending.position - start} bytes describe {machine.heaviest:.0e} objects once shared ones are copied",
                start,
            )
            machine.heaviest = 1.0
        return ending

    def all(self, start: int = 0) -> None:
        """Run the stream at `start` and those that follow it."""
        waiting: list[_Following] = [(start, 0, None)]
        seen = {(start, 0)}
        while waiting:
            position, inside, memory = waiting.pop()
            resolved = len(self.ledger.records)
            ending = self.one(position, inside)
            if memory is not None and self.count < _REMEMBERED:
                kept = self.one(position, inside, memory)
                ending = kept if kept.stopped else ending
            if not ending.stopped:
                self._broken(ending, position == start, resolved)
                self._queue(self.elsewhere, waiting, seen)
                continue
            memory = self.machine.memory()
            self.count += 1
            if self.count > _STREAMS:
                raise LimitExceeded("members", f"more than {_STREAMS} pickles one after another")
            behind = self._past_repetitions(position, ending.position)
            self.end = max(self.end, behind)
            if ending.frame_end > behind:
                self.ledger.anomaly(
                    "pickle-frame-confusion",
                    "stops inside a frame: loaders that read a file go on behind the frame, others behind the STOP",
                    ending.position,
                )
            inside = ending.frame_end if behind < ending.frame_end else 0
            self._queue([(inside, 0, memory), (behind, inside, memory), *self.elsewhere], waiting, seen)

    def _broken(self, ending: Ending, first: bool, resolved: int) -> None:
        if first:
            self.broken = ending
            self.end = ending.position
        elif not self._forget_noise(resolved):
            self.ledger.anomaly("pickle-breaks-after-acting", f"a further stream {ending.detail}", ending.position)
            self.end = max(self.end, ending.position)

    def _queue(self, following: "list[_Following]", waiting: "list[_Following]", seen: set[tuple[int, int]]) -> None:
        for one in following:
            if one[0] and one[:2] not in seen and self.reader.pread(one[0], 1):
                if len(seen) < _REMEMBERED:
                    seen.add(one[:2])
                waiting.append(one)
        self.elsewhere.clear()

    def _past_repetitions(self, start: int, end: int) -> int:
        """Streams that are the same bytes again do the same again."""
        size = end - start
        if size > _UNIT:
            return end
        unit = self.machine.pread(start, size)
        if self.machine.pread(end, size) != unit:
            return end
        matcher = re.compile(b"(?:" + re.escape(unit) + b")*+", re.DOTALL).match
        while True:
            data = self.reader.pread(end, 1 << 20)
            match = matcher(data)
            length = match.end() if match is not None else 0
            if not length:
                return end
            self.count += length // size
            end += length
            self.context.check_time()

    def _forget_noise(self, known: int) -> bool:
        """Bytes behind a pickle that are no pickle may still spell a global by chance: forget names that are none."""
        records = self.ledger.records
        fresh = list(records)[known:]
        if any(is_plausible(*key) or key[0] == "copyreg" for key in fresh):
            return False
        for key in fresh:
            self.ledger.forget(key)
        return True

    def _disputed_arrays(self) -> None:
        """Arrays that joblib never writes so, as the C unpickler reads the pickles in them from files."""
        places = self.machine.disputed[:_VARIANTS]
        self.machine.disputed.clear()
        self.ledger.anomaly(
            "pickle-frame-confusion",
            "holds an array that unpicklers find, or read, differently, depending on how they read frames",
            places[0],
        )
        for place in places:
            self._from_files(place, 0, None)

    def _without_arrays(self, start: int) -> None:
        """The same stream as a loader reads it that knows nothing of joblib's arrays."""
        ledger = Ledger(follow_arrays=False)
        Machine(self.reader, ledger, check_time=self.context.check_time).run(start)
        for key, record in ledger.records.items():
            if key not in self.ledger.records and is_plausible(*key):
                self.ledger.records[key] = record

    def _from_files(self, start: int, inside: int, memory: Memory | None) -> None:
        """The same stream as the C unpickler reads it from files, where frames make it drop bytes."""
        known: set[tuple[Segment, ...]] = set()
        for block in BLOCKS:
            view = FileBuffer(self.reader, start, inside, block)
            view.run(self.context.check_time)
            if len(view.segments) < 2 or tuple(view.segments) in known or self._variants >= _VARIANTS:
                continue
            known.add(tuple(view.segments))
            self._variants += 1
            self.ledger.anomaly(
                "pickle-frame-confusion",
                "an opcode reaches across the end of its frame: unpicklers read different streams from these bytes",
                view.segments[0][1],
            )
            machine = Machine(Spliced(self.reader, view.segments), self.ledger, check_time=self.context.check_time)
            machine.share(self.machine)
            ending = machine.run(start, memory=memory)
            if ending.stopped and view.stopped:
                left = _independent(machine, start)
                self.elsewhere += [(view.file_position, 0, left), (view.position, view.end, left)]

    def search(self) -> None:
        """Find the literals that hold a pickle, and those inside them. Raises `LimitExceeded` when the time is up."""
        reached = 0
        while self._literals:
            self.context.check_time()
            opcode, start, length = heapq.heappop(self._literals)
            end = min(start + length, self.reader.size)
            if not self._holds_pickle(opcode, start, end):
                continue
            reached = max(reached, start)
            while reached + _OVERLAP < end:
                self.context.check_time()
                data = self.reader.pread(reached, min(_CHUNK, end - reached))
                self._look_for_pickles(data, reached)
                if len(data) <= _OVERLAP:
                    break
                reached += len(data) - _OVERLAP

    def _look(self, data: bytes, base: int) -> None:
        self._look_for_pickles(data, base)
        if base < _SNAPSHOTS_WITHIN:
            self._look_for_models(data, base)

    def _look_for_pickles(self, data: bytes, base: int) -> None:
        """Find literals that may hold a pickle themselves, plain or in base64 or hexadecimal."""
        for match in itertools.chain.from_iterable(finditer(data) for finditer in _HIDDEN):
            position = match.start()
            for header, opcodes in ((2, b"\x8cCU"), (5, b"XBT"), (9, b"\x8d\x8e\x96")):
                opcode = base + position - header
                if position < header or data[position - header] not in opcodes or opcode in self._seen:
                    continue
                where = span(self.machine.pread, opcode)
                if where is None or where[1] < 8:
                    continue
                if len(self._seen) >= _LOOK_ALIKES:
                    self.ledger.overfull = True
                    return
                self._seen.add(opcode)
                heapq.heappush(self._literals, (opcode, *where))

    def _look_for_models(self, data: bytes, base: int) -> None:
        for beginning, opcodes in _SNAPSHOTS.items():
            place = data.find(beginning)
            while place >= 0:
                for header, letters in opcodes.items():
                    opcode = base + place - header
                    if place < header or data[place - header] not in letters:
                        continue
                    where = span(self.machine.pread, opcode)
                    if where is not None:
                        self.ledger.add_nested(f"literal@{opcode:#x}", self.reader.window(*where), loaded=False)
                place = data.find(beginning, place + 1)

    def _holds_pickle(self, opcode: int, start: int, end: int) -> bool:
        """Whether a pickle that was not read yet is what lies between the two, which is added to what is nested."""
        part = (self._origin + start, self._origin + end)
        # Opcodes in front of an array in joblib's files may happen to look like a literal of all that follows.
        if part in self._tried or (start in self.ledger.arrays and end == self.reader.size):
            return False
        if len(self._tried) >= _LOOK_ALIKES:
            self.ledger.overfull = True
            return False
        self._tried.add(part)
        inner: Reader = _Hidden(self.reader, start, end - start, origin=part[0], tried=self._tried)
        head = self.reader.pread(start, 2)
        name = f"literal@{opcode:#x}"
        if head[:1] != b"\x80":
            if end - start > 1 << 20:
                return False
            raw = self.reader.pread(start, end - start)
            try:
                decoded = decode("b64decode" if head[:1] == b"g" else "unhexlify", raw)
            except Undecodable:
                return False
            inner = BytesReader(decoded if isinstance(decoded, bytes) else b"")
            name = f"decoded@{opcode:#x}"
        if not resolves_something(inner):
            return False
        self.ledger.add_nested(name, inner, loaded=False)
        return True


def _independent(machine: Machine, start: int) -> Memory | None:
    """A machine's memo with the literals read, for a machine that reads the bytes differently."""
    left = machine.memory()
    if left is None:
        return None
    dense, sparse, holes = left

    def settled(value: int) -> int:
        content = machine.literal(value) if value >= start else None
        return machine.ledger.new(Symbol("text", content=content)) if isinstance(content, str | bytes) else value

    return array("q", map(settled, dense)), {index: settled(value) for index, value in sparse.items()}, holes


def state(streams: Streams, source: Source) -> Iterator[AnyFact | Source]:
    """All that the streams of a subject told. Raises `LimitExceeded` when they hold more than is examined."""
    yield from streams.ledger.facts()
    failure: LimitExceeded | None = None
    try:
        streams.search()
    except LimitExceeded as error:
        failure = error
    for nested in streams.ledger.nested.values():
        yield source.member(nested.name, nested.data, loaded_as=("pickle",) if nested.loaded else ())
    if failure is not None:
        raise failure
    if streams.ledger.overfull:
        raise LimitExceeded("members", "holds more pickles in its literals than are examined")


def complain(streams: Streams) -> None:
    """Raise `Malformed` when the first stream broke without having acted."""
    if streams.broken is not None and not streams.ledger.called:
        raise Malformed(f"the stream {streams.broken.detail} at {streams.broken.position:#x}")


def trailing(streams: Streams, source: Source) -> Iterator[AnyFact | Source]:
    """What stands behind the last stream."""
    from garrison.core.facts import Anomaly
    from garrison.sources.identification import identify

    end = streams.end
    head = streams.reader.pread(end, 4096)
    if not head or _BLANK(head):
        return
    member = source.member(f"trailing@{end:#x}", streams.reader.window(end, 1 << 60))
    found = identify(member)
    what = found[0].title if found else "no format that garrison knows"
    yield Anomaly(
        what="pickle-trailing-data",
        detail=f"bytes that no pickle reads stand behind the last stream: {what}",
        place=f"@ {end:#x}",
    )
    if found:
        yield member
