"""HDF5 metadata: groups, links, attributes and where datasets keep their data; `hdf5_data` reads their values.

Source: HDF5 File Format Specification 3.0 (superblock II.A, B-trees III.A.1, local and global heaps III.D and III.E,
object headers IV.A).
"""

from collections.abc import Callable, Iterator
from typing import Literal

import msgspec

from garrison.artifacts.wire import hdf5_heap
from garrison.artifacts.wire.hdf5_signature import SIGNATURE
from garrison.core.errors import LimitExceeded, Malformed, NotUnderstood
from garrison.sources.reader import Reader

_OBJECTS = 200_000
_MESSAGES = 100_000
_HEADER_BYTES = 64 << 20
_STRING = 64 << 20
_UNDEFINED = {4: 0xFFFFFFFF, 8: 0xFFFFFFFFFFFFFFFF, 2: 0xFFFF}

_DATASPACE, _LINK_INFO, _DATATYPE, _LINK, _EXTERNAL, _LAYOUT = 0x01, 0x02, 0x03, 0x06, 0x07, 0x08
_FILL, _FILTERS = 0x05, 0x0B
_DESCRIBING = frozenset({_DATASPACE, _FILL, _FILTERS})
_SHARED = 2
"""The flag of a message whose body only says where it is."""
_ATTRIBUTE, _CONTINUATION, _SYMBOL_TABLE, _ATTRIBUTE_INFO = 0x0C, 0x10, 0x11, 0x15


class Attribute(msgspec.Struct, frozen=True):
    path: str
    name: str
    values: tuple[bytes, ...]
    """Strings as bytes, one for each element; empty where the type is no string."""


class Raw(msgspec.Struct, frozen=True):
    """The messages that describe a dataset's values, as they stand in the file."""

    offset_size: int
    length_size: int
    base: int
    """What addresses are counted from."""
    datatype: bytes
    space: bytes
    layout: bytes
    filters: bytes
    fill: bytes


class Dataset(msgspec.Struct, frozen=True):
    path: str
    type_class: int
    """3 string, 9 variable length, and so on (IV.A.2.d)."""
    layout: Literal["compact", "contiguous", "chunked", "virtual", "unknown"]
    address: int
    """Of contiguous data in the reader; -1 where it has none."""
    size: int
    raw: Raw
    external: tuple[str, ...] = ()
    """Files that hold the raw data."""


class Link(msgspec.Struct, frozen=True):
    """A link that is no hard link."""

    path: str
    kind: Literal["soft", "external", "user-defined"]
    target: str


class Dense(msgspec.Struct, frozen=True):
    """Links or attributes of this object are kept in a way that this reader does not follow (compressed, or shared)."""

    path: str


Item = Attribute | Dataset | Link | Dense


def find_superblock(reader: Reader) -> int | None:
    """Where the file's superblock stands: at 0, 512, 1024, 2048 and so on (II.A); `None` where there is none."""
    offset = 0
    size = reader.size
    while offset + 8 <= size and offset <= 1 << 30:
        if reader.pread(offset, 8) == SIGNATURE:
            return offset
        offset = offset * 2 or 512
    return None


def read(reader: Reader, check_time: Callable[[], None]) -> Iterator[Item]:
    """Walk the file from its root group.

    Raises `Malformed` where the structure breaks and `LimitExceeded` where it is too large.
    """
    start = find_superblock(reader)
    if start is None:
        raise Malformed("no HDF5 superblock")
    yield from _File(reader, start, check_time).walk()


class _File:
    def __init__(self, reader: Reader, start: int, check_time: Callable[[], None]) -> None:
        self._reader = reader
        self._check_time = check_time
        head = reader.exactly(start, 9)
        version = head[8]
        if version in (0, 1):
            sizes = reader.exactly(start + 13, 2)
            self._offset_size, self._length_size = sizes[0], sizes[1]
            fields = start + (24 if version == 0 else 28)
            self._check_sizes()
            self._base = self._number(fields, self._offset_size)
            self._root = self._number(fields + 4 * self._offset_size + self._offset_size, self._offset_size)
        elif version in (2, 3):
            sizes = reader.exactly(start + 9, 2)
            self._offset_size, self._length_size = sizes[0], sizes[1]
            self._check_sizes()
            self._base = self._number(start + 12, self._offset_size)
            self._root = self._number(start + 12 + 3 * self._offset_size, self._offset_size)
        else:
            raise Malformed(f"HDF5 superblock of version {version}")
        # Files behind a user block written by later tools may keep base 0; what the library trusts is the base.
        if self._base == 0 and start and self._signature(self._root + start):
            self._base = start
        self._heaps: dict[int, dict[int, bytes]] = {}
        self._heaped = 0

    def _check_sizes(self) -> None:
        if self._offset_size not in (2, 4, 8) or self._length_size not in (2, 4, 8):
            raise Malformed("HDF5 offsets of an impossible size")

    def _signature(self, where: int) -> bool:
        head = self._reader.pread(where, 4)
        return head == b"OHDR" or head[:1] == b"\x01"

    def _number(self, where: int, size: int) -> int:
        return int.from_bytes(self._reader.exactly(where, size), "little")

    def _at(self, address: int, length: int) -> bytes:
        return self._reader.exactly(self._base + address, length)

    def _undefined(self, address: int) -> bool:
        return address == _UNDEFINED[self._offset_size]

    # ------------------------------------------------------------ objects

    def walk(self) -> Iterator[Item]:
        pending = [("/", self._root)]
        seen: set[int] = set()
        while pending:
            self._check_time()
            path, address = pending.pop()
            if address in seen:
                continue
            seen.add(address)
            if len(seen) > _OBJECTS:
                raise LimitExceeded("members", f"more than {_OBJECTS} HDF5 objects")
            children: list[tuple[str, int]] = []
            yield from self._object(path, address, children)
            pending += reversed(children)

    def _object(self, path: str, address: int, children: list[tuple[str, int]]) -> Iterator[Item]:
        layout = None
        raw: dict[int, bytes] = {}
        external: tuple[str, ...] = ()
        for kind, flags, data in self._messages(address):
            cursor = _Cursor(data, self._offset_size, self._length_size)
            if flags & _SHARED and kind in (_ATTRIBUTE, _LINK, _EXTERNAL):
                yield Dense(path)
            elif kind == _SYMBOL_TABLE:
                yield from self._symbol_table(path, cursor.offset(), cursor.offset(), children)
            elif kind == _LINK:
                yield from self._link(path, cursor, children)
            elif kind in (_LINK_INFO, _ATTRIBUTE_INFO):
                yield from self._dense(path, kind, cursor, children)
            elif kind == _ATTRIBUTE:
                yield from self._attribute(path, data)
            elif kind == _DATATYPE and data:
                raw[kind] = self._committed_type(data) if flags & _SHARED else data
            elif kind in _DESCRIBING and not flags & _SHARED:
                raw[kind] = data
            elif kind == _LAYOUT:
                raw[kind] = data
                layout = self._layout(cursor)
                external += layout[3]
            elif kind == _EXTERNAL:
                external += self._external(cursor)
        if layout is not None:
            found = Raw(
                self._offset_size,
                self._length_size,
                self._base,
                *(raw.get(kind, b"") for kind in (_DATATYPE, _DATASPACE, _LAYOUT, _FILTERS, _FILL)),
            )
            type_class = found.datatype[0] & 0x0F if found.datatype else -1
            yield Dataset(path, type_class, layout[0], layout[1], layout[2], found, external)

    def _dense(self, path: str, kind: int, cursor: "_Cursor", children: list[tuple[str, int]]) -> Iterator[Item]:
        """Links or attributes in a fractal heap, where there are many of them."""
        cursor.take(1)
        flags = cursor.take(1)[0]
        cursor.take((8 if kind == _LINK_INFO else 2) if flags & 1 else 0)
        heap, tree = cursor.offset(), cursor.offset()
        if self._undefined(heap) or self._undefined(tree):
            return
        try:
            for data in hdf5_heap.objects(self._at, hdf5_heap.Sizes(self._offset_size, self._length_size), heap, tree):
                self._check_time()
                if kind == _LINK_INFO:
                    yield from self._link(path, _Cursor(data, self._offset_size, self._length_size), children)
                else:
                    yield from self._attribute(path, data)
        except NotUnderstood:
            yield Dense(path)

    def _messages(self, address: int) -> Iterator[tuple[int, int, bytes]]:
        """Kind, flags and body of each message of an object."""
        head = self._at(address, 16)
        total = 0
        if head.startswith(b"OHDR"):
            blocks, order = self._version_2(address)
            size_of_head, version_2 = 4 + (2 if order else 0), True
        else:
            if head[0] != 1:
                raise Malformed(f"no object header at {address:#x}")
            blocks = [(address + 16, int.from_bytes(head[8:12], "little"))]
            size_of_head, version_2, order = 8, False, False
        seen: set[int] = set()
        while blocks:
            start, length = blocks.pop(0)
            total += length
            if start in seen or total > _HEADER_BYTES:
                raise Malformed("an HDF5 object header that continues in itself or without end")
            seen.add(start)
            data = self._at(start, length)
            position = 0
            while position + size_of_head <= len(data):
                if version_2:
                    kind, size = data[position], int.from_bytes(data[position + 1 : position + 3], "little")
                    flags = data[position + 3]
                else:
                    kind = int.from_bytes(data[position : position + 2], "little")
                    size = int.from_bytes(data[position + 2 : position + 4], "little")
                    flags = data[position + 4]
                body = data[position + size_of_head : position + size_of_head + size]
                position += size_of_head + size
                if kind == _CONTINUATION and len(body) >= self._offset_size + self._length_size:
                    cursor = _Cursor(body, self._offset_size, self._length_size)
                    begin, extent = cursor.offset(), cursor.length()
                    blocks.append((begin + 4, extent - 8) if version_2 else (begin, extent))
                    if extent < 8 or len(blocks) > _MESSAGES:
                        raise Malformed("an HDF5 continuation block of impossible size")
                elif kind:
                    yield kind, flags, body

    def _version_2(self, address: int) -> tuple[list[tuple[int, int]], bool]:
        flags = self._at(address + 5, 1)[0]
        where = address + 6 + (16 if flags & 0x20 else 0) + (4 if flags & 0x10 else 0)
        width = 1 << (flags & 3)
        size = int.from_bytes(self._at(where, width), "little")
        return [(where + width, size)], bool(flags & 4)

    # ------------------------------------------------------------- groups

    def _symbol_table(self, path: str, tree: int, heap: int, children: list[tuple[str, int]]) -> Iterator[Item]:
        names = self._local_heap(heap)
        pending = [tree]
        seen: set[int] = set()
        while pending:
            self._check_time()
            address = pending.pop()
            if address in seen or len(seen) > _OBJECTS:
                raise Malformed("an HDF5 group's B-tree that contains itself")
            seen.add(address)
            head = self._at(address, 8)
            if head.startswith(b"SNOD"):
                yield from self._symbols(path, address + 8, int.from_bytes(head[6:8], "little"), names, children)
                continue
            if not head.startswith(b"TREE"):
                raise Malformed(f"no B-tree node at {address:#x}")
            used = int.from_bytes(head[6:8], "little")
            where = address + 8 + 2 * self._offset_size + self._length_size
            step = self._length_size + self._offset_size
            data = self._at(where, used * step)
            pending += [int.from_bytes(data[i * step : i * step + self._offset_size], "little") for i in range(used)]

    def _symbols(
        self, path: str, where: int, count: int, names: bytes, children: list[tuple[str, int]]
    ) -> Iterator[Item]:
        size = 2 * self._offset_size + 24
        data = self._at(where, count * size)
        for index in range(count):
            entry = _Cursor(data[index * size : (index + 1) * size], self._offset_size, self._length_size)
            name = _text(names[entry.offset() :].split(b"\0")[0])
            address = entry.offset()
            child = f"{path.rstrip('/')}/{name}"
            if int.from_bytes(entry.take(4), "little") == 2:
                entry.take(4)
                target = int.from_bytes(entry.take(4), "little")
                yield Link(child, "soft", _text(names[target:].split(b"\0")[0]))
            else:
                children.append((child, address))

    def _local_heap(self, address: int) -> bytes:
        head = self._at(address, 8 + 2 * self._length_size + self._offset_size)
        if not head.startswith(b"HEAP"):
            raise Malformed(f"no local heap at {address:#x}")
        cursor = _Cursor(head[8:], self._offset_size, self._length_size)
        size = cursor.length()
        cursor.length()
        if size > _STRING:
            raise LimitExceeded("buffer", f"an HDF5 name heap of {size} bytes")
        return self._at(cursor.offset(), size)

    def _link(self, path: str, cursor: "_Cursor", children: list[tuple[str, int]]) -> Iterator[Item]:
        cursor.take(1)
        flags = cursor.take(1)[0]
        kind = cursor.take(1)[0] if flags & 8 else 0
        cursor.take((8 if flags & 4 else 0) + (1 if flags & 16 else 0))
        name = _text(cursor.take(int.from_bytes(cursor.take(1 << (flags & 3)), "little")))
        child = f"{path.rstrip('/')}/{name}"
        if kind == 0:
            children.append((child, cursor.offset()))
            return
        value = cursor.take(int.from_bytes(cursor.take(2), "little"))
        if kind == 1:
            yield Link(child, "soft", _text(value))
        elif kind == 64:
            parts = value[1:].split(b"\0")
            yield Link(child, "external", ":".join(_text(part) for part in parts[:2]))
        else:
            yield Link(child, "user-defined", _text(value[:256]))

    # --------------------------------------------------- attributes and data

    def _attribute(self, path: str, data: bytes) -> Iterator[Item]:
        cursor = _Cursor(data, self._offset_size, self._length_size)
        version, flags = cursor.take(1)[0], cursor.take(1)[0]
        name_size, type_size, space_size = (int.from_bytes(cursor.take(2), "little") for _ in range(3))
        if version == 3:
            cursor.take(1)
        padded = version == 1
        name = _text(cursor.take(_round_up(name_size) if padded else name_size)[:name_size].split(b"\0")[0])
        datatype = cursor.take(_round_up(type_size) if padded else type_size)
        space = cursor.take(_round_up(space_size) if padded else space_size)
        if version > 1 and flags & 1:
            datatype = self._committed_type(datatype)
        if (flags & 2 and version > 1) or not datatype:
            yield Dense(path)
            return
        yield Attribute(path, name, tuple(self._values(datatype, self._elements(space), cursor)))

    def _values(self, datatype: bytes, count: int, cursor: "_Cursor") -> Iterator[bytes]:
        """The elements of a type of strings, or of variable length."""
        kind = datatype[0] & 0x0F
        if kind == 3:
            width = int.from_bytes(datatype[4:8], "little")
            raw = cursor.rest()
            for index in range(min(count, 65536, len(raw) // width if width else 0)):
                yield raw[index * width : (index + 1) * width].rstrip(b"\0")
        elif kind == 9:
            yield from self._variable(cursor, count)

    def _committed_type(self, reference: bytes) -> bytes:
        """The type that others share, where it lies in an object of its own; else nothing."""
        cursor = _Cursor(reference, self._offset_size, self._length_size)
        version, kind = cursor.take(1)[0], cursor.take(1)[0]
        if version == 1:
            cursor.take(6)
        elif version == 3 and kind != 2:
            return b""
        for number, flags, body in self._messages(cursor.offset()):
            if number == _DATATYPE and not flags & _SHARED:
                return body
        return b""

    def _elements(self, space: bytes) -> int:
        if len(space) < 4:
            return 0
        version, rank = space[0], space[1]
        if rank == 0:
            return 0 if version == 2 and space[3] == 2 else 1
        begin = 8 if version == 1 else 4
        count = 1
        for index in range(rank):
            at = begin + index * self._length_size
            count *= int.from_bytes(space[at : at + self._length_size], "little")
        return min(count, 1 << 40)

    def _variable(self, cursor: "_Cursor", count: int) -> Iterator[bytes]:
        """Elements of a variable-length type: a length, and a place in a global heap."""
        for _ in range(min(count, 65536)):
            length = int.from_bytes(cursor.take(4), "little")
            address = cursor.offset()
            index = int.from_bytes(cursor.take(4), "little")
            if self._undefined(address) or not address:
                yield b""
            else:
                yield self._global_heap(address).get(index, b"")[:length]

    def _global_heap(self, address: int) -> dict[int, bytes]:
        if address in self._heaps:
            return self._heaps[address]
        head = self._at(address, 8 + self._length_size)
        if not head.startswith(b"GCOL"):
            raise Malformed(f"no global heap at {address:#x}")
        size = int.from_bytes(head[8:], "little")
        if size > _STRING or self._heaped > _STRING:
            raise LimitExceeded("buffer", f"an HDF5 global heap of {size} bytes")
        data = self._reader.pread(self._base + address, size)
        objects: dict[int, bytes] = {}
        position = 8 + self._length_size
        while position + 8 + self._length_size <= len(data):
            index = int.from_bytes(data[position : position + 2], "little")
            length = int.from_bytes(data[position + 8 : position + 8 + self._length_size], "little")
            if index == 0:
                break
            begin = position + 8 + self._length_size
            objects[index] = data[begin : begin + length]
            position = begin + _round_up(length)
        self._heaped += len(data)
        self._heaps[address] = objects
        return objects

    def _layout(
        self, cursor: "_Cursor"
    ) -> tuple[Literal["compact", "contiguous", "chunked", "virtual", "unknown"], int, int, tuple[str, ...]]:
        """How the data lies, where, how much of it, and the files that it is put together from."""
        version = cursor.take(1)[0]
        if version < 3:
            return "unknown", -1, 0, ()
        kind = cursor.take(1)[0]
        if kind == 0:
            return "compact", -1, int.from_bytes(cursor.take(2), "little"), ()
        if kind == 1:
            address, size = cursor.offset(), cursor.length()
            return "contiguous", -1 if self._undefined(address) else self._base + address, size, ()
        if kind == 3:
            address = cursor.offset()
            block = (
                b""
                if self._undefined(address)
                else self._global_heap(address).get(int.from_bytes(cursor.take(4), "little"), b"")
            )
            return "virtual", -1, 0, tuple(_virtual_sources(block, self._offset_size, self._length_size))
        return "chunked" if kind == 2 else "unknown", -1, 0, ()

    def _external(self, cursor: "_Cursor") -> tuple[str, ...]:
        cursor.take(4)
        cursor.take(2)
        used = int.from_bytes(cursor.take(2), "little")
        names = self._local_heap(cursor.offset())
        found = []
        for _ in range(min(used, 1024)):
            found.append(_text(names[cursor.length() :].split(b"\0")[0]))
            cursor.length()
            cursor.length()
        return tuple(found)


class _Cursor:
    def __init__(self, data: bytes, offset_size: int, length_size: int) -> None:
        self._data = data
        self._position = 0
        self._offset_size = offset_size
        self._length_size = length_size

    def take(self, count: int) -> bytes:
        end = self._position + count
        if end > len(self._data):
            raise Malformed("an HDF5 message ends too early")
        data = self._data[self._position : end]
        self._position = end
        return data

    def offset(self) -> int:
        return int.from_bytes(self.take(self._offset_size), "little")

    def length(self) -> int:
        return int.from_bytes(self.take(self._length_size), "little")

    def text(self) -> bytes:
        """Up to the next NUL."""
        end = self._data.find(b"\0", self._position)
        return self.take(max(end - self._position, 0) + 1)[:-1]

    def selection(self) -> None:
        """Step over the description of a part of a dataset (VIII of the specification)."""
        kind, version = (int.from_bytes(self.take(4), "little") for _ in range(2))
        if kind in (0, 3):
            self.take(8)
        elif kind == 2 and version == 2:
            self.take(1)
            self.take(int.from_bytes(self.take(4), "little"))
        elif kind == 2 and version == 3:
            regular, width = self.take(1)[0] & 1, self.take(1)[0]
            rank = int.from_bytes(self.take(4), "little")
            self.take((4 if regular else 2 * int.from_bytes(self.take(width), "little")) * rank * width)
        elif kind == 1 and version == 2:
            width = self.take(1)[0]
            rank = int.from_bytes(self.take(4), "little")
            self.take(int.from_bytes(self.take(width), "little") * rank * width)
        else:
            self.take(4)
            self.take(int.from_bytes(self.take(4), "little"))

    def rest(self) -> bytes:
        return self._data[self._position :]


def _virtual_sources(block: bytes, offset_size: int, length_size: int) -> Iterator[str]:
    """Files that a virtual dataset takes its values from; `.` is the file itself (VII.A of the specification)."""
    cursor = _Cursor(block, offset_size, length_size)
    version = cursor.take(1)[0] if block else 0xFF
    if version > 1:
        return
    for _ in range(min(cursor.length(), 1024)):
        flags = cursor.take(1)[0] if version else 0
        # Version 1 refers to an earlier entry of the same name, or to the file itself, by a flag.
        name = "."
        if flags & 1:
            cursor.length()
        elif not flags & 4:
            name = _text(cursor.text())
        if flags & 2:
            cursor.length()
        else:
            cursor.text()
        if name != ".":
            yield name
        for _ in range(2):
            cursor.selection()


def _round_up(size: int) -> int:
    return size + 7 & ~7


def _text(data: bytes) -> str:
    return data.decode("utf-8", "backslashreplace")
