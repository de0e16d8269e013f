"""A named tensor."""

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Tensor:
    """An input or an output."""

    name: str
    datatype: str
    """As the Open Inference Protocol calls it: `FP32`, `INT64`, `BOOL`, `BYTES`, ..."""
    shape: tuple[int, ...]
    data: NDArray[Any]
    """Of `shape`; elements of `BYTES` are `bytes` objects, in an array of objects."""
    parameters: dict[str, bool | int | float | str]
