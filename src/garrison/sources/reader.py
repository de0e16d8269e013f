"""Random access to bytes that may lie in a file, in a window of another reader, or under compression.

All parsers read through `Reader.pread`, so that a member of an archive inside an archive is read like a file, and
nothing is unpacked to disk.
"""

import io
import os
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Protocol

from garrison.core.errors import LimitExceeded, Malformed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_CHUNK = 1 << 18
_KEPT = 32
"""Chunks behind the window that a decompressing reader remembers."""
_MARKED = 16 << 20
"""Bytes between the places from which a decompressor that can be copied goes on again."""


class Reader(ABC):
    """Bytes addressed by offset."""

    @property
    @abstractmethod
    def size(self) -> int:
        """Length in bytes. For a compressed reader this decompresses to the end."""

    @abstractmethod
    def pread(self, offset: int, length: int) -> bytes:
        """Up to `length` bytes from `offset`; fewer only at the end."""

    def exactly(self, offset: int, length: int) -> bytes:
        """Just `length` bytes, or `Malformed`."""
        data = self.pread(offset, length)
        if len(data) != length:
            raise Malformed(f"ends at {offset + len(data):#x}, {length - len(data)} bytes too early")
        return data

    def whole(self, limit: int) -> bytes:
        """All bytes, or `LimitExceeded` when there are more than `limit`."""
        data = self.pread(0, limit + 1)
        if len(data) > limit:
            raise LimitExceeded("buffer", f"larger than the {limit} bytes that are read at once")
        return data

    def chunks(self, offset: int = 0, size: int = _CHUNK) -> "Iterator[bytes]":
        """The bytes from `offset` to the end, in order."""
        while data := self.pread(offset, size):
            yield data
            offset += len(data)

    def window(self, offset: int, length: int) -> "Reader":
        """A part as a reader of its own; cut at this reader's end when read."""
        return WindowReader(self, offset, length)

    def file(self) -> io.BufferedReader:
        """A seekable binary file object over the same bytes, for libraries that want one."""
        return io.BufferedReader(_File(self))


class FileReader(Reader):
    """An open file descriptor. The caller closes it."""

    def __init__(self, descriptor: int, size: int) -> None:
        self._descriptor = descriptor
        self._size = size

    @property
    def size(self) -> int:
        return self._size

    def pread(self, offset: int, length: int) -> bytes:
        if not 0 <= offset < self._size or length <= 0:
            return b""
        data = os.pread(self._descriptor, min(length, self._size - offset), offset)
        if len(data) < length and data and offset + len(data) < self._size:
            parts = [data]
            got = len(data)
            while got < length and (data := os.pread(self._descriptor, length - got, offset + got)):
                parts.append(data)
                got += len(data)
            return b"".join(parts)
        return data


class BytesReader(Reader):
    def __init__(self, data: bytes) -> None:
        self._data = data

    @property
    def size(self) -> int:
        return len(self._data)

    def pread(self, offset: int, length: int) -> bytes:
        return self._data[offset : offset + length] if offset >= 0 < length else b""


class WindowReader(Reader):
    """`length` bytes of another reader from `start`."""

    def __init__(self, parent: Reader, start: int, length: int) -> None:
        self._parent = parent
        self._start = start
        self._length = max(length, 0)

    @property
    def size(self) -> int:
        return self._length

    def pread(self, offset: int, length: int) -> bytes:
        length = min(length, self._length - offset)
        return self._parent.pread(self._start + offset, length) if offset >= 0 < length else b""


class Decompressor(Protocol):
    """A forward-only stream, as `bz2.open` and friends return."""

    def read(self, size: int, /) -> bytes: ...


class DecompressingReader(Reader):
    """Bytes that come out of a forward-only decompressor.

    The first `cache` bytes stay in memory and beyond them a sliding window; a jump back past the window starts the
    decompressor again, at most `restarts` times, or from a copy of it that was made on the way, if it can be copied.
    `charge` is told of every new byte and raises when there were too many.
    """

    def __init__(
        self,
        start: "Callable[[], Decompressor]",
        charge: "Callable[[int], None]",
        *,
        cache: int,
        restarts: int = 16,
    ) -> None:
        self._start = start
        self._charge = charge
        self._cache_limit = cache
        self._restarts = restarts
        self._cache = bytearray()
        self._stream = start()
        self._position = 0
        self._window = b""
        self._kept: dict[int, bytes] = {}
        self._marks: list[tuple[int, Any]] = []
        self._size: int | None = None
        self.error: Exception | None = None
        """What the decompressor said when it broke off; what came before stays readable."""

    @property
    def size(self) -> int:
        while self._size is None:
            self._advance()
        return self._size

    def pread(self, offset: int, length: int) -> bytes:
        if offset < 0 or length <= 0:
            return b""
        end = offset + length
        while self._size is None and self._position < min(end, self._cache_limit):
            self._advance()
        if end <= len(self._cache) or (self._size is not None and self._size <= len(self._cache)):
            return bytes(self._cache[offset:end])
        return self._beyond(offset, end)

    def _beyond(self, offset: int, end: int) -> bytes:
        parts: list[bytes] = []
        if offset < len(self._cache):
            parts.append(bytes(self._cache[offset:]))
            offset = len(self._cache)
        if offset < self._position - len(self._window):
            if (again := self._again(offset, end)) is not None:
                return b"".join([*parts, again])
            self._jump_back(offset)
        while offset < end:
            first = self._position - len(self._window)
            if first <= offset < self._position:
                piece = self._window[offset - first : end - first]
                self._keep(first)
                parts.append(piece)
                offset += len(piece)
            elif self._size is not None and self._position >= self._size:
                break
            else:
                self._advance()
        return b"".join(parts)

    def _jump_back(self, offset: int) -> None:
        """Go on from the last mark before `offset`, or from the beginning."""
        self._window = b""
        for position, stream in reversed(self._marks):
            if position <= offset:
                self._stream, self._position = stream.copy(), position
                return
        if self._restarts == 0:
            raise LimitExceeded("unpacked", "the compressed data would have to be unpacked too many times")
        self._restarts -= 1
        self._stream = self._start()
        self._position = 0

    def _mark(self) -> None:
        last = self._marks[-1][0] if self._marks else self._cache_limit - _MARKED
        if self._position >= last + _MARKED and hasattr(self._stream, "copy"):
            self._marks.append((self._position, self._stream.copy()))

    def _keep(self, first: int) -> None:
        """Sniffers look at a member's head and tail by turns: what was looked at lately needs no restart."""
        self._kept.pop(first, None)
        self._kept[first] = self._window
        if len(self._kept) > _KEPT:
            del self._kept[next(iter(self._kept))]

    def _again(self, offset: int, end: int) -> bytes | None:
        """The bytes, if all of them were read lately."""
        found = b""
        while offset < end and (self._size is None or offset < self._size):
            part = next(
                (data[offset - at : end - at] for at, data in self._kept.items() if at <= offset < at + len(data)), b""
            )
            if not part:
                return None
            found += part
            offset += len(part)
        return found

    def _advance(self) -> None:
        self._mark()
        try:
            data = self._stream.read(_CHUNK)
        except LimitExceeded:
            raise
        except Exception as error:  # any decompressor's own error: the data breaks off here
            self.error = error
            data = b""
        if not data:
            self._size = self._position
            return
        self._charge(len(data))
        room = self._cache_limit - len(self._cache)
        if self._position == len(self._cache) and room > 0:
            self._cache += data[:room]
        self._position += len(data)
        self._window = data


class _File(io.RawIOBase):
    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position}.get(whence)
        self._position = max(0, offset + (self._reader.size if base is None else base))
        return self._position

    def readinto(self, buffer: "memoryview") -> int:  # type: ignore[override]
        data = self._reader.pread(self._position, len(buffer))
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)
