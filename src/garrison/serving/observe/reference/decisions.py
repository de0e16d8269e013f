"""Which class a model decided for, by its outputs."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from garrison.serving.tensors.tensor import Tensor


def scores_of(tensors: Sequence[Tensor], name: str) -> Tensor | None:
    """The output that says it: the named one, else scores of several classes, else the only one."""
    if name:
        return next((one for one in tensors if one.name == name), None)
    for one in tensors:
        if one.data.dtype.kind == "f" and one.data.ndim == 2 and one.data.shape[1] > 1:
            return one
    return tensors[0] if len(tensors) == 1 else None


def decisions(tensor: Tensor) -> NDArray[np.intp] | None:
    """The classes (n,) by their numbers: of the highest score, of one probability from a half on, or as they are given;
    `None` for what are no decisions."""
    data = tensor.data
    if data.dtype == object or not data.size:
        return None
    data = data.reshape(len(data), -1) if data.ndim else data.reshape(1, 1)
    if data.shape[1] > 1:
        return np.asarray(np.argmax(data, 1), np.intp)
    if data.dtype.kind == "f":
        if not ((data >= 0) & (data <= 1)).all():
            return None
        return np.asarray(data[:, 0] >= 0.5, np.intp)
    if data.dtype.kind not in "iub" or data.min() < 0 or data.max() >= 4096:
        return None
    return np.asarray(data[:, 0], np.intp)
