"""Gets hold of one pickle stream of a file object, so that what is judged is what is unpickled.

An unpickler reads from its file as it goes, and has acted before the end is known. Here the stream is read first and
kept; the unpickler then gets what was kept, and the file stands where it would stand after an ordinary load.
"""

import io
import os
import stat
from collections.abc import Callable
from typing import Any, Protocol

from garrison.artifacts.pickle.opcodes import COUNTED, FIXED, LINES, count_of
from garrison.sources.reader import BytesReader, Reader

_STOP, _FRAME = 0x2E, 0x95
_FIRST, _AHEAD = 1 << 13, 1 << 20


class PickleFile(Protocol):
    """What an unpickler asks of its file."""

    def read(self, size: int, /) -> bytes: ...
    def readline(self) -> bytes: ...


class Captured:
    """What begins with one stream, as far as it was read; `take` settles how much of it that was."""

    def __init__(self, reader: Reader, size: int, take: Callable[[int], bytes]) -> None:
        self.reader = reader
        self.size = size
        """How long the stream may be at most."""
        self.take = take
        """The first so many bytes, with the file put behind them."""


def captured(file: PickleFile) -> Captured:
    """The next stream of a file object, read in the way that suits it."""
    if type(file) is io.BytesIO:
        start, content = file.tell(), file.getvalue()

        def take(length: int) -> bytes:
            data = content[start : start + length] if start else content[:length]
            file.seek(start + len(data))
            return data

        reader: Reader = BytesReader(content)
        return Captured(reader.window(start, len(content)) if start else reader, len(content) - start, take)
    if isinstance(file, io.BufferedReader | io.BufferedRandom | io.FileIO) and _is_regular(file):
        ahead = _ReadAhead(file)
        return Captured(ahead, ahead.size, ahead.take)
    walker = _Walker(file)
    walker.run()
    data = bytes(walker.data)
    return Captured(BytesReader(data), len(data), lambda length: data[:length])


def _is_regular(file: "io.BufferedReader | io.BufferedRandom | io.FileIO") -> bool:
    try:
        return stat.S_ISREG(os.fstat(file.fileno()).st_mode)
    except (OSError, ValueError):
        return False


class _ReadAhead(Reader):
    """Bytes of a regular file from where it stands; read once, and kept."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self._start = file.tell()
        self._data = bytearray()

    @property
    def size(self) -> int:
        return max(int(os.fstat(self._file.fileno()).st_size) - int(self._start), 0)

    def pread(self, offset: int, length: int) -> bytes:
        end = offset + length
        while len(self._data) < end:
            wanted = _AHEAD if len(self._data) >= _FIRST else _FIRST
            data = self._file.read(max(wanted, min(end - len(self._data), _AHEAD)))
            if not data:
                break
            self._data += data
        return bytes(self._data[offset:end]) if offset >= 0 < length else b""

    def take(self, length: int) -> bytes:
        self._file.seek(self._start + min(length, len(self._data)))
        return bytes(memoryview(self._data)[:length])


class _Walker:
    """Reads one stream and no byte of a further one, as an unpickler without a buffer does."""

    def __init__(self, file: PickleFile) -> None:
        self._file = file
        self._position = 0
        self.data = bytearray()

    def run(self) -> None:
        """Read up to the first STOP, or to where there is no more, or no opcode."""
        while opcode := self._read(1):
            if opcode[0] == _STOP or not self._arguments(opcode[0]):
                return

    def _arguments(self, opcode: int) -> bool:
        if opcode == _FRAME:
            length = int.from_bytes(self._read(8), "little")
            return self._have(self._position + length)
        if opcode in LINES:
            return all(self._line() for _ in range(LINES[opcode]))
        if opcode in COUNTED:
            count = count_of(opcode, self._read)
            return count is not None and self._skip(count)
        return opcode in FIXED and self._skip(FIXED[opcode])

    def _have(self, end: int) -> bool:
        while len(self.data) < end:
            more = self._file.read(min(end - len(self.data), _AHEAD))
            if not more:
                return False
            self.data += more
        return True

    def _skip(self, length: int) -> bool:
        self._position += length
        return self._have(self._position)

    def _read(self, length: int) -> bytes:
        return bytes(self.data[self._position - length : self._position]) if self._skip(length) else b""

    def _line(self) -> bool:
        found = self.data.find(b"\n", self._position)
        if found < 0:
            self.data += self._file.readline()
            found = self.data.find(b"\n", self._position)
        self._position = found + 1
        return found >= 0
