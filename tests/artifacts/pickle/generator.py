"""Random pickles: streams of opcodes that mostly make sense, and damage to them."""

import pickle
import random
import struct
from collections import OrderedDict
from datetime import date
from decimal import Decimal
from fractions import Fraction

_NAMES = ("os", "system", "builtins", "eval", "a", "b.c", "x", "é", "numpy", "collections", "OrderedDict", "m.n")
_NEWLINE = b"\n"


def pickles(source: random.Random) -> bytes:
    """One hostile or honest input."""
    choice = source.random()
    if choice < 0.5:
        data = b"".join(_stream(source) for _ in range(source.choice((1, 1, 1, 1, 2, 3))))
    elif choice < 0.75:
        data = b"".join(_honest(source) for _ in range(source.choice((1, 1, 2))))
    elif choice < 0.8:
        return source.randbytes(source.randrange(40))
    else:
        data = b"".join(_opcode(source) for _ in range(source.randrange(30)))
    if source.random() < 0.4:
        data = _damage(source, data)
    return data


def _honest(source: random.Random) -> bytes:
    values: list[object] = [
        [1, 2.5, None, True, "a" * source.randrange(300)],
        {"os": "system", "n": [Decimal("1.5"), Fraction(1, 2)]},
        OrderedDict(a=date(2020, 1, 2), b=(1, 2, 3)),
        {frozenset({1, 2}), (3, 4)},
        [list(range(source.randrange(40))), bytearray(b"xyz"), b"\x80\x04" * 9],
        [{"k": i % 3, "v": str(i)} for i in range(source.randrange(30))],
    ]
    return pickle.dumps(source.choice(values), source.randrange(6))


def _stream(source: random.Random) -> bytes:
    """Opcodes chosen so that the stack mostly holds what they need."""
    depth = 0
    marks: list[int] = []
    memo = 0
    out = [b"\x80" + bytes([source.choice((0, 1, 2, 3, 4, 4, 5, 5))])] if source.random() < 0.7 else []
    for _ in range(source.randrange(4, 30)):
        bottom = marks[-1] if marks else 0
        free = depth - bottom
        roll = source.random()
        if roll < 0.06:
            out.append(_opcode(source))
        elif roll < 0.14:
            out.append(_text(source) + _text(source) + b"\x93")
            depth += 1
        elif roll < 0.20:
            out.append(b"c" + _name(source) + b"\n" + _name(source) + b"\n")
            depth += 1
        elif roll < 0.24 and free >= 2:
            out.append(b"\x93")
            depth -= 1
        elif roll < 0.34 and free >= 1:
            out.append(_memo_put(source, memo))
            memo += 1
        elif roll < 0.44 and memo:
            out.append(_memo_get(source, source.randrange(memo + 1)))
            depth += 1
        elif roll < 0.50:
            out.append(b"(")
            marks.append(depth)
        elif roll < 0.58 and marks:
            depth = marks.pop()
            closing = source.choice((b"t", b"l", b"d", b"\x91", b"e", b"u", b"\x90", b"1", b"o"))
            out.append(closing)
            depth += closing in (b"t", b"l", b"d", b"\x91", b"o")
        elif roll < 0.62 and marks:
            depth = marks.pop() + 1
            out.append(b"i" + _name(source) + b"\n" + _name(source) + b"\n")
        elif roll < 0.72 and free >= 2:
            out.append(source.choice((b"R", b"b", b"\x81", b"a", b"\x86", b")R", b")\x81", b"}b")))
            depth -= 1
        elif roll < 0.75 and free >= 1:
            out.append(source.choice((b"\x85", b"2", b"0", b"Q", b"\x98")))
            depth += {b"2": 1, b"0": -1}.get(out[-1], 0)
        elif roll < 0.78 and free >= 3:
            out.append(source.choice((b"\x87", b"s", b"\x92")))
            depth -= 2
        elif roll < 0.80:
            out.append(_frame(source))
        elif roll < 0.82:
            out.append(source.choice((b"\x82\x01", b"\x82\xff", b"\x83\x2c\x01", b"\x84\x70\x11\x01\0", b"\x82\0")))
            depth += 1
        else:
            out.append(_atom(source))
            depth += 1
    out.append(b"." if source.random() < 0.9 else b"")
    data = b"".join(out)
    if source.random() < 0.2:
        length = max(0, len(data) - 2 + source.choice((0, 0, 0, -3, -1, 1, 5, 40)))
        data = b"\x80\x04\x95" + struct.pack("<Q", length) + data[2 if data[:1] == b"\x80" else 0 :]
    return data


def _name(source: random.Random) -> bytes:
    return source.choice(_NAMES).encode()


def _text(source: random.Random) -> bytes:
    raw = _name(source)
    match source.randrange(8):
        case 0:
            return b"X" + struct.pack("<I", len(raw)) + raw
        case 1:
            return b"V" + raw.decode().encode("raw-unicode-escape") + b"\n"
        case 2:
            return b"S'" + raw.decode().encode("ascii", "replace") + b"'\n"
        case 3:
            return b"U" + bytes([len(raw)]) + raw
        case 4:
            return b"\x8d" + struct.pack("<Q", len(raw)) + raw
        case 5:
            return b"T" + struct.pack("<i", len(raw)) + raw
        case _:
            return b"\x8c" + bytes([len(raw)]) + raw


def _atom(source: random.Random) -> bytes:
    choice = source.randrange(16)
    if choice < 4:
        return _text(source)
    if choice == 4:
        return (b"K\x01" * source.randrange(20)) or b"N"
    if choice == 5:
        return b"C\x03abc"
    if choice == 6:
        # Now and then as much as a file's buffer holds.
        size = 4 if source.random() < 0.97 else source.randrange(8000, 8300)
        return b"B" + struct.pack("<I", size) + b"a" * size
    if choice == 7:
        return source.choice((b"I1\n", b"I01\n", b"L5L\n", b"F1.5\n", b"I 7\n", b"L0x10\n", b"I1_0\n"))
    return source.choice(
        (
            b"N",
            b"K\x05",
            b"M\x01\x02",
            b"J\x01\0\0\0",
            b"G" + b"\x40" * 8,
            b"]",
            b"}",
            b")",
            b"\x8f",
            b"\x88",
            b"\x8a\x01\x05",
        )
    )


def _memo_put(source: random.Random, index: int) -> bytes:
    index += source.choice((0, 0, 0, 0, 1, 300))
    match source.randrange(6):
        case 0:
            return b"p%d\n" % index
        case 1:
            return b"r" + struct.pack("<I", index)
        case 2 if index < 256:
            return b"q" + bytes([index])
        case 3:
            return source.choice((b"p+%d\n", b"p %d \n", b"p0%d\n", b"p1_%d\n")) % index
        case _:
            return b"\x94"


def _memo_get(source: random.Random, index: int) -> bytes:
    match source.randrange(4):
        case 0:
            return source.choice((b"g%d\n", b"g%d\0x\n", b"g+%d\n")) % index
        case 1:
            return b"j" + struct.pack("<I", index)
        case _:
            return b"h" + bytes([min(index, 255)])


def _frame(source: random.Random) -> bytes:
    return b"\x95" + struct.pack("<Q", source.choice((0, 1, 2, 5, 9, 20, 60, 8200, 1 << 40)))


def _opcode(source: random.Random) -> bytes:
    return bytes(
        [
            source.choice(
                b"(.012)]}FIJKLMNPQRSTUVXGBCabcdeghijlopqrstu\x80\x81\x82\x83\x84\x85\x86\x87\x88\x89\x8a"
                b"\x8b\x8c\x8d\x8e\x8f\x90\x91\x92\x93\x94\x95\x96\x97\x98"
            )
        ]
    ) + source.choice((b"", b"\x01", b"1\n", _NEWLINE, b"a\nb\n"))


def _damage(source: random.Random, data: bytes) -> bytes:
    raw = bytearray(data)
    for _ in range(source.choice((1, 1, 2, 4))):
        if not raw:
            break
        position = source.randrange(len(raw))
        match source.randrange(5):
            case 0:
                raw[position] = source.randrange(256)
            case 1:
                del raw[position : position + source.randrange(1, 6)]
            case 2:
                raw[position:position] = _opcode(source)
            case 3:
                end = min(len(raw), position + source.randrange(1, 20))
                raw[position:position] = raw[position:end]
            case _:
                del raw[position:]
    return bytes(raw)
