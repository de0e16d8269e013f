"""Single compressed streams: gzip, bzip2, xz, lzma-alone, zstd, lz4 and zlib.

What a damaged stream holds before it breaks is examined all the same; that it breaks is stated after it.

Sources: RFC 1952 (gzip), RFC 1950 (zlib), RFC 8878 (zstd), the lz4 frame format 1.6.4, the xz file format 1.2.1.
"""

import bz2
import lzma
import zlib
from collections.abc import Callable

from garrison.core.errors import Malformed
from garrison.core.facts import Anomaly
from garrison.sources.reader import DecompressingReader, Decompressor, Reader
from garrison.sources.source import Context, Extracted, Source

_CHUNK = 1 << 16
_DECODER = 1 << 29
"""Memory that one LZMA decoder may take."""
_LEGACY_BLOCK = 8 << 20
_LZ4_LEGACY = b"\x02\x21\x4c\x18"
_ZSTD = b"\x28\xb5\x2f\xfd"
_ZSTD_SKIPPABLE = b"\x2a\x4d\x18"
_ENDINGS = (".gzip", ".gz", ".bz2", ".xz", ".lzma", ".zstd", ".zst", ".lz4", ".zz", ".z")


class _Inflating:
    """gzip (every member of it) or zlib, read forward; `end` is the offset after the last complete stream."""

    def __init__(self, packed: Reader, window: int) -> None:
        self._packed = packed
        self._window = window
        self._position = 0
        self._rest = b""
        self._object: zlib._Decompress | None = None
        self.end = 0

    def read(self, size: int, /) -> bytes:
        while True:
            if self._object is None:
                self._rest = self._rest or self._more()
                if self.end and not (self._window == 31 and self._rest.startswith(b"\x1f\x8b")):
                    return b""
                self._object = zlib.decompressobj(self._window)
            if self._object.eof:
                self._rest = self._object.unused_data
                self.end = self._position - len(self._rest)
                self._object = None
                continue
            data = self._object.unconsumed_tail or self._rest or self._more()
            self._rest = b""
            if not data:
                raise Malformed("the compressed stream ends too early")
            if out := self._object.decompress(data, size):
                return out

    def _more(self) -> bytes:
        data = self._packed.pread(self._position, _CHUNK)
        self._position += len(data)
        return data

    def copy(self) -> "_Inflating":
        """Another one that goes on from here."""
        other = _Inflating(self._packed, self._window)
        other._position, other._rest, other.end = self._position, self._rest, self.end
        other._object = self._object.copy() if self._object is not None else None
        return other


def decompressor(packed: Reader) -> Callable[[], Decompressor] | None:
    """How the bytes are unpacked, as their first ones tell; `None` where they are not packed in a way known here."""
    head = packed.pread(0, 6)
    if head.startswith(b"\x1f\x8b"):
        return lambda: _Inflating(packed, 31)
    if head.startswith(_ZSTD) or (head[1:4] == _ZSTD_SKIPPABLE and head[:1] and head[0] & 0xF0 == 0x50):
        return lambda: _zstd(packed)
    if head.startswith(b"BZh"):
        return lambda: _Streams(packed, bz2.BZ2Decompressor, b"BZh")
    if head.startswith(b"\xfd7zXZ\0"):
        return lambda: _Streams(packed, _xz, b"\xfd7zXZ\0")
    return None


def extract_gzip(source: Source, context: Context) -> Extracted:
    """One or more gzip members as one source."""
    yield from _inflated(source, context, 31)


def extract_zlib(source: Source, context: Context) -> Extracted:
    """A zlib stream."""
    yield from _inflated(source, context, 15)


def sniff_zlib(source: Source) -> bool:
    """A zlib header whose check bits hold and whose first block inflates."""
    head = source.reader.pread(0, 512)
    if (
        len(head) < 8
        or head[0] & 0x0F != 8
        or head[0] >> 4 > 7
        or int.from_bytes(head[:2], "big") % 31
        or head[1] & 0x20
    ):
        return False
    try:
        return bool(zlib.decompressobj(15).decompress(head, 64))
    except zlib.error:
        return False


def extract_bzip2(source: Source, context: Context) -> Extracted:
    """A bzip2 file, all its streams."""
    yield from _counted(source, context, lambda: _Streams(source.reader, bz2.BZ2Decompressor, b"BZh"))


def extract_xz(source: Source, context: Context) -> Extracted:
    """An xz file, all its streams."""
    yield from _counted(source, context, lambda: _Streams(source.reader, _xz, b"\xfd7zXZ\0"))


def extract_lzma_alone(source: Source, context: Context) -> Extracted:
    """The `.lzma` format of old."""
    yield from _counted(source, context, lambda: _Streams(source.reader, _lzma_alone, b""))


def sniff_lzma_alone(source: Source) -> bool:
    """Properties, dictionary size and length in the ranges that encoders write, and a start that decodes."""
    head = source.reader.pread(0, 512)
    if len(head) < 14 or head[0] >= 225 or head[13] != 0:
        return False
    dictionary = int.from_bytes(head[1:5], "little")
    if not 1 << 12 <= dictionary <= 1 << 28 or (dictionary & (dictionary - 1) and dictionary % (3 << 10)):
        return False
    size = int.from_bytes(head[5:13], "little")
    if size != (1 << 64) - 1 and size > 1 << 40:
        return False
    try:
        return bool(lzma.LZMADecompressor(lzma.FORMAT_ALONE, memlimit=1 << 29).decompress(head, 16))
    except lzma.LZMAError:
        return False


def _xz() -> lzma.LZMADecompressor:
    return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_DECODER)


def _lzma_alone() -> lzma.LZMADecompressor:
    return lzma.LZMADecompressor(lzma.FORMAT_ALONE, memlimit=_DECODER)


class _Streams:
    """Streams of one kind behind each other, zeros between them; `end` is the offset after the last complete one."""

    def __init__(
        self, packed: Reader, create: "Callable[[], bz2.BZ2Decompressor | lzma.LZMADecompressor]", magic: bytes
    ) -> None:
        self._packed = packed
        self._create = create
        self._magic = magic
        self._position = 0
        self._object = create()
        self.end = 0

    def read(self, size: int, /) -> bytes:
        while True:
            if self._object.eof:
                self.end = self._position - len(self._object.unused_data)
                if not self._another():
                    return b""
            data = b""
            if self._object.needs_input:
                data = self._packed.pread(self._position, _CHUNK)
                self._position += len(data)
                if not data:
                    raise Malformed("the compressed stream ends too early")
            if out := self._object.decompress(data, size):
                return out

    def _another(self) -> bool:
        """Go on with the stream that follows, if there is one."""
        position = self.end
        while chunk := self._packed.pread(position, _CHUNK):
            rest = chunk.lstrip(b"\0")
            if rest:
                position += len(chunk) - len(rest)
                break
            position += len(chunk)
        if not self._magic or self._packed.pread(position, len(self._magic)) != self._magic:
            return False
        self._position = position
        self._object = self._create()
        return True


def extract_zstd(source: Source, context: Context) -> Extracted:
    """A zstd file, all its frames."""

    yield from _opened(source, context, lambda: _zstd(source.reader))


class _Zstd:
    """The frames of a zstd stream, read forward. The library takes a frame that is cut off for a whole one."""

    def __init__(self, packed: Reader) -> None:
        import zstandard

        self._frames = _Frames(packed)
        unpacker = zstandard.ZstdDecompressor(max_window_size=1 << 27)
        self._stream = unpacker.stream_reader(self._frames, read_across_frames=True)  # type: ignore[arg-type]

    def read(self, size: int, /) -> bytes:
        data = self._stream.read(size)
        if not data and size and not self._frames.complete:
            raise Malformed("the compressed stream ends too early")
        return data


class _Frames:
    """Packed bytes on their way to the library, with an eye on where frames and their blocks end."""

    def __init__(self, packed: Reader) -> None:
        self._packed = packed
        self._position = 0
        self._skip = 0
        self._held = b""
        self._wanted = 4
        self._next: Callable[[bytes], None] = self._magic

    @property
    def complete(self) -> bool:
        """Whether what has passed ends with a frame."""
        return self._next == self._magic and not self._skip and not self._held

    def read(self, size: int) -> bytes:
        data = self._packed.pread(self._position, size)
        self._position += len(data)
        self._pass(data)
        return data

    def _pass(self, data: bytes) -> None:
        position = 0
        while position < len(data):
            if self._skip:
                step = min(self._skip, len(data) - position)
                self._skip -= step
            else:
                step = min(self._wanted - len(self._held), len(data) - position)
                self._held += data[position : position + step]
                if len(self._held) == self._wanted:
                    field, self._held = self._held, b""
                    self._next(field)
            position += step

    def _then(self, wanted: int, step: Callable[[bytes], None]) -> None:
        self._wanted, self._next = wanted, step

    def _magic(self, field: bytes) -> None:
        if field == _ZSTD:
            self._then(1, self._descriptor)
        else:
            self._then(4, self._skippable)

    def _skippable(self, field: bytes) -> None:
        self._skip = int.from_bytes(field, "little")
        self._then(4, self._magic)

    def _descriptor(self, field: bytes) -> None:
        flags = field[0]
        single = bool(flags & 0x20)
        content = (int(single), 2, 4, 8)[flags >> 6]
        self._skip = (not single) + (0, 1, 2, 4)[flags & 3] + content
        self._checksum = 4 if flags & 4 else 0
        self._then(3, self._block)

    def _block(self, field: bytes) -> None:
        told = int.from_bytes(field, "little")
        self._skip = 1 if told >> 1 & 3 == 1 else told >> 3
        if told & 1:
            self._skip += self._checksum
            self._then(4, self._magic)


def _zstd(packed: Reader) -> Decompressor:
    return _Zstd(packed)


def extract_lz4(source: Source, context: Context) -> Extracted:
    """lz4 frames, all of them."""

    def start() -> Decompressor:
        import lz4.frame

        return lz4.frame.LZ4FrameFile(source.reader.file())  # type: ignore[no-any-return]

    yield from _opened(source, context, start)


def extract_lz4_legacy(source: Source, context: Context) -> Extracted:
    """The frames of the first lz4 tools: blocks of up to 8 MiB, each after its length."""
    yield from _counted(source, context, lambda: _Blocks(source.reader))


class _Blocks:
    """Blocks of a legacy lz4 file, read forward."""

    def __init__(self, packed: Reader) -> None:
        self._packed = packed
        self._rest = b""
        self.end = 4

    def read(self, size: int, /) -> bytes:
        import lz4.block

        while not self._rest:
            field = self._packed.pread(self.end, 4)
            length = int.from_bytes(field, "little")
            if field == _LZ4_LEGACY:
                self.end += 4
            elif len(field) < 4 or not 0 < length <= _LEGACY_BLOCK + _LEGACY_BLOCK // 255 + 16:
                return b""
            else:
                data = self._packed.exactly(self.end + 4, length)
                self._rest = lz4.block.decompress(data, uncompressed_size=_LEGACY_BLOCK)
                self.end += 4 + length
        out, self._rest = self._rest[:size], self._rest[size:]
        return out


def sniff_skippable(source: Source) -> bool:
    """Skippable frames, as parallel compressors write, before a frame of zstd."""
    position = 0
    for _ in range(64):
        head = source.reader.pread(position, 8)
        if len(head) < 8:
            return False
        if head[:4] == _ZSTD:
            return position > 0
        if head[0] & 0xF0 != 0x50 or head[1:4] != _ZSTD_SKIPPABLE:
            return False
        position += 8 + int.from_bytes(head[4:8], "little")
    return False


def _inflated(source: Source, context: Context, window: int) -> Extracted:
    yield from _counted(source, context, lambda: _Inflating(source.reader, window))


def _counted(source: Source, context: Context, create: "Callable[[], _Inflating | _Streams | _Blocks]") -> Extracted:
    """The contents, and what follows the last stream."""
    streams: list[_Inflating | _Streams | _Blocks] = []

    def start() -> Decompressor:
        streams.append(create())
        return streams[-1]

    yield from _opened(source, context, start)
    end = streams[-1].end
    size = source.reader.size
    if end and end < size and source.reader.pread(end, 4096).strip(b"\0"):
        yield Anomaly(
            what="trailing-data", detail=f"{size - end} bytes follow the compressed stream", place=f"@ {end:#x}"
        )
        yield source.member("(trailing data)", source.reader.window(end, size - end))


def _opened(source: Source, context: Context, start: Callable[[], Decompressor]) -> Extracted:
    reader = context.decompressing(start)
    yield source.member(inner_name(source.name), reader)
    _finish(reader)


def _finish(reader: DecompressingReader) -> None:
    """Read on to the end, since a stream may break, or go on, where the reader of its contents stopped."""
    _ = reader.size
    if reader.error is not None:
        raise Malformed(f"the compressed stream is damaged: {reader.error}")


def inner_name(name: str) -> str:
    """The name without the compressor's ending."""
    for ending in _ENDINGS:
        if name.lower().endswith(ending) and len(name) > len(ending):
            return name[: -len(ending)]
    return "(contents)"
