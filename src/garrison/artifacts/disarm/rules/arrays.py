"""NumPy's data types, arrays and numbers.

Sources: `numpy/_core/src/multiarray/methods.c` (`array_setstate`), `numpy/_core/numeric.py` (`_frombuffer`).
"""

import math
import struct
from dataclasses import replace

from garrison.artifacts.disarm import elements
from garrison.artifacts.disarm.rules.byte_strings import reader_of
from garrison.artifacts.disarm.shapes import shape_of
from garrison.artifacts.disarm.unpickling import UNKNOWN, Unpickling
from garrison.artifacts.disarm.values import Array, Element, Reference, Value

_NUMBERS = {
    ("b", 1): "?",
    **{("i", 1 << power): "bhiq"[power] for power in range(4)},
    **{("u", 1 << power): "BHIQ"[power] for power in range(4)},
    ("f", 2): "e",
    ("f", 4): "f",
    ("f", 8): "d",
}
_DTYPES = {"ml_dtypes.bfloat16": Element("bf", 2)}


def dtype(_: Unpickling, arguments: tuple[Value, ...]) -> Value:
    match arguments:
        case (str() as spec, *_rest):
            return _spelled(spec)
        case (bytes() as spec, *_rest):
            return _spelled(spec.decode("latin-1"))
        case (Reference() as named, *_rest):
            known = _DTYPES.get(named.whole)
            if known is not None:
                return Element(known.kind, known.size)
            return _spelled(named.name) if named.module == "numpy" else UNKNOWN
    return UNKNOWN


def _spelled(spec: str) -> Element:
    # A copy, since a state may alter it later.
    return replace(elements.spelled(spec))


def dtype_with_state(_: Unpickling, target: Element, state: Value) -> Value:
    """The type with what `__setstate__` sets."""
    # In place, since the memo knows it too.
    new = elements.with_state(target, state)
    for name in Element.__slots__:
        setattr(target, name, getattr(new, name))
    return target


def array(_: Unpickling, arguments: tuple[Value, ...]) -> Value:
    """`_reconstruct(subtype, shape, dtype)`: an empty array, whose state follows."""
    return Array() if len(arguments) == 3 else UNKNOWN


def masked_array(_: Unpickling, arguments: tuple[Value, ...]) -> Value:
    """`_mareconstruct(subtype, base, shape, dtype)`, the same with a mask."""
    return Array(mask=Array()) if len(arguments) == 4 else UNKNOWN


def with_state(_: Unpickling, target: Array, state: Value) -> Value:
    """The array filled; one that the state does not fit stays empty."""
    _fill(target, state)
    return target


def _fill(target: Array, state: Value) -> None:
    if target.mask is not None and isinstance(state, tuple) and len(state) == 7:
        *state, mask, _ = state
        _fill(target.mask, (state[1], Element("b", 1), state[3], mask))
        state = tuple(state)
    if not isinstance(state, tuple) or len(state) not in (4, 5):
        return
    shape, element, fortran, data = state[-4:]
    lengths = shape_of(shape)
    if lengths is None or not isinstance(element, Element) or target.element is not None:
        return
    if isinstance(data, list):
        if element.objects and len(data) == math.prod(lengths):
            target.objects = data
        else:
            return
    else:
        found = reader_of(data)
        if found is None or element.objects or found.size != math.prod(lengths) * element.size:
            return
        target.data = found
    target.element, target.shape, target.fortran = element, lengths, bool(fortran)


def from_buffer(_: Unpickling, arguments: tuple[Value, ...]) -> Value:
    if len(arguments) not in (4, 5):
        return UNKNOWN
    data, element, shape, order = arguments[:4]
    found, lengths = reader_of(data), shape_of(shape)
    if found is None or lengths is None or not isinstance(element, Element) or element.objects:
        return UNKNOWN
    if order not in ("C", "F", "K") or found.size != math.prod(lengths) * element.size:
        return UNKNOWN
    made = Array(element, lengths, order == "F", found)
    axes = arguments[4] if len(arguments) == 5 else None
    if order == "K" and axes is not None:
        if not isinstance(axes, tuple | list) or sorted(map(_integer, axes)) != list(range(len(lengths))):
            return UNKNOWN
        made.axes = tuple(axes)
    return made


def scalar(_: Unpickling, arguments: tuple[Value, ...]) -> Value:
    """A number of NumPy's as Python's, which holds any of them exactly."""
    match arguments:
        case (Element(objects=True), value):
            return value
        case (Element(kind=kind, size=size, big=big), bytes() as data):
            form = _NUMBERS.get((kind, size))
            if form is not None and len(data) == size:
                return struct.unpack((">" if big else "<") + form, data)[0]
            if kind == "U" and len(data) == size:
                text = data.decode("utf-32-be" if big else "utf-32-le", "replace")
                return text.rstrip("\0")
    return UNKNOWN


def _integer(value: Value) -> int:
    return value if type(value) is int else -1
