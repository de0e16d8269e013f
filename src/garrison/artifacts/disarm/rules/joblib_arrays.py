"""The arrays that joblib writes into the stream of a pickle.

Source: `joblib/numpy_pickle.py` (`NumpyArrayWrapper.read_array`).
"""

import math

from garrison.artifacts.disarm.shapes import shape_of
from garrison.artifacts.disarm.unpickling import Unpickling
from garrison.artifacts.disarm.values import Array, Element, Mapping, Value
from garrison.core.errors import Malformed


class Wrapper:
    """joblib's stand-in for an array whose bytes follow in the stream."""

    __slots__ = ()


def wrapper(_: Unpickling, arguments: tuple[Value, ...]) -> Value:
    return Wrapper()


def with_state(unpickling: Unpickling, _: Wrapper, state: Value) -> Value:
    """The array that joblib wrote behind a wrapper's state. Raises `Malformed` where its end cannot be told."""
    pairs = state.entries if isinstance(state, Mapping) else []
    entries = {key: value for key, value in pairs if isinstance(key, str)}
    stream = unpickling.stream
    element, lengths = entries.get("dtype"), shape_of(entries.get("shape"))
    if not isinstance(element, Element) or element.kind == "?" or lengths is None:
        raise Malformed(f"an array wrapper at {unpickling.place:#x} does not say how long its array is")
    if element.objects:
        return unpickling.nested()
    if type(entries.get("numpy_array_alignment_bytes")) is int:
        stream.skip(1 + stream.reader.exactly(stream.position, 1)[0])
    size = math.prod(lengths) * element.size
    start = stream.position
    stream.skip(size)
    return Array(element, lengths, entries.get("order") == "F", stream.reader.window(start, size))
