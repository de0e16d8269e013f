"""What a release asks for, from its metadata: the index's own copy, or read out of the wheel where it lies.

Source: PEP 658 and 714, the "Core metadata" specification, PEP 427; zip files are read from their end by ranges.
"""

import contextlib
import email.parser
import io
import zipfile
import zlib

import msgspec

from garrison.dependencies.index.errors import Unavailable
from garrison.dependencies.index.project import ReleaseFile
from garrison.dependencies.index.transport import Answer, Transport

_BYTES = 1 << 20
_WHOLE = 16 << 20
"""How long a wheel may be that a server only gives whole."""
_STEP = 1 << 16
_RANGES = 12


class Metadata(msgspec.Struct, frozen=True):
    requires: tuple[str, ...]
    """As PEP 508 has them."""
    python: str = ""


def fetched(transport: Transport, file: ReleaseFile) -> str | None:
    """The metadata of a wheel; `None` where it cannot be had."""
    with contextlib.suppress(Unavailable):
        # Some indexes have it without saying so.
        answer = transport.get(f"{file.url}.metadata", {}, _BYTES)
        if answer.status == 200 and b"Name:" in answer.body:
            return answer.body.decode("utf-8", "replace")
    try:
        return _inside(_Remote(transport, file.url))
    except (Unavailable, zipfile.BadZipFile, OSError, KeyError, NotImplementedError, RuntimeError, zlib.error):
        return None


def _inside(wheel: "_Remote") -> str | None:
    with zipfile.ZipFile(wheel) as archive:
        for entry in archive.infolist():
            folder, _, name = entry.filename.partition("/")
            if name == "METADATA" and folder.endswith(".dist-info") and entry.file_size <= _BYTES:
                with archive.open(entry) as member:
                    return member.read(_BYTES).decode("utf-8", "replace")
    return None


def parsed(text: str) -> Metadata:
    message = email.parser.HeaderParser().parsestr(text)
    requires = tuple(str(one) for one in message.get_all("Requires-Dist") or ())
    return Metadata(requires=requires, python=str(message.get("Requires-Python") or ""))


class _Remote(io.RawIOBase):
    """A file on a server, of which only what is read is fetched, in few steps."""

    def __init__(self, transport: Transport, url: str) -> None:
        self._transport = transport
        self._url = url
        self._last = (0, b"")
        self._left = _RANGES
        self._position = 0
        self._whole: bytes | None = None
        answer = self._get(f"bytes=-{_STEP}")
        total = answer.headers.get("content-range", "").rpartition("/")[2]
        if answer.status == 200:
            self._whole = answer.body
            self._size = len(answer.body)
        elif answer.status == 206 and total.isdecimal():
            self._size = int(total)
            self._tail = answer.body
        else:
            raise Unavailable(f"status {answer.status} for a part of a file")

    def _get(self, part: str) -> Answer:
        self._left -= 1
        if self._left < 0:
            raise Unavailable("a wheel that is read in too many parts")
        return self._transport.get(self._url, {"Range": part, "Accept-Encoding": "identity"}, _WHOLE)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = 0) -> int:
        self._position = max(0, offset + (0, self._position, self._size)[whence])
        return self._position

    def read(self, count: int = -1) -> bytes:
        end = self._size if count < 0 else min(self._size, self._position + count)
        start, self._position = self._position, max(self._position, end)
        if end - start > _WHOLE:
            raise Unavailable("a directory of a wheel that is too long")
        if self._whole is not None:
            return self._whole[start:end]
        tail = self._size - len(self._tail)
        if start >= tail:
            return self._tail[start - tail : end - tail]
        return self._between(start, end)

    def _between(self, start: int, end: int) -> bytes:
        """From what was fetched last, or else that and a bit more in one go."""
        first, data = self._last
        if not first <= start <= end <= first + len(data):
            last = min(max(end, start + _STEP), self._size) - 1
            answer = self._get(f"bytes={start}-{last}")
            if answer.status != 206:
                raise Unavailable(f"status {answer.status} for a part of a file")
            first, data = self._last = start, answer.body
        return data[start - first : end - first]
