"""The pickle machine's opcodes, as CPython's `Lib/pickle.py` and `Modules/_pickle.c` read them."""

import struct
from collections.abc import Callable

HIGHEST_PROTOCOL = 5

ATOM_SIZE = bytes(
    {0x4E: 1, 0x88: 1, 0x89: 1, 0x4B: 2, 0x4D: 3, 0x4A: 5, 0x47: 9}.get(opcode, 0) for opcode in range(256)
)
"""Bytes of the opcodes that push a number, a truth value or None of fixed size, 0 for all others."""

FIXED = {
    **{opcode: size - 1 for opcode, size in enumerate(ATOM_SIZE) if size},
    **dict.fromkeys(b"(.012)]}Qabdelostu\x81\x85\x86\x87\x8f\x90\x91\x92\x93\x94\x97\x98R", 0),
    **dict.fromkeys(b"hq\x80\x82", 1),
    **dict.fromkeys(b"jr\x84", 4),
    0x83: 2,
    0x95: 8,
}
"""Opcodes with an argument of fixed size, and that size."""

LINES = {**dict.fromkeys(b"FILPSVgp", 1), **dict.fromkeys(b"ci", 2)}
"""Opcodes with arguments that end in a newline, and how many."""

COUNTED = {
    **dict.fromkeys(b"UC\x8a\x8c", "<B"),
    **dict.fromkeys(b"XB", "<I"),
    **dict.fromkeys(b"T\x8b", "<i"),
    **dict.fromkeys(b"\x8d\x8e\x96", "<Q"),
}
"""Opcodes with a counted argument, and how the count is packed."""

KNOWN = frozenset(FIXED) | frozenset(LINES) | frozenset(COUNTED)


def count_of(opcode: int, read: Callable[[int], bytes]) -> int | None:
    """The length of a counted argument, read with `read`; None where the bytes end or the count is negative."""
    form = COUNTED[opcode]
    try:
        (count,) = struct.unpack(form, read(struct.calcsize(form)))
    except struct.error:
        return None
    return int(count) if count >= 0 else None
