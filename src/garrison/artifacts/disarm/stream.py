"""The bytes of a pickle, read forward."""

from garrison.core.errors import LimitExceeded, Malformed
from garrison.sources.reader import Reader

_LINE = 16 << 20
_WINDOW = 1 << 18


class Stream:
    """A place in some bytes; each call goes on from there."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self.position = 0
        self._data = b""
        self._base = 0

    def go(self, position: int) -> None:
        self.position = self._base = position
        self._data = b""

    def take(self, count: int) -> bytes:
        """The next bytes. Raises `Malformed` where there are fewer."""
        start = self.position - self._base
        data = self._data[start : start + count]
        if len(data) < count:
            self._data = self.reader.pread(self.position, max(_WINDOW, count))
            self._base = self.position
            data = self._data[:count]
            if len(data) < count:
                raise Malformed(f"the pickle ends too early, at {self.position + len(data):#x}")
        self.position += count
        return data

    def line(self) -> bytes:
        """What stands before the next newline. Raises `LimitExceeded` and `Malformed`."""
        line = bytearray()
        while True:
            self.take(1)
            self.position -= 1
            start = self.position - self._base
            end = self._data.find(b"\n", start)
            line += self._data[start : end if end >= 0 else len(self._data)]
            if len(line) > _LINE:
                raise LimitExceeded("buffer", "a line of a pickle is too long")
            if end >= 0:
                self.position = self._base + end + 1
                return bytes(line)
            self.position = self._base + len(self._data)

    def number(self, size: int) -> int:
        """The next whole number of `size` bytes, little-endian and without a sign."""
        return int.from_bytes(self.take(size), "little")

    def skip(self, count: int) -> None:
        """Go on behind bytes that are no pickle. Raises `Malformed` where there are fewer."""
        if count and not self.reader.pread(self.position + count - 1, 1):
            raise Malformed(f"the pickle ends too early, in the {count:,} bytes at {self.position:#x}")
        self.position += count
