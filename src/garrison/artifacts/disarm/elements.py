"""Data types: their names in safetensors, and what PyTorch and NumPy call them.

Sources: safetensors' `tensor.rs`, `torch/storage.py` (`_dtype_to_storage_type_map`), NumPy's reference, "Data type
objects", and `dtype.__setstate__` in `numpy/_core/src/multiarray/descriptor.c`.
"""

import re
from dataclasses import replace

from garrison.artifacts.disarm.shapes import DIMENSIONS, LONGEST
from garrison.artifacts.disarm.values import Element, Mapping, Value

SIZES = {
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ"), 1),
    **dict.fromkeys(("I16", "U16", "F16", "BF16"), 2),
    **dict.fromkeys(("I32", "U32", "F32"), 4),
    **dict.fromkeys(("I64", "U64", "F64", "C64"), 8),
}
"""Bytes of an element, by the name in safetensors."""

BYTES = {**SIZES, "C128": 16}
"""The same, and what safetensors has no name for."""

SWAPPED = {**{name: size for name, size in SIZES.items() if size > 1}, "C64": 4}
"""Bytes of the numbers whose order machines differ in."""

TORCH = {
    "bool": "BOOL",
    "uint8": "U8",
    "int8": "I8",
    "int16": "I16",
    "short": "I16",
    "uint16": "U16",
    "int32": "I32",
    "int": "I32",
    "uint32": "U32",
    "int64": "I64",
    "long": "I64",
    "uint64": "U64",
    "float16": "F16",
    "half": "F16",
    "bfloat16": "BF16",
    "float32": "F32",
    "float": "F32",
    "float64": "F64",
    "double": "F64",
    "complex64": "C64",
    "cfloat": "C64",
    "complex128": "C128",
    "cdouble": "C128",
    "float8_e5m2": "F8_E5M2",
    "float8_e4m3fn": "F8_E4M3",
    "float8_e8m0fnu": "F8_E8M0",
    "float8_e4m3fnuz": "F8_E4M3FNUZ",
    "float8_e5m2fnuz": "F8_E5M2FNUZ",
}
"""Of `torch.float32` and its like."""

STORAGES = {
    "BoolStorage": "BOOL",
    "ByteStorage": "U8",
    "CharStorage": "I8",
    "ShortStorage": "I16",
    "IntStorage": "I32",
    "LongStorage": "I64",
    "HalfStorage": "F16",
    "BFloat16Storage": "BF16",
    "FloatStorage": "F32",
    "DoubleStorage": "F64",
    "ComplexFloatStorage": "C64",
    "ComplexDoubleStorage": "C128",
    "QInt8Storage": "I8",
    "QUInt8Storage": "U8",
    "QInt32Storage": "I32",
}
"""Of `torch.FloatStorage` and its like; quantized numbers are carried as the whole numbers that they are."""

_NUMPY = {
    **{("i", 1 << power): f"I{8 << power}" for power in range(4)},
    **{("u", 1 << power): f"U{8 << power}" for power in range(4)},
    **{("f", 1 << power): f"F{8 << power}" for power in range(1, 4)},
    ("b", 1): "BOOL",
    ("c", 8): "C64",
    ("bf", 2): "BF16",
}
_LETTERS = {
    "?": ("b", 1),
    "b": ("i", 1),
    "B": ("u", 1),
    "h": ("i", 2),
    "H": ("u", 2),
    "i": ("i", 4),
    "I": ("u", 4),
    **dict.fromkeys("lqpn", ("i", 8)),
    **dict.fromkeys("LQPN", ("u", 8)),
    "e": ("f", 2),
    "f": ("f", 4),
    "d": ("f", 8),
    "g": ("f", 16),
    "F": ("c", 8),
    "D": ("c", 16),
    "G": ("c", 32),
    "S": ("S", 0),
    "a": ("S", 0),
    "U": ("U", 0),
    "V": ("V", 0),
    "O": ("O", 8),
    "M": ("M", 8),
    "m": ("m", 8),
}
_SPEC = re.compile(r"([<>|=]?)([?bBhHiIlLqQpPnNefdgFDGSaUVMmOuc])(\d{0,9})(?:\[\w{1,20}\])?").fullmatch
_NAME = re.compile(r"(bool|int|uint|float|complex)_?(8|16|32|64|128|256|)").fullmatch
_NAMED = {"bool": "b", "int": "i", "uint": "u", "float": "f", "complex": "c"}
_DEPTH = 16
_PARTS = 4096
_BIG = (">", b">")

UNKNOWN = Element("?", 0)


def carried(element: Element) -> str:
    """The name in safetensors; empty where it has none."""
    return _NUMPY.get((element.kind, element.size), "")


def described(element: Element) -> str:
    """What a type is, for a person."""
    kinds = {"S": "byte strings", "U": "text", "V": "raw bytes", "O": "objects", "M": "dates", "m": "durations"}
    if element.fields or element.base is not None:
        return "structures"
    numbers = {"f": "floating-point numbers", "c": "complex numbers", "i": "whole numbers", "u": "whole numbers"}
    if element.kind in numbers:
        return f"{numbers[element.kind]} of {8 * element.size} bits"
    return kinds.get(element.kind, "a type that is not known")


def spelled(spec: str) -> Element:
    """The type that a text names, as `<f8`, `U10`, `float32`."""
    named = _NAME(spec)
    if named is not None:
        bits = int(named[2]) if named[2] else {"bool": 8}.get(named[1], 64)
        return Element(_NAMED[named[1]], bits // 8)
    match = _SPEC(spec)
    if match is None:
        return UNKNOWN
    order, letter, digits = match.groups()
    kind, size = _LETTERS.get(letter, (letter, 0))
    if digits and kind != "O":
        # A letter with a size names the kind; `b1` is a truth value.
        kind = {"a": "S"}.get(letter, letter) if letter in "biufcSaUVMm" else "?"
        size = int(digits) * (4 if kind == "U" else 1)
    return Element(kind, size, big=order == ">", objects=kind == "O")


def of_header(description: Value, depth: int = 0) -> Element:
    """The type in the header of a `.npy` file (`descr_to_dtype` in `numpy/lib/format.py`)."""
    if isinstance(description, str):
        return spelled(description)
    if depth > _DEPTH:
        return UNKNOWN
    if isinstance(description, tuple) and len(description) == 2:
        return repeated(of_header(description[0], depth + 1), description[1])
    if not isinstance(description, list):
        return UNKNOWN
    fields: list[tuple[Value, Value, Value]] = []
    offset = 0
    for field in description:
        if not isinstance(field, tuple) or len(field) not in (2, 3):
            return UNKNOWN
        inner = of_header(field[1], depth + 1)
        if len(field) == 3:
            inner = repeated(inner, field[2])
        name = field[0][-1] if isinstance(field[0], tuple) and field[0] else field[0]
        # A field without a name is padding.
        if not (name == "" and inner.kind == "V" and not inner.fields):
            fields.append((name, inner, offset))
        offset += inner.size
    return structure(fields, offset)


def with_state(element: Element, state: Value) -> Element:
    """The type after `__setstate__`: order of bytes, parts, size."""
    if not isinstance(state, tuple) or len(state) < 7 or state[0] not in (2, 3, 4):
        return UNKNOWN
    _, order, inner, names, fields, size, *_ = state
    if isinstance(inner, tuple) and len(inner) == 2:
        return repeated(inner[0], inner[1]) if isinstance(inner[0], Element) else UNKNOWN
    if isinstance(names, tuple) and isinstance(fields, Mapping):
        known = {key: value for key, value in fields.entries if isinstance(key, str | bytes)}
        parts = [known.get(name) if isinstance(name, str | bytes) else None for name in names]
        if not all(isinstance(part, tuple) and len(part) >= 2 for part in parts):
            return UNKNOWN
        return structure([(name, *part[:2]) for name, part in zip(names, parts, strict=True) if part], size)
    if element.kind in "SUV" and type(size) is int and 0 <= size < 1 << 40:
        return Element(element.kind, size, big=order in _BIG)
    return replace(element, big=order in _BIG)


def structure(fields: list[tuple[Value, Value, Value]], size: Value) -> Element:
    """A type of named parts at offsets, as far as all of it makes sense."""
    found = []
    total = 1
    for name, part, offset in fields:
        if isinstance(name, bytes):
            name = name.decode("utf-8", "backslashreplace")
        if not (isinstance(name, str) and isinstance(part, Element) and type(offset) is int and type(size) is int):
            return UNKNOWN
        total += part.parts
        if part.kind == "?" or not 0 <= offset <= size - part.size or total > _PARTS:
            return UNKNOWN
        # A copy, since a pickle may alter the part later, until it contains itself.
        found.append((name, replace(part), offset))
    return Element("V", size, fields=tuple(found), parts=total, objects=any(one.objects for _, one, _ in found))


def repeated(base: Element, shape: Value) -> Element:
    lengths = shape if isinstance(shape, tuple) else (shape,)
    size = base.size
    for length in lengths:
        if type(length) is not int or not 0 <= length < 1 << 32:
            return UNKNOWN
        size *= length
    if base.kind == "?" or len(lengths) > DIMENSIONS or size >= LONGEST or base.parts >= _PARTS:
        return UNKNOWN
    return Element("V", size, base=replace(base), shape=lengths, parts=base.parts + 1, objects=base.objects)
