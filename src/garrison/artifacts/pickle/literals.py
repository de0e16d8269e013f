"""Reads again what an opcode pushed, for the few literals that somebody asks for."""

import codecs
import struct
from collections.abc import Callable

Pread = Callable[[int, int], bytes]

_STRUCTS = {0x4B: "<B", 0x4D: "<H", 0x4A: "<i", 0x47: ">d"}
_COUNTED = {0x8C: "<B", 0x55: "<B", 0x43: "<B", 0x58: "<I", 0x42: "<I", 0x54: "<i", 0x8D: "<Q", 0x8E: "<Q", 0x96: "<Q"}
_COUNTED_NUMBERS = {0x8A: "<B", 0x8B: "<i"}
_TEXT = frozenset(b"X\x8c\x8dUT")


def decode_utf8(raw: bytes) -> str:
    """A name as the GLOBAL opcode reads it; bytes that are no UTF-8 become escapes."""
    return raw.decode("utf-8", "backslashreplace")


def decode_line(raw: bytes, encoding: str) -> str:
    return raw.decode(encoding, "backslashreplace")


def span(pread: Pread, offset: int) -> tuple[int, int] | None:
    """Where the bytes of a counted string literal lie: offset and length."""
    opcode = pread(offset, 1)
    form = _COUNTED.get(opcode[0]) if opcode else None
    if form is None:
        return None
    size = struct.calcsize(form)
    raw = pread(offset + 1, size)
    if len(raw) < size:
        return None
    return offset + 1 + size, int(struct.unpack(form, raw)[0])


def literal(pread: Pread, offset: int, limit: int) -> object:
    """The value that the opcode at `offset` pushed; `...` when it is longer than `limit` or damaged."""
    head = pread(offset, 9)
    if not head:
        return ...
    opcode = head[0]
    if opcode in (0x4E, 0x88, 0x89):
        return {0x4E: None, 0x88: True, 0x89: False}[opcode]
    try:
        if opcode in _STRUCTS:
            return struct.unpack_from(_STRUCTS[opcode], head, 1)[0]
        if opcode in _COUNTED:
            where = span(pread, offset)
            if where is None or not 0 <= where[1] <= limit:
                return ...
            raw = pread(*where)
            if len(raw) < where[1]:
                return ...
            if opcode in _TEXT:
                return _text(raw, strict=opcode in b"X\x8c\x8d")
            return raw
        if opcode in _COUNTED_NUMBERS:
            form = _COUNTED_NUMBERS[opcode]
            (count,) = struct.unpack_from(form, head, 1)
            if count > 256:
                return ...
            return int.from_bytes(pread(offset + 1 + struct.calcsize(form), count), "little", signed=True)
        return _line(pread, offset, opcode, limit)
    except (ValueError, struct.error):
        return ...


def eight_bit(pread: Pread, offset: int) -> bytes | None:
    """The bytes of a Python 2 string, whose characters depend on the encoding that the loader gives."""
    opcode = pread(offset, 1)
    if opcode in (b"U", b"T"):
        where = span(pread, offset)
        return pread(*where) if where is not None and 0 <= where[1] <= 1 << 16 else None
    if opcode != b"S":
        return None
    raw = pread(offset + 1, 1 << 16).partition(b"\n")[0]
    try:
        return codecs.escape_decode(raw[1:-1])[0]
    except ValueError:
        return None


def _text(raw: bytes, *, strict: bool) -> object:
    try:
        return raw.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return ... if strict else raw.decode("latin-1")


def _line(pread: Pread, offset: int, opcode: int, limit: int) -> object:
    raw = pread(offset + 1, limit + 1)
    end = raw.find(b"\n")
    if end < 0:
        if len(raw) > limit:
            return ...
        end = len(raw) - 1
    raw = raw[:end]
    if opcode == 0x56:
        return raw.decode("raw-unicode-escape")
    if opcode == 0x53:
        return _text(codecs.escape_decode(raw[1:-1])[0], strict=False)
    if opcode == 0x46:
        return float(raw)
    if opcode in (0x49, 0x4C):
        if opcode == 0x49 and raw in (b"00", b"01"):
            return raw == b"01"
        return int(raw.rstrip(b"L")[:100], 0)
    return ...
