"""The pickle machine's opcodes, as CPython's `Lib/pickle.py` and `Modules/_pickle.c` read them."""

import struct
from collections.abc import Callable

HIGHEST_PROTOCOL = 5

ATOM_SIZE = bytes(
    {0x4E: 1, 0x88: 1, 0x89: 1, 0x4B: 2, 0x4D: 3, 0x4A: 5, 0x47: 9}.get(opcode, 0) for opcode in range(256)
)
"""Bytes of the opcodes that push a number, a truth value or None of fixed size, 0 for all others."""

_FIXED = {
    **{opcode: 1 for opcode in range(256) if ATOM_SIZE[opcode]},
    **dict.fromkeys(b"(.012)]}Qabdelostu\x81\x85\x86\x87\x8f\x90\x91\x92\x93\x94\x97\x98R", 0),
    **dict.fromkeys(b"hq\x80\x82", 1),
    **dict.fromkeys(b"jr\x84", 4),
    0x83: 2,
    0x95: 8,
}
for _opcode in range(256):
    if ATOM_SIZE[_opcode]:
        _FIXED[_opcode] = ATOM_SIZE[_opcode] - 1

LINES = {**dict.fromkeys(b"FILPSVgp", 1), **dict.fromkeys(b"ci", 2)}
"""Opcodes with arguments that end in a newline, and how many."""

COUNTED = {
    **dict.fromkeys(b"UC\x8a\x8c", "<B"),
    **dict.fromkeys(b"XB", "<I"),
    **dict.fromkeys(b"T\x8b", "<i"),
    **dict.fromkeys(b"\x8d\x8e\x96", "<Q"),
}
"""Opcodes with a counted argument, and how the count is packed."""

KNOWN = frozenset(_FIXED) | frozenset(LINES) | frozenset(COUNTED)


def reads(opcode: int, offset: int, pread: Callable[[int, int], bytes]) -> list[int]:
    """The lengths of the reads that one opcode at `offset` makes, the opcode itself included.

    Raises `ValueError` where there is no such opcode or the bytes end.
    """
    if opcode in _FIXED:
        fixed = _FIXED[opcode]
        return [1, fixed] if fixed else [1]
    lengths = [1]
    position = offset + 1
    for _ in range(LINES.get(opcode, 0)):
        line = pread(position, 1 << 16)
        end = line.index(b"\n") + 1
        lengths.append(end)
        position += end
    if opcode in COUNTED:
        form = COUNTED[opcode]
        size = struct.calcsize(form)
        try:
            (count,) = struct.unpack(form, pread(position, size))
        except struct.error as error:
            raise ValueError("ends too early") from error
        if count < 0:
            raise ValueError("negative count")
        lengths += [size, count]
    elif opcode not in LINES:
        raise ValueError("no such opcode")
    return lengths
