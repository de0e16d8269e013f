"""Dense storage of HDF5: links and attributes in a fractal heap, indexed by a B-tree of version 2.

Source: HDF5 File Format Specification 3.0 (version 2 B-trees III.A.2, fractal heaps III.G).
"""

from collections.abc import Callable, Iterator

import msgspec

from garrison.core.errors import LimitExceeded, Malformed, NotUnderstood

Read = Callable[[int, int], bytes]
_RECORDS = 200_000
_OBJECT = 64 << 20
_OVERHEAD = 10
_LINK_NAMES, _ATTRIBUTE_NAMES, _HUGE = 5, 8, 1


class Sizes(msgspec.Struct, frozen=True):
    """Bytes of an address and of a length in this file."""

    offset: int
    length: int


def objects(read: Read, sizes: Sizes, heap: int, tree: int) -> Iterator[bytes]:
    """The messages of links or attributes that the tree finds in the heap.

    Raises `Malformed`, `LimitExceeded`, and `NotUnderstood` where the heap is compressed.
    """
    store = _Heap(read, sizes, heap)
    for kind, record in _records(read, sizes, tree):
        if kind == _LINK_NAMES:
            yield store.object(record[4:])
        elif kind == _ATTRIBUTE_NAMES:
            if len(record) < 9:
                raise Malformed(f"a record of {len(record)} bytes in the tree of attributes at {tree:#x}")
            if record[8] & 2:
                raise NotUnderstood("attributes in the file's shared heap")
            yield store.object(record[:8])


def _enough(limit: int) -> int:
    """Bytes that a number up to `limit` takes."""
    return (max(limit, 1).bit_length() - 1) // 8 + 1


def _records(read: Read, sizes: Sizes, address: int) -> Iterator[tuple[int, bytes]]:
    """The type of the tree, with each of its records."""
    head = read(address, 16 + sizes.offset + 2)
    if not head.startswith(b"BTHD"):
        raise Malformed(f"no B-tree header at {address:#x}")
    kind = head[5]
    node_size, record_size = int.from_bytes(head[6:10], "little"), int.from_bytes(head[10:12], "little")
    depth = int.from_bytes(head[12:14], "little")
    root = int.from_bytes(head[16 : 16 + sizes.offset], "little")
    count = int.from_bytes(head[16 + sizes.offset : 18 + sizes.offset], "little")
    if not record_size or node_size <= _OVERHEAD + record_size or depth > 8:
        raise Malformed(f"a B-tree of impossible sizes at {address:#x}")
    most = (node_size - _OVERHEAD) // record_size
    width, totals = _enough(most), [0]
    reach = most
    for _ in range(depth):
        pointer = sizes.offset + width + totals[-1]
        inside = (node_size - _OVERHEAD - pointer) // (record_size + pointer)
        reach = (inside + 1) * reach + inside
        totals.append(_enough(reach))
    pending = [(root, count, depth)] if count else []
    given = 0
    while pending:
        where, count, level = pending.pop()
        given += count
        if given > _RECORDS:
            raise LimitExceeded("members", f"more than {_RECORDS} records in an HDF5 B-tree")
        pointer = sizes.offset + width + totals[level - 1] if level else 0
        data = read(where, 6 + count * record_size + (count + 1) * pointer)
        if data[:4] != (b"BTIN" if level else b"BTLF"):
            raise Malformed(f"no B-tree node at {where:#x}")
        for index in range(count):
            yield kind, data[6 + index * record_size : 6 + (index + 1) * record_size]
        for index in range(count + 1 if level else 0):
            at = 6 + count * record_size + index * pointer
            child = int.from_bytes(data[at : at + sizes.offset], "little")
            inside = int.from_bytes(data[at + sizes.offset : at + sizes.offset + width], "little")
            pending.append((child, inside, level - 1))


class _Heap:
    """A fractal heap: objects by their ids."""

    def __init__(self, read: Read, sizes: Sizes, address: int) -> None:
        self._read, self._sizes = read, sizes
        length, offset = sizes.length, sizes.offset
        head = read(address, 26 + 12 * length + 3 * offset)
        if not head.startswith(b"FRHP"):
            raise Malformed(f"no fractal heap at {address:#x}")
        self._at = 5
        self._head = head
        self._take(2)
        if self._take(2):
            raise NotUnderstood("a compressed fractal heap")
        self._take(1)
        largest = self._take(4)
        self._take(length)
        self._huge = self._take(offset)
        self._take(length)
        self._take(offset)
        for _ in range(8):
            self._take(length)
        self._width = self._take(2)
        self._start = self._take(length)
        self._direct = self._take(length)
        bits = self._take(2)
        self._take(2)
        self._root = self._take(offset)
        self._rows = self._take(2)
        powers = (self._width, self._start, self._direct)
        if any(not value or value & (value - 1) for value in powers) or self._direct < self._start or bits > 64:
            raise Malformed(f"a fractal heap of impossible sizes at {address:#x}")
        self._offset_bytes = (bits + 7) // 8
        self._length_bytes = min((self._direct.bit_length() + 6) // 8, _enough(largest))
        self._direct_rows = self._direct.bit_length() - self._start.bit_length() + 2
        self._places: dict[int, tuple[int, int]] | None = None

    def _take(self, count: int) -> int:
        self._at += count
        return int.from_bytes(self._head[self._at - count : self._at], "little")

    def object(self, identifier: bytes) -> bytes:
        """The bytes that an id stands for."""
        kind = identifier[0] >> 4 & 3
        if kind == 0:
            end = 1 + self._offset_bytes
            offset = int.from_bytes(identifier[1:end], "little")
            size = int.from_bytes(identifier[end : end + self._length_bytes], "little")
            return self._read(self._locate(offset), size)
        if kind == 1:
            return self._huge_object(int.from_bytes(identifier[1:], "little"))
        return identifier[1 : 2 + (identifier[0] & 15)]

    def _huge_object(self, number: int) -> bytes:
        if self._places is None:
            length, offset = self._sizes.length, self._sizes.offset
            self._places = {}
            for kind, record in _records(self._read, self._sizes, self._huge):
                if kind != _HUGE:
                    raise NotUnderstood("compressed objects of a fractal heap")
                place = int.from_bytes(record[:offset], "little")
                size = int.from_bytes(record[offset : offset + length], "little")
                self._places[int.from_bytes(record[offset + length :], "little")] = place, size
        if number not in self._places:
            raise Malformed(f"a fractal heap without its object {number}")
        place, size = self._places[number]
        if size > _OBJECT:
            raise LimitExceeded("buffer", f"an HDF5 object of {size} bytes")
        return self._read(place, size)

    def _locate(self, offset: int) -> int:
        """Where in the file the heap's byte `offset` lies, through its doubling table."""
        block, rows = self._root, self._rows
        if not rows:
            return block + offset
        for _ in range(64):
            index = 0
            for row in range(rows):
                size = self._start << max(row - 1, 0)
                if offset < size * self._width:
                    break
                offset -= size * self._width
                index += self._width
            else:
                break
            index += offset // size
            offset %= size
            where = block + 5 + self._sizes.offset + self._offset_bytes + index * self._sizes.offset
            block = int.from_bytes(self._read(where, self._sizes.offset), "little")
            if row < self._direct_rows:
                return block + offset
            rows = size.bit_length() - (self._start * self._width).bit_length() + 1
        raise Malformed("an object outside its fractal heap")
