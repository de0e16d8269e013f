"""Reads forward through a reader in big buffers: numbers, texts, and lengths that may lie."""

from garrison.core.errors import Malformed
from garrison.sources.reader import Reader

_BUFFER = 1 << 20


class Cursor:
    """A position in a reader. What it is asked for beyond the end is `Malformed`."""

    __slots__ = ("_buffer", "_start", "order", "position", "reader")

    def __init__(self, reader: Reader, position: int = 0) -> None:
        self.reader = reader
        self.position = position
        self.order = "little"
        self._buffer = b""
        self._start = 0

    def take(self, length: int) -> bytes:
        """The next `length` bytes; the caller bounds `length`."""
        data = self.peek(length)
        if len(data) != length:
            raise Malformed(f"ends at {self.position + len(data):#x}, {length - len(data)} bytes too early")
        self.position += length
        return data

    def peek(self, length: int) -> bytes:
        """Up to `length` bytes, without moving."""
        offset = self.position - self._start
        if not 0 <= offset <= len(self._buffer) - length:
            self._buffer = self.reader.pread(self.position, max(length, _BUFFER))
            self._start = self.position
            offset = 0
        return self._buffer[offset : offset + length]

    def number(self, size: int, *, signed: bool = False) -> int:
        order = "big" if self.order == "big" else "little"
        return int.from_bytes(self.take(size), order, signed=signed)  # type: ignore[arg-type]

    def skip(self, length: int) -> None:
        """Move on by `length` bytes that must be there."""
        if length and not self.reader.pread(self.position + length - 1, 1):
            raise Malformed(f"{length:,} bytes at {self.position:#x} are promised, and there are fewer")
        self.position += length

    def skip_texts(self, count: int, size: int) -> int:
        """Skip up to `count` texts, each behind its length of `size` bytes, as far as the buffer holds them.

        Returns how many were skipped; zero where the next one does not fit the buffer. Vocabularies have hundreds of
        thousands of texts, so this loop is kept tight.
        """
        self.peek(_BUFFER)
        buffer, at = self._buffer, self.position - self._start
        end, done, big = len(buffer), 0, self.order == "big"
        while done < count and at + size <= end:
            length = int.from_bytes(buffer[at : at + size], "big" if big else "little")
            if at + size + length > end:
                break
            at += size + length
            done += 1
        self.position = self._start + at
        return done
