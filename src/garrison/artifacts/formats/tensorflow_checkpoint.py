"""TensorFlow checkpoints: an index, which is a sorted table of LevelDB's kind, and shards of bare numbers.

Sources: `tensorflow/core/util/tensor_bundle/tensor_bundle.cc`, `tensorflow/core/protobuf/tensor_bundle.proto`,
`tensorflow/core/lib/io/table.cc`, `format.cc` and `block.cc`.
"""

import re
from collections.abc import Iterator
from math import prod

import msgspec

from garrison.artifacts.wire.protobuf import Span, Wire
from garrison.core.errors import Malformed, NotUnderstood
from garrison.core.facts import Artifact
from garrison.sources.reader import BytesReader, Reader
from garrison.sources.source import Context, Extracted, Source

_FOOTER = 48
_MAGIC = bytes.fromhex("57fb808b247547db")
_BLOCK = 16 << 20
_BLOCKS = 1_000_000
_SHARD = re.compile(r"\.data-[0-9]{5}-of-[0-9]{5}$")
_JAVASCRIPT = re.compile(r"^group[0-9]+-shard[0-9]+of[0-9]+(?:\.bin)?$")


class _Entry(msgspec.Struct):
    shard: int = 0
    offset: int = 0
    size: int = 0
    elements: int = 1


def sniff(source: Source) -> bool:
    """A table whose first key is empty and holds the bundle's header, and the table's mark at its end."""
    head = source.reader.pread(0, 3)
    if len(head) < 3 or head[:2] != b"\0\0" or not 0 < head[2] < 0x40:
        return False
    size = source.reader.size
    return size >= _FOOTER and source.reader.pread(size - 8, 8) == _MAGIC


def sniff_data(source: Source) -> bool:
    """Bare numbers have no mark: TensorFlow finds them by this name alone, beside the index that describes them."""
    return _SHARD.search(source.name) is not None


def sniff_javascript(source: Source) -> bool:
    """TensorFlow.js fetches bare numbers by these names, which `model.json` beside them lists."""
    return _JAVASCRIPT.match(source.name) is not None


def extract(source: Source, context: Context) -> Extracted:
    """How many tensors, shards and bytes the checkpoint has."""
    shards = 0
    ends: dict[int, int] = {}
    tensors = parameters = 0
    for key, value in _pairs(source.reader, context):
        context.check_time()
        if not key:
            shards = _header(value)
            continue
        entry = _entry(value)
        tensors += 1
        parameters += min(entry.elements, 1 << 60)
        if entry.shard >= shards:
            raise Malformed(f"tensor {key[:100]!r} lies in shard {entry.shard} of {shards}")
        ends[entry.shard] = max(ends.get(entry.shard, 0), entry.offset + entry.size)
    details: dict[str, str | int | float | bool] = {"tensors": tensors, "parameters": parameters, "shards": shards}
    yield Artifact(format="tensorflow-checkpoint", details={**details, "bytes": sum(ends.values())})


def extract_data(source: Source, context: Context) -> Extracted:
    """Numbers alone."""
    yield Artifact(format="tensorflow-checkpoint-data", details={"bytes": source.reader.size})


def extract_javascript(source: Source, context: Context) -> Extracted:
    """Numbers alone."""
    yield Artifact(format="tensorflowjs-weights", details={"bytes": source.reader.size})


def _header(value: bytes) -> int:
    """The number of shards."""
    wire = Wire(BytesReader(value))
    return next((item for number, _, item in wire.fields(wire.whole()) if number == 1 and isinstance(item, int)), 0)


def _entry(value: bytes) -> _Entry:
    wire = Wire(BytesReader(value))
    entry = _Entry()
    for number, _, item in wire.fields(wire.whole()):
        if number == 2 and isinstance(item, Span):
            sizes = [
                size
                for dimension in wire.spans(item, 2)
                for field, _, size in wire.fields(dimension)
                if field == 1 and isinstance(size, int)
            ]
            entry.elements = prod(sizes)
        elif isinstance(item, int):
            if number == 3:
                entry.shard = item
            elif number == 4:
                entry.offset = item
            elif number == 5:
                entry.size = item
    return entry


def _pairs(reader: Reader, context: Context) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of the table, in order."""
    footer = reader.exactly(reader.size - _FOOTER, _FOOTER)
    _, position = _number(footer, 0)
    _, position = _number(footer, position)
    index, position = _number(footer, position)
    length, _ = _number(footer, position)
    for count, (_, handle) in enumerate(_block(reader, index, length)):
        if count > _BLOCKS:
            raise Malformed("an index of too many blocks")
        context.check_time()
        offset, position = _number(handle, 0)
        size, _ = _number(handle, position)
        yield from _block(reader, offset, size)


def _block(reader: Reader, offset: int, size: int) -> Iterator[tuple[bytes, bytes]]:
    if size > _BLOCK:
        raise Malformed(f"a block of {size} bytes")
    data = reader.exactly(offset, size + 1)
    if data[size]:
        raise NotUnderstood(f"a table compressed by method {data[size]}")
    if size < 4:
        raise Malformed("a block without its end")
    end = size - 4 - 4 * int.from_bytes(data[size - 4 : size], "little")
    position = 0
    key = b""
    while position < end:
        shared, position = _number(data, position)
        fresh, position = _number(data, position)
        length, position = _number(data, position)
        if shared > len(key) or position + fresh + length > end:
            raise Malformed("an entry that leaves its block")
        key = key[:shared] + data[position : position + fresh]
        position += fresh
        yield key, data[position : position + length]
        position += length


def _number(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while position < len(data) and shift < 64:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
    raise Malformed("a number without end")
