"""The values of HDF5 datasets: contiguous, compact or in chunks, packed with the filters that the library itself has.

Source: HDF5 File Format Specification 3.0 (version 1 B-trees III.A.1, dataspaces IV.A.2.b, data layouts IV.A.2.i,
filter pipelines IV.A.2.l, fill values IV.A.2.f).
"""

import itertools
import math
import zlib
from collections.abc import Callable, Iterator

import msgspec

from garrison.artifacts.wire.hdf5 import Raw
from garrison.core.errors import LimitExceeded, Malformed, NotUnderstood
from garrison.sources.reader import BytesReader, Reader

_DIMENSIONS = 32
_LONGEST = 1 << 48
_CHUNKS = 1_000_000
_SLAB = 64 << 20
_DEFLATE, _SHUFFLE, _CHECKSUM = 1, 2, 3
_SINGLE_CHUNK = 1
_FILTERED_SINGLE = 2
"""The flag of a layout that its only chunk is packed."""


class Values(msgspec.Struct, frozen=True):
    """The elements of a dataset in C order."""

    shape: tuple[int, ...]
    data: Reader


def values(reader: Reader, raw: Raw, width: int, check_time: Callable[[], None]) -> Values:
    """The elements of `width` bytes each that the messages of a dataset describe.

    Raises `Malformed` where they describe none, `NotUnderstood` for layouts and filters that are not read here, and
    `LimitExceeded`.
    """
    shape = dimensions(raw)
    size = width * math.prod(shape)
    if size >= _LONGEST:
        raise Malformed(f"a dataset of {len(shape)} dimensions that is too large")
    cursor = _Bytes(raw.layout, raw)
    version, kind = cursor.number(1), cursor.number(1)
    if version not in (3, 4):
        raise NotUnderstood(f"version {version} of an HDF5 data layout")
    if kind == 0:
        data: Reader = BytesReader(cursor.take(cursor.number(2)))
    elif kind == 1:
        address, length = cursor.offset(), cursor.number(raw.length_size)
        data = (
            _Filled(size, _fill(raw, width)) if cursor.undefined(address) else reader.window(raw.base + address, length)
        )
    elif kind == 2:
        data = _chunked(reader, raw, cursor, version, shape, width, check_time)
    else:
        raise NotUnderstood("a dataset that is put together from others")
    if size and not data.pread(size - 1, 1):
        raise Malformed(f"a dataset of {size:,} bytes, of which there are fewer")
    return Values(shape, data)


def dimensions(raw: Raw) -> tuple[int, ...]:
    """The lengths of a dataset's dimensions. Raises `Malformed` and `NotUnderstood`."""
    cursor = _Bytes(raw.space, raw)
    version, rank, flags = cursor.number(1), cursor.number(1), cursor.number(1)
    if version not in (1, 2) or rank > _DIMENSIONS:
        raise Malformed("an HDF5 dataspace that is none")
    if version == 2 and cursor.number(1) == 2:
        return (0,)
    if version == 1:
        cursor.take(5)
    del flags  # whether there are maxima, which say nothing about what is there
    return tuple(cursor.number(raw.length_size) for _ in range(rank))


def _chunked(
    reader: Reader,
    raw: Raw,
    cursor: "_Bytes",
    version: int,
    shape: tuple[int, ...],
    width: int,
    check_time: Callable[[], None],
) -> Reader:
    packed_size = packed_mask = 0
    if version == 3:
        rank, address = cursor.number(1), cursor.offset()
        lengths = [cursor.number(4) for _ in range(rank)]
    else:
        flags, rank, size = cursor.number(1), cursor.number(1), cursor.number(1)
        lengths = [cursor.number(size) for _ in range(rank)]
        if cursor.number(1) != _SINGLE_CHUNK:
            raise NotUnderstood("an index of HDF5 chunks of a kind that the newest files have")
        if flags & _FILTERED_SINGLE:
            packed_size, packed_mask = cursor.number(raw.length_size), cursor.number(4)
        address = cursor.offset()
    chunk = tuple(lengths[:-1])
    if not shape or len(chunk) != len(shape) or 0 in chunk or lengths[-1] != width:
        raise Malformed("chunks of another shape than their dataset")
    plain = width * math.prod(chunk)
    found: dict[tuple[int, ...], tuple[int, int, int]] = {}
    if cursor.undefined(address):
        pass
    elif version == 3:
        found = dict(_tree(reader, raw, address, len(shape), check_time))
    else:
        found[(0,) * len(shape)] = raw.base + address, packed_size or plain, packed_mask
    return _Chunks(reader, found, shape, chunk, width, _filters(raw), _fill(raw, width), check_time)


def _tree(
    reader: Reader, raw: Raw, root: int, rank: int, check_time: Callable[[], None]
) -> Iterator[tuple[tuple[int, ...], tuple[int, int, int]]]:
    """Where chunks begin in the dataset; and where they are, how many bytes they have, and which filters they lack."""
    pending, seen = [root], set()
    count = 0
    key_size = 8 + 8 * (rank + 1)
    while pending:
        check_time()
        address = pending.pop()
        if address in seen:
            raise Malformed("a B-tree of HDF5 chunks that contains itself")
        seen.add(address)
        where = raw.base + address
        head = reader.exactly(where, 8)
        if not head.startswith(b"TREE") or head[4] != 1:
            raise Malformed(f"no B-tree of chunks at {address:#x}")
        level, used = head[5], int.from_bytes(head[6:8], "little")
        count += used
        if count > _CHUNKS:
            raise LimitExceeded("members", f"more than {_CHUNKS:,} HDF5 chunks")
        step = key_size + raw.offset_size
        data = reader.exactly(where + 8 + 2 * raw.offset_size, used * step)
        for at in range(0, used * step, step):
            child = int.from_bytes(data[at + key_size : at + step], "little")
            if level:
                pending.append(child)
                continue
            size, mask = int.from_bytes(data[at : at + 4], "little"), int.from_bytes(data[at + 4 : at + 8], "little")
            begin = range(at + 8, at + 8 + 8 * rank, 8)
            yield (
                tuple(int.from_bytes(data[place : place + 8], "little") for place in begin),
                (raw.base + child, size, mask),
            )


def _filters(raw: Raw) -> list[tuple[int, tuple[int, ...]]]:
    """The filters in the order in which they were applied, with their parameters."""
    if not raw.filters:
        return []
    cursor = _Bytes(raw.filters, raw)
    version, count = cursor.number(1), cursor.number(1)
    if version not in (1, 2):
        raise NotUnderstood(f"version {version} of an HDF5 filter pipeline")
    if version == 1:
        cursor.take(6)
    found = []
    for _ in range(count):
        identifier = cursor.number(2)
        name = cursor.number(2) if version == 1 or identifier >= 256 else 0
        cursor.take(2)
        parameters = cursor.number(2)
        cursor.take(name + 7 & ~7 if version == 1 else name)
        numbers = tuple(cursor.number(4) for _ in range(parameters))
        if version == 1 and parameters % 2:
            cursor.take(4)
        if identifier not in (_DEFLATE, _SHUFFLE, _CHECKSUM):
            raise NotUnderstood(f"values packed with HDF5's filter {identifier}")
        found.append((identifier, numbers))
    return found


def _fill(raw: Raw, width: int) -> bytes:
    """What stands where nothing was written."""
    if not raw.fill:
        return bytes(width)
    cursor = _Bytes(raw.fill, raw)
    version = cursor.number(1)
    if version in (1, 2):
        cursor.take(2)
        defined = cursor.number(1)
        known = version == 1 or defined
    elif version == 3:
        known = cursor.number(1) & 0x20
    else:
        raise NotUnderstood(f"version {version} of an HDF5 fill value")
    size = cursor.number(4) if known else 0
    return cursor.take(size) if size == width else bytes(width)


class _Bytes:
    """A message, read forward."""

    def __init__(self, data: bytes, raw: Raw) -> None:
        self._data = data
        self._position = 0
        self._offset_size = raw.offset_size

    def take(self, count: int) -> bytes:
        data = self._data[self._position : self._position + count]
        if len(data) < count:
            raise Malformed("an HDF5 message ends too early")
        self._position += count
        return data

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "little")

    def offset(self) -> int:
        return self.number(self._offset_size)

    def undefined(self, address: int) -> bool:
        return address == (1 << 8 * self._offset_size) - 1


class _Filled(Reader):
    """One element again and again."""

    def __init__(self, size: int, element: bytes) -> None:
        self._size, self._element = size, element

    @property
    def size(self) -> int:
        return self._size

    def pread(self, offset: int, length: int) -> bytes:
        length = min(length, self._size - offset)
        if offset < 0 or length <= 0:
            return b""
        width = len(self._element)
        skipped = offset % width
        return (self._element * ((skipped + length) // width + 1))[skipped : skipped + length]


class _Chunks(Reader):
    """The elements in C order, put together from chunks: as many rows at once as a chunk has."""

    def __init__(
        self,
        reader: Reader,
        found: dict[tuple[int, ...], tuple[int, int, int]],
        shape: tuple[int, ...],
        chunk: tuple[int, ...],
        width: int,
        filters: list[tuple[int, tuple[int, ...]]],
        fill: bytes,
        check_time: Callable[[], None],
    ) -> None:
        self._reader, self._found, self._shape, self._chunk = reader, found, shape, chunk
        self._width, self._filters, self._fill, self._check_time = width, filters, fill, check_time
        self._row = width * math.prod(shape[1:])
        self._slab_size = min(chunk[0], shape[0]) * self._row if shape else width
        self._plain = width * math.prod(chunk)
        if max(self._slab_size, self._plain) > _SLAB:
            raise LimitExceeded("buffer", "an HDF5 dataset of chunks that are too large")
        self._held: tuple[int, bytes] = (-1, b"")

    @property
    def size(self) -> int:
        return self._width * math.prod(self._shape)

    def pread(self, offset: int, length: int) -> bytes:
        length = min(length, self.size - offset)
        parts = []
        while length > 0 and offset >= 0:
            number, begin = divmod(offset, self._slab_size)
            piece = self._slab(number)[begin : begin + length]
            parts.append(piece)
            offset += len(piece)
            length -= len(piece)
        return b"".join(parts)

    def _slab(self, number: int) -> bytes:
        """The rows that the chunks of one first index hold."""
        if self._held[0] != number:
            first = number * self._chunk[0]
            rows = min(self._chunk[0], self._shape[0] - first)
            out = bytearray(self._fill * (rows * self._row // self._width))
            counts = [range(0, length, step) for length, step in zip(self._shape[1:], self._chunk[1:], strict=True)]
            for rest in itertools.product(*counts):
                self._check_time()
                place = self._found.get((first, *rest))
                if place is not None:
                    self._set(out, rows, rest, self._unpacked(*place))
            self._held = number, bytes(out)
        return self._held[1]

    def _set(self, out: bytearray, rows: int, rest: tuple[int, ...], data: bytes) -> None:
        """Set what one chunk holds, without what of it reaches beyond the dataset."""
        lengths = [rows] + [
            min(step, length - begin)
            for step, length, begin in zip(self._chunk[1:], self._shape[1:], rest, strict=True)
        ]
        shape = (rows, *self._shape[1:])
        target_steps, source_steps = _steps(shape, self._width), _steps(self._chunk, self._width)
        start = sum(begin * step for begin, step in zip((0, *rest), target_steps, strict=True))
        run = lengths[-1] * self._width
        for index in itertools.product(*(range(length) for length in lengths[:-1])):
            target = start + sum(at * step for at, step in zip(index, target_steps, strict=False))
            source = sum(at * step for at, step in zip(index, source_steps, strict=False))
            out[target : target + run] = data[source : source + run]

    def _unpacked(self, address: int, size: int, mask: int) -> bytes:
        """The plain bytes of a chunk. Raises `Malformed` where they are not as many as its shape asks for."""
        if size > 2 * self._plain + 4096:
            raise Malformed("an HDF5 chunk that is larger than what it holds")
        data = self._reader.exactly(address, size)
        for number, (identifier, parameters) in reversed(list(enumerate(self._filters))):
            if mask >> number & 1:
                continue
            if identifier == _DEFLATE:
                try:
                    data = zlib.decompressobj().decompress(data, self._plain + 4096)
                except zlib.error as error:
                    raise Malformed(f"an HDF5 chunk that does not unpack: {error}") from None
            elif identifier == _SHUFFLE:
                data = _unshuffled(data, parameters[0] if parameters else self._width)
            else:
                data = data[:-4]
        if len(data) != self._plain:
            raise Malformed(f"an HDF5 chunk of {len(data):,} bytes where its shape asks for {self._plain:,}")
        return data


def _steps(shape: tuple[int, ...], width: int) -> list[int]:
    steps = []
    for length in reversed(shape):
        steps.append(width)
        width *= length
    return steps[::-1]


def _unshuffled(data: bytes, width: int) -> bytes:
    """Elements whose first bytes all stand first, then all second ones, and so on; what is left over is as it was."""
    count = len(data) // width if width else 0
    if width < 2 or not count:
        return data
    out = bytearray(data)
    for number in range(width):
        out[number : count * width : width] = data[number * count : (number + 1) * count]
    return bytes(out)
