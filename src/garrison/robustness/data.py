"""Inputs with their labels."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Kind = Literal["image", "table", "text"]


@dataclass(frozen=True, eq=False)
class Data:
    """Labelled inputs, in the order of their file."""

    inputs: NDArray[np.float32] | Sequence[str]
    """Images (n, channels, height, width), tables (n, features), or texts."""
    labels: NDArray[np.int64]
    """(n,), each an index of a class."""
    kind: Kind
    name: str = ""
    sha256: str = ""
    """Of the file, in hexadecimal."""
    classes: tuple[str, ...] = ()
    """What the labels are called, where that is known."""
    features: tuple[str, ...] = ()
    """What the columns of a table are called."""
    categories: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Of columns that hold categories, by name: what the numbers 0, 1, ... in them stand for."""
    groups: dict[str, NDArray[Any]] = field(default_factory=dict)
    """Columns (n,) by which to slice results, such as `sex`."""

    notes: tuple[str, ...] = ()
    """What was done to the file's numbers to make inputs of them."""

    def __len__(self) -> int:
        return len(self.labels)
