"""Blobs in rpm's own `Packages.db`.

Source: rpm's `lib/backend/ndb/rpmpkg.c`: a header of 32 bytes, slots of 16 bytes to the end of the slot pages, and
blobs in blocks of 16 bytes, each with a head, a tail and an Adler-32 over all but the tail. rpm reads a blob whose
checksum is wrong all the same.
"""

import struct
import zlib
from collections.abc import Iterator

from garrison.core.errors import Malformed, NotUnderstood
from garrison.sources.reader import Reader
from garrison.sources.source import Context

_PAGE, _SLOT, _BLOCK = 4096, 16, 16
_HEAD, _TAIL = 16, 12


class Slots:
    """A `Packages.db`. Raises `Malformed` where its header cannot be."""

    def __init__(self, reader: Reader, context: Context) -> None:
        magic, version, _generation, pages = struct.unpack("<4sIII", reader.exactly(0, 16))
        if magic != b"RpmP":
            raise Malformed("no database of rpm")
        if version > 1:
            raise NotUnderstood(f"version {version} of the format is not known")
        if pages * _PAGE > reader.size + _PAGE:
            raise Malformed(f"{pages} pages of slots do not fit into the file")
        self._reader = reader
        self._context = context
        self._pages = pages

    def blobs(self, problems: list[str]) -> Iterator[bytes]:
        """The blobs in the order of slots; what cannot be read is added to `problems`."""
        for number in range(self._pages):
            self._context.check_time()
            page = self._reader.pread(number * _PAGE, _PAGE)
            for at in range(0 if number else 2 * _SLOT, len(page) - _SLOT + 1, _SLOT):
                magic, package, offset, count = struct.unpack_from("<4sIII", page, at)
                try:
                    if magic != b"Slot":
                        raise Malformed("a slot is damaged")
                    if offset:
                        yield self._blob(package, offset * _BLOCK, count * _BLOCK, problems)
                except Malformed as error:
                    problems.append(str(error))
            if len(page) < _PAGE:
                problems.append("the slots break off")
                return

    def _blob(self, package: int, offset: int, length: int, problems: list[str]) -> bytes:
        if not _HEAD + _TAIL <= length <= min(self._context.limits.buffer, self._reader.size):
            raise Malformed(f"a slot claims {length} bytes")
        data = self._reader.exactly(offset, length)
        magic, owner, _generation, size = struct.unpack_from("<4sIII", data)
        checksum, again, end = struct.unpack_from("<II4s", data, length - _TAIL)
        if magic != b"BlbS" or end != b"BlbE" or owner != package or size != again or _rounded(size) != length:
            raise Malformed(f"the blob of package {package} is damaged")
        if zlib.adler32(data[:-_TAIL]) != checksum:
            problems.append(f"the checksum of package {package} is wrong")
        return data[_HEAD : _HEAD + size]


def _rounded(size: int) -> int:
    return -(-(_HEAD + size + _TAIL) // _BLOCK) * _BLOCK
