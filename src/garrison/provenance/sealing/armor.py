"""ASCII armor: a sealed file as text, of which one file has one form, whitespace around it and line ends aside.

Source: https://age-encryption.org/v1, section "ASCII armor"; RFC 7468, section 3, figure 3 (strict).
"""

import binascii
import io
from typing import TYPE_CHECKING, BinaryIO

from garrison.provenance.sealing.refusals import MalformedArmor
from garrison.provenance.sealing.writing import write_all

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

BEGIN = b"-----BEGIN AGE ENCRYPTED FILE-----"
END = b"-----END AGE ENCRYPTED FILE-----"
_COLUMNS = 64
_BYTES = 48
"""Of a full line."""
_BLOCK = 1 << 16
_LINE = 80
"""More than any line may have."""
_SPACE = 1024
"""The most whitespace before and behind it."""


def is_armored(line: bytes) -> bool:
    """Whether a file that begins with this line can only be an armored one, of whitespace before it too."""
    return bool(line) and (not line.strip() or line.lstrip().startswith(b"-----"))


class Unarmored(io.RawIOBase):
    """What stands in the armor whose first line has been read from `file`. Reading raises `MalformedArmor`."""

    def __init__(self, file: BinaryIO, first: bytes) -> None:
        self._file = file
        self._held = memoryview(b"")
        self._rest = b""
        self._ended = False
        line, space = first, 0
        while not line.strip():
            space += len(line)
            if not line or space > _SPACE:
                raise MalformedArmor("there is nothing but whitespace at its beginning")
            line = file.readline(_LINE)
        if _content(line) != BEGIN:
            raise MalformedArmor("its armor does not begin as it must")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        while not self._held and not self._ended:
            self._held = memoryview(self._decoded())
        with memoryview(buffer).cast("B") as target:
            size = min(len(target), len(self._held))
            target[:size] = self._held[:size]
        self._held = self._held[size:]
        return size

    def _decoded(self) -> bytes:
        """The bytes of some more lines; none at the end."""
        block = self._rest + self._file.read(_BLOCK)
        *lines, self._rest = block.split(b"\n")
        if not lines:
            # What ends without a line's end is the last line.
            lines, self._rest = [self._rest], b""
        if len(self._rest) > _LINE:
            raise MalformedArmor("a line of its armor is too long")
        if b"\r" in block:
            lines = [line.removesuffix(b"\r") for line in lines]
        full = next((place for place, line in enumerate(lines) if len(line) != _COLUMNS), len(lines))
        body = lines[:full]
        if full == len(lines):
            data = _bytes(b"".join(body))
            if len(data) == full * _BYTES:
                return data
            self._end([])
            return data
        if lines[full] != END and 0 < len(lines[full]) < _COLUMNS:
            body = lines[: full + 1]
        data = _bytes(b"".join(body))
        self._end(lines[len(body) :])
        return data

    def _end(self, lines: list[bytes]) -> None:
        """Check what follows the last line of base64."""
        self._ended = True
        rest = b"\n".join([*lines, self._rest]) if lines else self._rest
        rest += self._file.read(_LINE + _SPACE)
        line, _, space = rest.partition(b"\n")
        if line.removesuffix(b"\r") != END:
            raise MalformedArmor("its armor does not end as it must")
        if space.strip() or len(space) > _SPACE:
            raise MalformedArmor("something follows its armor")
        self._rest = b""


def _content(line: bytes) -> bytes:
    return line.removesuffix(b"\n").removesuffix(b"\r")


def _bytes(text: bytes) -> bytes:
    """Raises `MalformedArmor` for all but the one way to write some bytes as padded base64."""
    try:
        data = binascii.a2b_base64(text, strict_mode=True)
    except binascii.Error:
        data = b""
    if binascii.b2a_base64(data, newline=False) != text:
        raise MalformedArmor("its armor holds no canonical base64")
    return data


class Armored(io.RawIOBase):
    """Writes what it is given to `file` in armor, which `finish` ends."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._held = b""
        write_all(self._file, BEGIN + b"\n")

    def writable(self) -> bool:
        return True

    def write(self, data: "ReadableBuffer", /) -> int:
        with memoryview(data) as given:
            size = given.nbytes
            held = self._held + given
        full = len(held) - len(held) % _BYTES
        self._lines(held[:full])
        self._held = held[full:]
        return size

    def finish(self) -> None:
        self._lines(self._held)
        self._held = b""
        write_all(self._file, END + b"\n")

    def _lines(self, data: bytes) -> None:
        text = binascii.b2a_base64(data, newline=False)
        lines = (text[at : at + _COLUMNS] + b"\n" for at in range(0, len(text), _COLUMNS))
        write_all(self._file, b"".join(lines))
