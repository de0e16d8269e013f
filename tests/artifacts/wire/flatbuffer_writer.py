"""Writes FlatBuffers for tests: each object behind what refers to it; an object that is given twice is shared."""

import struct
from dataclasses import dataclass


@dataclass
class Scalar:
    code: str
    value: int


@dataclass
class Floats:
    """Inline floating-point numbers: one is a scalar, several a struct."""

    code: str
    values: list[float]


@dataclass
class Numbers:
    code: str
    values: list[int]


@dataclass
class Bytes:
    value: bytes
    align: int = 4


@dataclass
class Texts:
    values: list[str]


@dataclass
class Node:
    fields: "dict[int, Field]"


Field = Scalar | Floats | Numbers | Bytes | Texts | str | Node | list[Node]


def build(root: Node, identifier: bytes = b"") -> bytes:
    """The buffer with `root` as its outermost table."""
    out = bytearray(b"\0\0\0\0" + identifier)
    waiting: list[tuple[int, Field]] = [(0, root)]
    placed: dict[int, int] = {}
    while waiting:
        place, value = waiting.pop()
        if placed.get(id(value), -1) < place:
            placed[id(value)] = _write(out, value, waiting)
        struct.pack_into("<I", out, place, placed[id(value)] - place)
    return bytes(out)


def _pad(out: bytearray, width: int) -> None:
    out += bytes(-len(out) % width)


def _write(out: bytearray, value: Field, waiting: list[tuple[int, Field]]) -> int:
    """Append an object and return where it begins."""
    _pad(out, 8)
    if isinstance(value, Node):
        return _write_table(out, value, waiting)
    at = len(out)
    if isinstance(value, str):
        data = value.encode()
        out += struct.pack("<I", len(data)) + data + b"\0"
    elif isinstance(value, Bytes):
        while (len(out) + 4) % value.align:
            out += b"\0"
        at = len(out)
        out += struct.pack("<I", len(value.value)) + value.value
    elif isinstance(value, Numbers):
        if struct.calcsize("<" + value.code) == 8:
            out += b"\0\0\0\0"
            at = len(out)
        out += struct.pack(f"<I{len(value.values)}{value.code}", len(value.values), *value.values)
    else:
        items: list[str] | list[Node] = value.values if isinstance(value, Texts) else value  # type: ignore[assignment]
        out += struct.pack("<I", len(items)) + bytes(4 * len(items))
        waiting += [(at + 4 + 4 * index, item) for index, item in enumerate(items)]
    return at


def _write_table(out: bytearray, node: Node, waiting: list[tuple[int, Field]]) -> int:
    count = max(node.fields, default=-1) + 1
    offsets = [0] * count
    body = bytearray(4)
    pointers: list[tuple[int, Field]] = []
    for number, value in node.fields.items():
        data = b"\0\0\0\0"
        if isinstance(value, Scalar):
            data = struct.pack("<" + value.code, value.value)
        elif isinstance(value, Floats):
            data = struct.pack(f"<{len(value.values)}{value.code}", *value.values)
        _pad(body, min(len(data), 8) if len(data) in (1, 2, 4, 8) else 4)
        offsets[number] = len(body)
        if not isinstance(value, Scalar | Floats):
            pointers.append((len(body), value))
        body += data
    vtable = len(out)
    out += struct.pack(f"<HH{count}H", 4 + 2 * count, len(body), *offsets)
    _pad(out, 8)
    at = len(out)
    struct.pack_into("<i", body, 0, at - vtable)
    out += body
    waiting += [(at + place, value) for place, value in pointers]
    return at
