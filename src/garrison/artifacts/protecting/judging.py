"""Asks the policy about one pickle stream or one file, in this process, and remembers what it let pass."""

import bisect
import datetime
from collections.abc import Iterator, Sequence
from operator import itemgetter

import msgspec

from garrison.artifacts.detectors import imports
from garrison.artifacts.loading.admission import Admitted, refusal
from garrison.artifacts.loading.refusal import LoadRefused
from garrison.artifacts.loading.restricted import Names
from garrison.artifacts.pickle.ledger import Ledger
from garrison.artifacts.pickle.machine import Ending
from garrison.artifacts.pickle.streams import Streams, state
from garrison.core.assembly import assembled
from garrison.core.errors import ExaminationError, LimitExceeded
from garrison.core.facts import AnyFact, Artifact, Examination, Import
from garrison.core.policy import Policy
from garrison.sources.examination import examine
from garrison.sources.private_copy import PrivateCopy
from garrison.sources.reader import BytesReader, FileReader, Reader
from garrison.sources.source import Context, Source

_REMEMBERED = 4096
_KEPT = 256 << 20
_SYMBOLS = 200_000
"""How much one unpickler may load, in bytes and in what the ledger tells apart, until it is no longer followed."""
_NOTHING: Names = frozenset()

Key = frozenset[tuple[str, str, str, tuple[str, ...]]]


class Follower:
    """Follows the streams that one unpickler loads, each of which may refer to what those before it memoised."""

    def __init__(self) -> None:
        self._reader = _Joined()
        self._streams: Streams | None = None

    @property
    def ledger(self) -> Ledger:
        assert self._streams is not None
        return self._streams.ledger

    def follow(self, reader: Reader, context: Context) -> Ending:
        """Follow the stream at the beginning of a reader.

        The ending's positions count from the first stream that was followed. Raises `ExaminationError`.
        """
        start = self._reader.append(reader)
        if self._streams is None:
            self._streams = Streams(self._reader, context)
            ending = self._streams.one(0)
            self._streams.search()
            return ending
        if start > _KEPT or len(self.ledger.symbols) > _SYMBOLS:
            raise LimitExceeded("memory", "one unpickler loads more streams than can be followed")
        self._streams.again(context)
        ending = self._streams.one(start, memory=self._streams.machine.memory())
        self._streams.search()
        return ending

    def keep(self, data: bytes) -> None:
        """Keep the bytes of the stream that was followed last, in place of what it was read from."""
        self._reader.keep(data)

    def learnt(self, name: str) -> Iterator[AnyFact | Source]:
        """All that the streams told until now."""
        assert self._streams is not None
        return state(self._streams, Source(name, self._reader))


class _Joined(Reader):
    """Readers one after another, of which only the last is not kept yet."""

    def __init__(self) -> None:
        self._kept: list[tuple[int, bytes]] = []
        """What is kept, and where it begins."""
        self._here = 0
        self._last: Reader = BytesReader(b"")

    @property
    def size(self) -> int:
        return self._here + self._last.size

    def pread(self, offset: int, length: int) -> bytes:
        if offset >= self._here:
            return self._last.pread(offset - self._here, length)
        pieces = []
        for start, data in self._kept[bisect.bisect(self._kept, offset, key=itemgetter(0)) - 1 :]:
            piece = data[offset - start : offset - start + length]
            pieces.append(piece)
            offset += len(piece)
            length -= len(piece)
            if not length:
                return b"".join(pieces)
        return b"".join(pieces) + self._last.pread(0, length)

    def append(self, reader: Reader) -> int:
        self._last = reader
        return self._here

    def keep(self, data: bytes) -> None:
        self._kept.append((self._here, data))
        self._here += len(data)
        self._last = BytesReader(b"")


class Judge:
    """Decides by one policy. What could not be examined to its end is refused, since this guards."""

    def __init__(self, policy: Policy) -> None:
        self.policy = msgspec.structs.replace(policy, coverage="deny")
        self._plain = not policy.allowed_formats and not policy.denied_formats
        """Whether a pickle that resolves nothing passes unasked."""
        self._remembers = self._plain and not policy.waivers  # which are for some subjects, and for a time
        self._passed: dict[Key, Names] = {}

    def stream(self, reader: Reader, size: int, name: str, follower: "Follower | None" = None) -> tuple[Ending, Names]:
        """How the pickle stream at the beginning of `reader` ends, and which names it may resolve.

        `size` is how long it may be, in bytes, and `name` what a report calls it. A `follower` knows the streams that
        the same unpickler loaded before. Raises `LoadRefused`.
        """
        context = Context(self.policy.limits, size)
        follower = follower or Follower()
        try:
            ending = follower.follow(reader, context)
            ledger = follower.ledger
            if self._plain and not (ledger.records or ledger.stated or ledger.nested or ledger.overfull):
                return ending, _NOTHING
            facts = list(ledger.facts())
            key = _key(facts) if self._remembers and not (ledger.nested or ledger.overfull) else None
            if key is not None and key in self._passed:
                return ending, self._passed[key]
            own = Examination(subject=name, formats=["pickle"])
            own.facts.append(Artifact(format="pickle"))
            found = [own]
            for item in follower.learnt(name):
                if isinstance(item, Source):
                    found += examine(item, context)
                else:
                    own.facts.append(item)
        except (ExaminationError, RecursionError, MemoryError) as error:
            raise LoadRefused(f"{name}: the pickle cannot be examined to its end: {error}") from None
        names = self._decided(found, name).names("pickle")
        if key is not None:
            if len(self._passed) >= _REMEMBERED:
                self._passed.clear()
            self._passed[key] = names
        return ending, names

    def file(self, copy: PrivateCopy, name: str) -> Admitted:
        """What the policy lets pass of a whole file. Raises `LoadRefused`."""
        source = Source(name, FileReader(copy.descriptor, copy.size))
        return self._decided(list(examine(source, Context(self.policy.limits, copy.size))), name)

    def name(self, module: str, name: str) -> None:
        """Refuse a name that no stream was seen to resolve, unless it is harmless whatever it is called with.

        A subclass that maps old names to new ones asks for such names.
        """
        fact = Import(module=module, name=name, origin="pickle", usage="call", arguments=("…",))
        examination = Examination(subject=f"{module}.{name}", facts=[fact])
        for found in imports.detect([examination], self.policy):
            raise LoadRefused(f"{module}.{name} is resolved, which the scan did not see: {found.rule}: {found.message}")

    def _decided(self, examinations: Sequence[Examination], name: str) -> Admitted:
        report = assembled(
            [(list(examinations), None)],
            self.policy,
            subjects=[name],
            started=datetime.datetime.now(datetime.UTC),
            seconds=0.0,
            interrupted=False,
            notes=(),
            online=False,
        )
        if reason := refusal(report):
            raise LoadRefused(reason, report)
        return Admitted(report, name)


def _key(facts: Sequence[AnyFact]) -> Key | None:
    """What a stream does, without where and how often; `None` where it does more than import and call."""
    if not all(type(fact) is Import for fact in facts):
        return None
    return frozenset((f.module, f.name, f.usage, f.arguments) for f in facts if isinstance(f, Import))
