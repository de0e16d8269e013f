"""A schema to begin with: of what the model's own server says of it, and of data that it was made for.

Neither is the truth. What a server says may be empty or wrong, and data has not seen everything that will come; the
draft is for a person to read.
"""

from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from garrison.core.errors import UsageError
from garrison.serving.schema.settings import Input

_MARGIN = 0.1
"""Of the range that data has, added at both ends."""
_BOUNDED = 64
"""Columns up to which each has bounds of its own."""


class _Tensor(msgspec.Struct):
    name: str
    datatype: str
    shape: list[int]


class _Metadata(msgspec.Struct):
    inputs: list[_Tensor] = []


def from_metadata(body: bytes) -> tuple[Input, ...]:
    """What a server answers at `/v2/models/NAME`. Raises `UsageError` where that says nothing."""
    try:
        metadata = msgspec.json.decode(body, type=_Metadata)
    except (msgspec.DecodeError, RecursionError) as error:
        raise UsageError(f"the server's metadata cannot be read: {error}") from None
    if not metadata.inputs:
        raise UsageError("the server says nothing of the model's inputs; draft from data")
    return tuple(Input(name=one.name, datatype=one.datatype, shape=tuple(one.shape)) for one in metadata.inputs)


def from_data(name: str, data: NDArray[Any], datatype: str = "FP32") -> Input:
    """An input of rows like these (n, *shape), with their range and a tenth more on each side."""
    if len(data) < 2:
        raise UsageError("a draft takes two rows of data at the least")
    shape = (-1, *data.shape[1:])
    if data.dtype.kind in "OUS":
        longest = max(len(str(text).encode()) for text in data.flat)
        return Input(name=name, datatype="BYTES", shape=shape, most_bytes=2 * longest)
    values = np.asarray(data, np.float64)
    if not np.isfinite(values).all():
        raise UsageError("the data has numbers that are not finite")
    each = values.ndim == 2 and values.shape[1] <= _BOUNDED
    low, high = (values.min(0), values.max(0)) if each else (values.min(), values.max())
    margin = _MARGIN * (high - low)
    # What was never negative is rarely meant to be.
    low = np.where((low >= 0) & (low - margin < 0), 0.0, low - margin)
    high = high + margin
    return Input(name=name, datatype=datatype, shape=shape, low=_rounded(low), high=_rounded(high))


def toml(model: str, inputs: tuple[Input, ...]) -> str:
    """The tables of a configuration."""
    blocks = []
    for one in inputs:
        lines = [f"[[models.{_key(model)}.schema.inputs]]"]
        lines.append(f"name = {_text(one.name)}")
        lines.append(f"datatype = {_text(one.datatype)}")
        lines.append(f"shape = {list(one.shape)}")
        for name, bound in (("low", one.low), ("high", one.high)):
            if bound is not None:
                lines.append(f"{name} = {list(bound) if isinstance(bound, tuple) else bound}")
        if one.datatype == "BYTES":
            lines.append(f"most-bytes = {one.most_bytes}")
        blocks.append("\n".join(lines) + "\n")
    return "\n".join(blocks)


def _rounded(bound: Any) -> float | tuple[float, ...]:
    values = [float(f"{value:.6g}") for value in np.atleast_1d(bound)]
    return values[0] if np.ndim(bound) == 0 else tuple(values)


def _key(name: str) -> str:
    return name if name.replace("-", "").replace("_", "").isalnum() and name.isascii() else _text(name)


def _text(text: str) -> str:
    return msgspec.json.encode(text).decode()  # a basic string of TOML is one of JSON
