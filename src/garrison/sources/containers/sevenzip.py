"""7z archives: headers and contents through the standard library's raw LZMA filters.

Source: `7zFormat.txt` of the LZMA SDK.
"""

import bz2
import lzma
import zlib
from collections.abc import Iterator
from typing import Any

import msgspec

from garrison.core.errors import LimitExceeded, Malformed, NotUnderstood
from garrison.core.facts import Anomaly, Artifact
from garrison.sources.containers.names import name_anomalies
from garrison.sources.reader import Decompressor, Reader
from garrison.sources.source import Context, Extracted, Source

_HEADER_LIMIT = 64 << 20
_DICTIONARY_LIMIT = 256 << 20
_COUNT_LIMIT = 1_000_000

_END, _HEADER, _ARCHIVE, _ADDITIONAL, _MAIN, _FILES, _PACK, _UNPACK, _SUBSTREAMS, _SIZE, _CRC, _FOLDER = range(12)
_CODER_SIZES, _STREAM_COUNT, _EMPTY_STREAM, _EMPTY_FILE, _ANTI, _NAMES = range(12, 18)
_ATTRIBUTES = 21
_ENCODED_HEADER = 23

_COPY, _LZMA2, _LZMA1, _DEFLATE, _BZIP2, _AES = (
    b"\0",
    b"\x21",
    b"\x03\x01\x01",
    b"\x04\x01\x08",
    b"\x04\x02\x02",
    b"\x06\xf1\x07\x01",
)
_FILTERS = {
    b"\x03": lzma.FILTER_DELTA,
    b"\x04": lzma.FILTER_X86,
    b"\x03\x03\x01\x03": lzma.FILTER_X86,
    b"\x03\x03\x02\x05": lzma.FILTER_POWERPC,
    b"\x03\x03\x04\x01": lzma.FILTER_IA64,
    b"\x03\x03\x05\x01": lzma.FILTER_ARM,
    b"\x03\x03\x07\x01": lzma.FILTER_ARMTHUMB,
    b"\x03\x03\x08\x05": lzma.FILTER_SPARC,
}


class _Coder(msgspec.Struct):
    method: bytes
    properties: bytes
    inputs: int
    outputs: int


class _Folder(msgspec.Struct):
    """A chain of coders over packed streams."""

    coders: list[_Coder]
    """In the order in which they decode."""
    packed: int
    """How many packed streams it takes."""
    order: list[int] = []
    """Where each coder stands in the header, for coders in one chain."""
    sizes: list[int] = []
    """What each coder of the chain puts out, bytes."""
    streams: int = 1
    substreams: list[int] = []


class _Streams(msgspec.Struct):
    offset: int = 0
    sizes: list[int] = []
    folders: list[_Folder] = []


class _Parser:
    """The header's own encoding of numbers."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.position = 0

    def byte(self) -> int:
        if self.position >= len(self.data):
            raise Malformed("the 7z header ends too early")
        self.position += 1
        return self.data[self.position - 1]

    def take(self, count: int) -> bytes:
        if count < 0 or self.position + count > len(self.data):
            raise Malformed("the 7z header ends too early")
        self.position += count
        return self.data[self.position - count : self.position]

    def number(self) -> int:
        first = self.byte()
        mask, value = 0x80, 0
        for shift in range(8):
            if not first & mask:
                return value | (first & (mask - 1)) << (8 * shift)
            value |= self.byte() << (8 * shift)
            mask >>= 1
        return value

    def count(self) -> int:
        value = self.number()
        if value > _COUNT_LIMIT:
            raise LimitExceeded("members", f"a 7z header counts {value} entries")
        return value

    def bits(self, count: int) -> list[bool]:
        data = self.take((count + 7) // 8)
        return [bool(data[i // 8] & 0x80 >> i % 8) for i in range(count)]

    def optional_bits(self, count: int) -> list[bool]:
        return [True] * count if self.byte() else self.bits(count)


def extract(source: Source, context: Context) -> Extracted:
    """The members as sources. Encrypted ones are stated."""
    yield Artifact(format="7z")
    reader = source.reader
    start = reader.exactly(0, 32)
    offset, size = int.from_bytes(start[12:20], "little"), int.from_bytes(start[20:28], "little")
    if size > _HEADER_LIMIT:
        raise LimitExceeded("buffer", f"a 7z header of {size} bytes")
    yield from _behind(source, 32 + offset + size)
    if not size:
        return
    header = reader.exactly(32 + offset, size)
    for _ in range(8):
        parser = _Parser(header)
        kind = parser.byte()
        if kind == _HEADER:
            break
        if kind != _ENCODED_HEADER:
            raise Malformed("no 7z header")
        streams = _streams(parser)
        if any(coder.method == _AES for folder in streams.folders for coder in folder.coders):
            yield Anomaly(what="encrypted-archive", detail="the list of members is encrypted")
            raise NotUnderstood("the archive is encrypted")
        if not streams.folders:
            raise Malformed("an encoded 7z header without a folder")
        header = _folder(reader, context, streams, 0).whole(_HEADER_LIMIT)
    else:
        raise Malformed("7z headers encoded inside each other")
    yield from _contents(source, context, parser)


def _behind(source: Source, end: int) -> Extracted:
    """What stands behind the archive, for nobody who reads 7z."""
    if source.reader.pread(end, 1):
        yield Anomaly(what="trailing-data", detail="bytes follow the end of the archive", place=f"@ {end:#x}")
        yield source.member("(trailing data)", source.reader.window(end, max(source.reader.size - end, 0)))


def _contents(source: Source, context: Context, parser: _Parser) -> Extracted:
    streams = _Streams()
    files: list[tuple[str, bool, int]] = []
    while kind := parser.byte():
        if kind == _ARCHIVE:
            _skip_properties(parser)
        elif kind == _ADDITIONAL:
            _streams(parser)
        elif kind == _MAIN:
            streams = _streams(parser)
        elif kind == _FILES:
            files = _files(parser)
        else:
            raise Malformed(f"7z header: unknown part {kind}")
    places = ((index, number) for index, folder in enumerate(streams.folders) for number in range(folder.streams))
    opened: dict[int, Reader] = {}
    for name, empty, attributes in files[: context.limits.members]:
        context.check_time()
        yield from name_anomalies(name)
        if attributes & 0x8000 and (attributes >> 16) & 0o170000 == 0o120000:
            from garrison.sources.containers.names import link_anomalies

            yield from link_anomalies(name, _link_target(source.reader, context, streams, places, opened))
            continue
        if empty:
            continue
        index, number = next(places, (-1, 0))
        if index < 0:
            raise Malformed("more 7z members than packed streams")
        folder = streams.folders[index]
        if any(coder.method == _AES for coder in folder.coders):
            yield Anomaly(what="encrypted-member", detail=f"{name!r} is encrypted and cannot be examined", place=name)
            continue
        if index not in opened:
            opened[index] = _folder(source.reader, context, streams, index)
        sizes = folder.substreams or folder.sizes[-1:]
        begin = sum(sizes[:number])
        yield source.member(name, opened[index].window(begin, sizes[number]))
    if len(files) > context.limits.members:
        raise LimitExceeded("members", f"more than {context.limits.members} members")


def _link_target(
    reader: Reader,
    context: Context,
    streams: _Streams,
    places: Iterator[tuple[int, int]],
    opened: dict[int, Reader],
) -> str:
    index, number = next(places, (-1, 0))
    if index < 0:
        return ""
    if index not in opened:
        opened[index] = _folder(reader, context, streams, index)
    sizes = streams.folders[index].substreams or streams.folders[index].sizes[-1:]
    return opened[index].pread(sum(sizes[:number]), min(sizes[number], 4096)).decode("utf-8", "backslashreplace")


def _skip_properties(parser: _Parser) -> None:
    while parser.byte():
        parser.take(parser.number())


def _streams(parser: _Parser) -> _Streams:
    streams = _Streams()
    while kind := parser.byte():
        if kind == _PACK:
            streams.offset = parser.number()
            _pack_info(parser, streams, parser.count())
        elif kind == _UNPACK:
            _unpack_info(parser, streams)
        elif kind == _SUBSTREAMS:
            _substreams(parser, streams)
        else:
            raise Malformed(f"7z header: unknown stream part {kind}")
    return streams


def _pack_info(parser: _Parser, streams: _Streams, count: int) -> None:
    while kind := parser.byte():
        if kind == _SIZE:
            streams.sizes = [parser.number() for _ in range(count)]
        elif kind == _CRC:
            parser.take(4 * sum(parser.optional_bits(count)))
        else:
            raise Malformed(f"7z header: unknown pack part {kind}")


def _unpack_info(parser: _Parser, streams: _Streams) -> None:
    if parser.byte() != _FOLDER:
        raise Malformed("7z header: no folders")
    count = parser.count()
    if parser.byte():
        raise NotUnderstood("7z folders kept outside the header")
    streams.folders = [_folder_of(parser) for _ in range(count)]
    if parser.byte() != _CODER_SIZES:
        raise Malformed("7z header: no sizes of folders")
    for folder in streams.folders:
        sizes = [parser.number() for coder in folder.coders for _ in range(coder.outputs)]
        folder.sizes = [sizes[index] for index in folder.order] or sizes
    while kind := parser.byte():
        if kind != _CRC:
            raise Malformed(f"7z header: unknown folder part {kind}")
        parser.take(4 * sum(parser.optional_bits(count)))


def _folder_of(parser: _Parser) -> _Folder:
    count = parser.number()
    if not 0 < count <= 16:
        raise Malformed(f"a 7z folder of {count} coders")
    coders = []
    for _ in range(count):
        flags = parser.byte()
        method = parser.take(flags & 0x0F)
        inputs, outputs = (parser.number(), parser.number()) if flags & 0x10 else (1, 1)
        if inputs > 16 or outputs > 16:
            raise Malformed("a 7z coder with too many streams")
        coders.append(_Coder(method, parser.take(parser.number()) if flags & 0x20 else b"", inputs, outputs))
    total_in, total_out = sum(c.inputs for c in coders), sum(c.outputs for c in coders)
    feeds = {}
    for _ in range(total_out - 1):
        reader = parser.number()
        feeds[parser.number()] = reader
    packed = total_in - (total_out - 1)
    if packed > 1:
        for _ in range(packed):
            parser.number()
    if packed == 1 and total_in == total_out == count:
        coders, order = _in_order(coders, feeds)
        return _Folder(coders, packed, order)
    return _Folder(coders, packed)


def _in_order(coders: list[_Coder], feeds: dict[int, int]) -> tuple[list[_Coder], list[int]]:
    """Simple coders from the packed stream on; `feeds` maps the output of one to the input of the next."""
    current = next((index for index in range(len(coders)) if index not in feeds.values()), 0)
    order = [current]
    while current in feeds and len(order) < len(coders):
        current = feeds[current]
        if current in order or current >= len(coders):
            raise Malformed("7z coders that feed themselves")
        order.append(current)
    return [coders[index] for index in order], order


def _substreams(parser: _Parser, streams: _Streams) -> None:
    kind = parser.byte()
    if kind == _STREAM_COUNT:
        for folder in streams.folders:
            folder.streams = parser.count()
        kind = parser.byte()
    for folder in streams.folders:
        if folder.streams == 0:
            continue
        total = folder.sizes[-1] if folder.sizes else 0
        sizes = [parser.number() for _ in range(folder.streams - 1)] if kind == _SIZE else []
        if kind == _SIZE or folder.streams == 1:
            folder.substreams = [*sizes, max(total - sum(sizes), 0)]
        else:
            raise Malformed("7z header: no sizes of members")
    if kind == _SIZE:
        kind = parser.byte()
    while kind:
        if kind != _CRC:
            raise Malformed(f"7z header: unknown member part {kind}")
        # A folder of one member has its checksum already when the folder's was given; either count ends at the zero.
        parser.take(4 * sum(parser.optional_bits(sum(f.streams for f in streams.folders))))
        kind = parser.byte()


def _files(parser: _Parser) -> list[tuple[str, bool, int]]:
    count = parser.count()
    names: list[str] = []
    empty = [False] * count
    attributes = [0] * count
    while kind := parser.byte():
        part = _Parser(parser.take(parser.number()))
        if kind == _EMPTY_STREAM:
            empty = part.bits(count)
        elif kind == _NAMES:
            if part.byte():
                raise NotUnderstood("7z names kept outside the header")
            names = part.data[1:].decode("utf-16-le", "backslashreplace").split("\0")
        elif kind == _ATTRIBUTES:
            defined = part.optional_bits(count)
            part.byte()
            attributes = [int.from_bytes(part.take(4), "little") if has else 0 for has in defined]
    names += [f"(member {number})" for number in range(len(names), count)]
    return list(zip(names, empty, attributes, strict=False))


def _folder(reader: Reader, context: Context, streams: _Streams, index: int) -> Reader:
    """The unpacked contents of one folder."""
    folder = streams.folders[index]
    first = sum(before.packed for before in streams.folders[:index])
    if folder.packed != 1 or any(coder.inputs != 1 or coder.outputs != 1 for coder in folder.coders):
        raise NotUnderstood("a 7z folder with branching coders")
    if first >= len(streams.sizes):
        raise Malformed("a 7z folder without packed data")
    packed = reader.window(32 + streams.offset + sum(streams.sizes[:first]), streams.sizes[first])
    coders, sizes = list(folder.coders), list(folder.sizes)
    stream = packed
    while coders:
        coder = coders.pop(0)
        size = sizes.pop(0) if sizes else 0
        if coder.method == _COPY:
            continue
        filters: list[dict[str, Any]] = []
        if coder.method in (_LZMA1, _LZMA2):
            filters = [_lzma_filter(coder)]
            while coders and coders[0].method in _FILTERS:
                following = coders.pop(0)
                size = sizes.pop(0) if sizes else size
                filters.insert(0, _simple_filter(following))
        stream = _decoded(stream, coder, filters, context, size)
    return stream


def _decoded(packed: Reader, coder: _Coder, filters: list[dict[str, Any]], context: Context, size: int) -> Reader:
    def start() -> Decompressor:
        if filters:
            return lzma.LZMAFile(packed.file(), format=lzma.FORMAT_RAW, filters=filters)
        if coder.method == _BZIP2:
            return bz2.BZ2File(packed.file())
        if coder.method == _DEFLATE:
            return _Deflated(packed)
        raise NotUnderstood(f"the 7z method {coder.method.hex()} is not read")

    start()
    return context.decompressing(start).window(0, size)


class _Deflated:
    def __init__(self, packed: Reader) -> None:
        self._data = packed.file()
        self._object = zlib.decompressobj(-15)

    def read(self, size: int, /) -> bytes:
        while not self._object.eof:
            data = self._object.unconsumed_tail or self._data.read(1 << 16)
            if not data:
                return b""
            if out := self._object.decompress(data, size):
                return out
        return b""


def _lzma_filter(coder: _Coder) -> dict[str, Any]:
    properties = coder.properties
    if coder.method == _LZMA2:
        if len(properties) != 1 or properties[0] > 40:
            raise Malformed("wrong LZMA2 properties")
        bits = properties[0]
        size = 0xFFFFFFFF if bits == 40 else (2 | bits & 1) << (bits // 2 + 11)
        return {"id": lzma.FILTER_LZMA2, "dict_size": _dictionary(size)}
    if len(properties) != 5 or properties[0] >= 225:
        raise Malformed("wrong LZMA properties")
    return {
        "id": lzma.FILTER_LZMA1,
        "lc": properties[0] % 9,
        "lp": properties[0] // 9 % 5,
        "pb": properties[0] // 45,
        "dict_size": _dictionary(int.from_bytes(properties[1:], "little")),
    }


def _dictionary(size: int) -> int:
    if size > _DICTIONARY_LIMIT:
        raise LimitExceeded("memory", f"an LZMA dictionary of {size} bytes")
    return max(size, 4096)


def _simple_filter(coder: _Coder) -> dict[str, Any]:
    kind = _FILTERS[coder.method]
    if kind == lzma.FILTER_DELTA:
        return {"id": kind, "dist": coder.properties[0] + 1 if coder.properties else 1}
    return {"id": kind}
