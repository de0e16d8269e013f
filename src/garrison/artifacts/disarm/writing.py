"""Writes a safetensors file from a plan and the bytes that a worker sends, and believes the worker nothing.

The header is made here, of names, types, shapes and text; a file comes to be only when every byte of it has arrived.
Format: safetensors' `README.md` and `tensor.rs`: a length, a header in JSON, the tensors' bytes without gaps.
"""

import json
import math
import os
from collections.abc import Iterator
from typing import IO, Any

import msgspec

from garrison.artifacts.disarm.elements import SIZES
from garrison.artifacts.disarm.rebuilding import Described, Plan
from garrison.core.errors import ExaminationError, GarrisonError, UsageError
from garrison.core.files import replacing

_LONGEST_HEADER = 100_000_000
_ALIGNMENT = 8
VALUES = "garrison.values"
SHARED = "garrison.shared"
"""Keys of safetensors' metadata."""


def write(output: str, pieces: Iterator[bytes]) -> tuple[Plan, int]:
    """Write what a plan, the first piece, promises and the others hold; returns the plan and the tensors' bytes.

    The file is there whole or not at all. Raises `GarrisonError` where the pieces do not fit the plan, and
    `OSError`.
    """
    try:
        plan = msgspec.json.decode(next(pieces, b""), type=Plan)
    except msgspec.MsgspecError:
        raise GarrisonError("a worker sent no plan") from None
    sizes = [_size(tensor) for tensor in plan.tensors]
    head = _header(plan, sizes)
    if os.path.exists(output) and not os.path.isfile(output):
        raise UsageError(f"{output}: is there, and is no file")
    with replacing(output) as file:
        file.write(head)
        _copy(file, pieces, sum(sizes))
    return plan, sum(sizes)


def _copy(file: "IO[bytes]", pieces: Iterator[bytes], total: int) -> None:
    written = 0
    for piece in pieces:
        written += len(piece)
        if written > total:
            break
        file.write(piece)
    if written != total:
        raise GarrisonError("a worker sent other bytes than it promised")


def _size(tensor: Described) -> int:
    if tensor.dtype not in SIZES or any(length < 0 for length in tensor.shape):
        raise GarrisonError("a worker promised a tensor that is none")
    return SIZES[tensor.dtype] * math.prod(tensor.shape)


def _header(plan: Plan, sizes: list[int]) -> bytes:
    metadata = {**plan.metadata, "format": plan.framework}
    if plan.values != "{}":
        metadata[VALUES] = plan.values
    if plan.shared:
        metadata[SHARED] = json.dumps(plan.shared, ensure_ascii=False, separators=(",", ":"))
    header: dict[str, Any] = {"__metadata__": dict(sorted(metadata.items()))}
    begin = 0
    for tensor, size in zip(plan.tensors, sizes, strict=True):
        if tensor.name in header:
            raise GarrisonError("a worker promised two tensors of one name")
        header[tensor.name] = {
            "dtype": tensor.dtype,
            "shape": list(tensor.shape),
            "data_offsets": [begin, begin + size],
        }
        begin += size
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    if len(text) > _LONGEST_HEADER:
        raise ExaminationError("its names and plain values are more than a header of safetensors can hold")
    return len(text).to_bytes(8, "little") + text
