"""Elements of tensors in JSON: read by their datatype, flat or nested as the shape says, and exactly.

`msgspec` checks the text while it reads it; what it has read has one meaning, whoever reads it next.
"""

import functools
import math
import types
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from garrison.serving.tensors.datatypes import DTYPES

_DEEPEST = 16
_ELEMENTS: dict[str, Any] = {"BOOL": bool, "BYTES": str}
_FLOATS = frozenset({"FP16", "FP32", "FP64"})


def read(datatype: str, shape: tuple[int, ...], text: bytes | memoryview) -> NDArray[Any]:
    """The elements, of `shape`. Raises `ValueError`, with a reason for the caller, for what is none of them."""
    if datatype == "BF16":
        raise ValueError("has no numbers of BF16 in JSON: send them as binary data")
    nested = _depth(text)
    if nested != 1 and nested != len(shape):
        raise ValueError("is nested otherwise than its shape says")
    kind = float if datatype in _FLOATS else _ELEMENTS.get(datatype, int)
    try:
        values = _decoder(kind, nested).decode(text)
    except msgspec.ValidationError:
        raise ValueError(f"has elements that are none of {datatype}") from None
    except (msgspec.DecodeError, RecursionError):
        raise ValueError("has data that is no valid JSON") from None
    if nested == 1:
        if len(values) != math.prod(shape):
            raise ValueError("has another number of elements than its shape says")
    elif not _fits(values, shape):
        raise ValueError("is nested otherwise than its shape says")
    if datatype == "BYTES":
        return _texts(values, nested, shape)
    dtype = DTYPES[datatype]
    if kind is float:
        if datatype == "FP64":
            return np.array(values, dtype).reshape(shape)  # what is read as a number is finite
        try:
            with np.errstate(over="raise"):
                return np.array(values, dtype).reshape(shape)
        except FloatingPointError:
            raise ValueError(f"has numbers beyond those of {datatype}") from None
    if kind is bool:
        return np.array(values, np.bool_).reshape(shape)
    return _whole(values, datatype, dtype).reshape(shape)


def write(tensor_data: NDArray[Any], datatype: str) -> list[Any]:
    """The elements as a flat list that JSON can hold."""
    if datatype == "BYTES":
        return [element.decode("utf-8", "replace") for element in tensor_data.ravel()]
    found: list[Any] = tensor_data.ravel().tolist()
    return found


@functools.lru_cache(256)
def _decoder(kind: Any, nested: int) -> msgspec.json.Decoder[Any]:
    wanted: Any = kind
    for _ in range(nested):
        wanted = types.GenericAlias(list, (wanted,))
    return msgspec.json.Decoder(wanted)


def _depth(text: bytes | memoryview) -> int:
    """How many lists begin one in the other."""
    depth = 0
    for byte in bytes(text[:128]):
        if byte == 0x5B:
            depth += 1
        elif byte not in b" \t\r\n":
            break
    if depth > _DEEPEST:
        raise ValueError("is nested deeper than any tensor")
    return max(depth, 1)


def _fits(values: list[Any], shape: tuple[int, ...]) -> bool:
    if len(values) != shape[0]:
        return False
    return len(shape) == 1 or all(_fits(one, shape[1:]) for one in values)


def _texts(values: list[Any], nested: int, shape: tuple[int, ...]) -> NDArray[Any]:
    for _ in range(nested - 1):
        values = [one for inner in values for one in inner]
    found = np.empty(len(values), object)
    found[:] = [value.encode() for value in values]
    return found.reshape(shape)


def _whole(values: list[Any], datatype: str, dtype: "np.dtype[Any]") -> NDArray[Any]:
    wide = np.uint64 if datatype == "UINT64" else np.int64
    try:
        found = np.array(values, wide)
    except OverflowError:
        raise ValueError(f"has numbers beyond those of {datatype}") from None
    if wide is np.uint64 and found.size and _negative(values):
        raise ValueError(f"has numbers beyond those of {datatype}")
    limits = np.iinfo(dtype)
    if found.size and dtype.itemsize < 8 and (found.min() < limits.min or found.max() > limits.max):
        raise ValueError(f"has numbers beyond those of {datatype}")
    return found.astype(dtype, copy=False)


def _negative(values: list[Any]) -> bool:
    # NumPy before 2 takes -1 for the largest of them.
    return any(_negative(one) if isinstance(one, list) else one < 0 for one in values)
