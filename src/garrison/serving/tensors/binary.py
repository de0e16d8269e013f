"""Tensors as the bytes of the binary tensor data extension
(https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md).

Numbers are little-endian; elements of `BYTES` have their length before them, in four bytes.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from garrison.serving.tensors.datatypes import DTYPES
from garrison.serving.tensors.tensor import Tensor


def from_bytes(datatype: str, shape: tuple[int, ...], data: bytes | memoryview) -> NDArray[Any]:
    """The elements, of `shape`. Raises `ValueError` for bytes that are not those of such a tensor."""
    dtype, count = DTYPES[datatype], math.prod(shape)
    if datatype == "BYTES":
        return _strings(bytes(data), count).reshape(shape)
    if len(data) != count * dtype.itemsize:
        raise ValueError("not as many bytes as the shape says")
    found = np.frombuffer(data, np.uint8 if datatype == "BOOL" else dtype)
    if datatype == "BOOL":
        if count and found.max() > 1:
            raise ValueError("a byte that is no truth value")
        found = found.view(np.bool_)
    return found.reshape(shape)


def to_bytes(tensor: Tensor) -> bytes:
    """What `from_bytes` reads."""
    if tensor.datatype == "BYTES":
        return b"".join(len(one).to_bytes(4, "little") + one for one in tensor.data.ravel())
    return np.ascontiguousarray(tensor.data, DTYPES[tensor.datatype]).tobytes()


def _strings(data: bytes, count: int) -> NDArray[Any]:
    if count * 4 > len(data):
        raise ValueError("not as many bytes as the shape says")
    found = np.empty(count, object)
    position = 0
    for index in range(count):
        start = position + 4
        position = start + int.from_bytes(data[position:start], "little")
        if start > len(data) or position > len(data):
            raise ValueError("an element is longer than what is there")
        found[index] = data[start:position]
    if position != len(data):
        raise ValueError("more bytes than the elements say")
    return found
