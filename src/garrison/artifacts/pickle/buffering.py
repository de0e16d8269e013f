"""What the C unpickler reads when it reads from a file: not always what stands there.

It keeps a buffer. A frame fills it, and so does each read past its end; what the buffer still held is dropped then,
unless it had only been peeked at. Where an opcode reaches across the end of its frame, the same bytes are therefore
one stream in memory and another one in a file. Source: `_Unpickler_ReadImpl`, `_Unpickler_ReadInto`,
`_Unpickler_Readline` and `load_frame` in `Modules/_pickle.c` of CPython 3.8 to 3.14.
"""

from collections.abc import Callable

from garrison.artifacts.pickle.opcodes import COUNTED, FIXED, LINES, count_of
from garrison.sources.reader import Reader

BLOCKS = (0, 8192, 131072)
"""How files are buffered: not at all (`io.BytesIO`), as `open` does, and as `open` does from CPython 3.14 on."""

_PREFETCH = 131072
_INTO = frozenset(b"BC\x8e\x96")
_STOP, _FRAME = 0x2E, 0x95
_OPCODES = 1 << 20

Segment = tuple[int, int]


class FileBuffer:
    """The buffer of one unpickler, as offsets in the file: what is at `position` up to `end` has been read already."""

    def __init__(self, reader: Reader, position: int, end: int, block: int) -> None:
        self.reader = reader
        self.position = position
        self.end = max(position, end)
        self.block = block
        self.peeked = False
        self.segments: list[Segment] = []
        """The parts of the file that were read, in order."""
        self.stopped = False

    @property
    def file_position(self) -> int:
        """Where another unpickler on the same file goes on."""
        return self.position if self.peeked else self.end

    def run(self, check_time: Callable[[], None]) -> None:
        """Read opcode after opcode, up to the first STOP or to where there is no more."""
        for number in range(_OPCODES):
            if number % 4096 == 0:
                check_time()
            opcode = self._read(1)
            if not opcode or not self._arguments(opcode[0]):
                return
            if opcode[0] == _STOP:
                self.stopped = True
                return

    def _arguments(self, opcode: int) -> bool:
        if opcode == _FRAME:
            length = self._read(8)
            return len(length) == 8 and self._fill(int.from_bytes(length, "little"))
        if opcode in LINES:
            return all(self._line() for _ in range(LINES[opcode]))
        if opcode in COUNTED:
            count = count_of(opcode, self._read)
            return count is not None and (self._into(count) if opcode in _INTO else self._skip(count))
        return opcode in FIXED and self._skip(FIXED[opcode])

    def _fill(self, length: int) -> bool:
        """Have so many bytes in the buffer. False where the file has fewer."""
        if self.position + length <= self.end:
            return True
        start = self.file_position
        self.position = start
        self.peeked = bool(self.block) and length < _PREFETCH
        self.end = start + length
        if self.peeked:
            ahead = start - start % self.block + self.block
            self.peeked = self.end <= ahead
            self.end = ahead if self.peeked else self.end
        return not length or len(self.reader.pread(start + length - 1, 1)) == 1

    def _skip(self, length: int) -> bool:
        if not self._fill(length):
            return False
        self._take(self.position + length)
        return True

    def _read(self, length: int) -> bytes:
        return self.reader.pread(self.position - length, length) if self._skip(length) else b""

    def _into(self, length: int) -> bool:
        """Read into a ready object: first what the buffer holds, then straight from the file."""
        held = min(length, self.end - self.position)
        self._take(self.position + held)
        if held == length:
            return True
        self.peeked = False
        self._take(self.position + length - held)
        self.end = self.position
        return len(self.reader.pread(self.position - 1, 1)) == 1

    def _line(self) -> bool:
        behind = self._behind_line(self.position)
        if behind > self.end or not behind:
            start = self.file_position
            behind = self._behind_line(start)
            if not behind:
                return False
            self.position = start
            self.end = behind
            self.peeked = False
        self._take(behind)
        return True

    def _behind_line(self, start: int) -> int:
        for chunk in self.reader.chunks(start):
            found = chunk.find(b"\n")
            if found >= 0:
                return start + found + 1
            start += len(chunk)
        return 0

    def _take(self, end: int) -> None:
        start = self.position
        if self.segments and self.segments[-1][1] == start:
            self.segments[-1] = (self.segments[-1][0], end)
        elif end > start:
            self.segments.append((start, end))
        self.position = end


class Spliced(Reader):
    """A reader in which some parts of another follow one another.

    Offsets before the first part, and in it, are the other's; behind the last there is nothing.
    """

    def __init__(self, parent: Reader, segments: list[Segment]) -> None:
        self._parent = parent
        self._parts: list[tuple[int, int, int]] = [(0, segments[0][1], 0)]
        """Where each part begins and ends here, and how much further on it stands in the other."""
        for start, end in segments[1:]:
            here = self._parts[-1][1]
            self._parts.append((here, here + end - start, start - here))

    @property
    def size(self) -> int:
        return self._parts[-1][1]

    def pread(self, offset: int, length: int) -> bytes:
        pieces = []
        for start, end, shift in self._parts:
            if start <= offset < end and length > 0:
                piece = self._parent.pread(offset + shift, min(length, end - offset))
                pieces.append(piece)
                offset += len(piece)
                length -= len(piece)
                if offset < end:
                    break
        return b"".join(pieces)
