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
    yield from _opened(source, context, lambda: bz2.BZ2File(source.reader.file()))


def extract_xz(source: Source, context: Context) -> Extracted:
    """An xz file, all its streams."""
    yield from _opened(source, context, lambda: _lzma(source.reader, lzma.FORMAT_XZ))


def extract_lzma_alone(source: Source, context: Context) -> Extracted:
    """The `.lzma` format of old."""
    yield from _opened(source, context, lambda: _lzma(source.reader, lzma.FORMAT_ALONE))


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


class _lzma:
    """xz or lzma-alone with a bound on the decoder's memory; xz streams may follow each other, padded with zeros."""

    def __init__(self, packed: Reader, form: int) -> None:
        self._packed = packed
        self._form = form
        self._position = 0
        self._rest = b""
        self._object = lzma.LZMADecompressor(form, memlimit=1 << 29)

    def read(self, size: int, /) -> bytes:
        while True:
            if self._object.eof:
                rest = self._object.unused_data.lstrip(b"\0") or self._packed.pread(self._position, 64).lstrip(b"\0")
                if self._form != lzma.FORMAT_XZ or not rest.startswith(b"\xfd7zXZ"):
                    return b""
                self._rest = self._object.unused_data.lstrip(b"\0")
                self._object = lzma.LZMADecompressor(self._form, memlimit=1 << 29)
            data = b""
            if self._object.needs_input:
                data = self._rest or self._packed.pread(self._position, _CHUNK)
                if not self._rest:
                    self._position += len(data)
                self._rest = b""
                if not data:
                    raise Malformed("the compressed stream ends too early")
            if out := self._object.decompress(data, size):
                return out


def extract_zstd(source: Source, context: Context) -> Extracted:
    """A zstd file, all its frames."""

    def start() -> Decompressor:
        import zstandard

        decompressor = zstandard.ZstdDecompressor(max_window_size=1 << 27)
        return decompressor.stream_reader(source.reader.file(), read_across_frames=True)

    yield from _opened(source, context, start)


def extract_lz4(source: Source, context: Context) -> Extracted:
    """An lz4 frame."""

    def start() -> Decompressor:
        import lz4.frame

        return lz4.frame.LZ4FrameFile(source.reader.file())  # type: ignore[no-any-return]

    yield from _opened(source, context, start)


def _inflated(source: Source, context: Context, window: int) -> Extracted:
    streams: list[_Inflating] = []

    def start() -> Decompressor:
        streams.append(_Inflating(source.reader, window))
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
