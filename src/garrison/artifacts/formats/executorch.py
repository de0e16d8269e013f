"""ExecuTorch: programs (`.pte`) and their data (`.ptd`), FlatBuffers with segments behind them.

Sources: `schema/program.fbs`, `schema/extended_header.cpp` and `extension/flat_tensor/serialize/flat_tensor.fbs`.
"""

import struct

from garrison.artifacts.knowledge.torch_operators import executorch_backends, matters
from garrison.artifacts.wire.flatbuffers import FlatBuffer, Table
from garrison.core.errors import LimitExceeded, Malformed
from garrison.core.facts import Anomaly, Artifact, Operator
from garrison.sources.source import Context, Extracted, Source

_PROGRAM_HEADER = b"eh00"
_DATA_HEADER = b"FH01"
_VERSION, _PLANS, _CONSTANTS, _INLINE, _SEGMENTS, _NAMED = 0, 1, 2, 3, 4, 7
_PLAN_NAME, _PLAN_VALUES, _PLAN_OPERATORS, _PLAN_DELEGATES = 0, 2, 6, 7
_IN_SEGMENT = 1
_TENSOR = 5
_OPERATORS = 100_000
_BLOBS = 1000

Span = tuple[int, int]


def sniff(source: Source) -> bool:
    """Whether a FlatBuffer names ExecuTorch's schema: `ET` and two digits, the root within the head."""
    head = source.reader.pread(0, 8)
    return head[4:6] == b"ET" and head[6:8].isdigit() and 8 <= struct.unpack("<I", head[:4])[0] < 1 << 31


class _File:
    """The parts of a program."""

    def __init__(self, source: Source, context: Context) -> None:
        self.reader = source.reader
        head = source.reader.pread(0, 48)
        self.base = 0
        size = source.reader.size
        if head[8:12] == _PROGRAM_HEADER and len(head) >= 32:
            program, self.base = struct.unpack_from("<QQ", head, 16)
            if not 32 <= program <= size or self.base > size or 0 < self.base < program:
                raise Malformed("the header's sizes lie outside the file")
            size = program
        self.end = size
        buffer = FlatBuffer(source.reader, 0, size, check_time=context.check_time)
        self.root: Table = buffer.root()
        self.segments = [self._segment(table) for table in self.root.tables(_SEGMENTS)]

    def _segment(self, table: Table) -> Span:
        offset, size = table.number(0, "Q"), table.number(1, "Q")
        if self.base + offset + size > self.reader.size or not self.base:
            raise Malformed(f"a segment of {size} bytes at {offset:#x} lies outside the file")
        self.end = max(self.end, self.base + offset + size)
        return self.base + offset, size

    def delegate(self, reference: Table | None) -> Span | None:
        """Where the blob of a delegate lies."""
        if reference is None:
            return None
        index = reference.number(1, "I")
        if reference.number(0, "b") == _IN_SEGMENT:
            return self.segments[index] if index < len(self.segments) else None
        for number, table in enumerate(self.root.tables(_INLINE)):
            if number == index:
                span = table.vector(0, 1)
                return span.start, span.count
        return None


def extract(source: Source, context: Context) -> Extracted:
    """State the operators of unknown makers, the delegates, and the blobs that they are given.

    Raises `Malformed` and `LimitExceeded`.
    """
    file = _File(source, context)
    backends: dict[str, int] = {}
    blobs: dict[Span, str] = {}
    operators: dict[str, str] = {}
    methods = []
    tensors = 0
    for plan in file.root.tables(_PLANS):
        context.check_time()
        method = plan.text(_PLAN_NAME)
        methods.append(method)
        tensors += sum(value.number(0, "B") == _TENSOR for value in plan.tables(_PLAN_VALUES))
        for operator in plan.tables(_PLAN_OPERATORS):
            operators.setdefault(operator.text(0), method)
            if len(operators) > _OPERATORS:
                raise LimitExceeded("facts", f"more than {_OPERATORS} operators")
        for delegate in plan.tables(_PLAN_DELEGATES):
            backend = delegate.text(0)
            backends[backend] = backends.get(backend, 0) + 1
            span = file.delegate(delegate.table(1))
            if span is not None and len(blobs) < _BLOBS:
                blobs.setdefault(span, f"delegate {len(blobs)} {backend}")
    for named in file.root.tables(_NAMED):
        index = named.number(1, "I")
        if index < len(file.segments) and len(blobs) < _BLOBS:
            blobs.setdefault(file.segments[index], named.text(0, 200))
    yield Artifact(
        format="executorch",
        details={
            "framework": "executorch",
            "version": file.root.number(_VERSION, "I"),
            "methods": ", ".join(methods)[:500],
            "operators": len(operators),
            "delegates": ", ".join(f"{name} × {count}" for name, count in sorted(backends.items()))[:500],
            "tensors": tensors,
            "segments": len(file.segments),
        },
    )
    for name, method in operators.items():
        if matters(name):
            yield Operator(framework="executorch", name=name, place=f"method {method}")
    for backend in backends:
        if backend not in executorch_backends():
            yield Operator(framework="executorch", name=f"the delegate {backend}")
    yield from _blobs(source, blobs)
    if source.reader.pread(file.end, min(4096, source.reader.size - file.end)).strip(b"\0"):
        yield Anomaly(what="trailing-data", detail=f"{source.reader.size - file.end} bytes follow the last segment")


def _blobs(source: Source, blobs: dict[Span, str]) -> Extracted:
    """What engines are given: opaque to all but them, unless it is a program."""
    for (start, size), name in blobs.items():
        yield source.member(name or f"data@{start:#x}", source.reader.window(start, size), loaded_as=("tensor-data",))


def sniff_data(source: Source) -> bool:
    """Whether a FlatBuffer names the schema of ExecuTorch's data files."""
    return source.reader.pread(4, 8) == b"FT01" + _DATA_HEADER


def extract_data(source: Source, context: Context) -> Extracted:
    """State what the file holds; blobs that are no tensors are examined. Raises `Malformed`."""
    head = source.reader.exactly(0, 48)
    offset, size, base, length = struct.unpack_from("<QQQQ", head, 16)
    total = source.reader.size
    if offset + size > total or base + length > total:
        raise Malformed("the header's sizes lie outside the file")
    root = FlatBuffer(source.reader, 0, offset + size, check_time=context.check_time).root()
    older = bool(root.field(3))
    segments = [(base + t.number(0, "Q"), t.number(1, "Q")) for t in root.tables(3 if older else 1)]
    if any(start + count > total for start, count in segments):
        raise Malformed("a segment lies outside the file")
    blobs: dict[Span, str] = {}
    entries = 0
    for named in root.tables(4 if older else 2):
        entries += 1
        index = named.number(1, "I")
        if not named.field(2) and index < len(segments) and len(blobs) < _BLOBS:
            blobs.setdefault(segments[index], named.text(0, 200))
    yield Artifact(
        format="executorch-data",
        details={"framework": "executorch", "version": root.number(0, "I"), "entries": entries},
    )
    yield from _blobs(source, blobs)
