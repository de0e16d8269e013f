"""Labels as a file has them, as indices of classes."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from garrison.core.errors import UsageError

MOST_CLASSES = 100_000


def indices(found: Any, source: str) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Labels (n,) as indices, and what the classes are called where numbers do not say it.

    Whole numbers from 0 stay as they are; -1 and 1, booleans and texts are counted in their order; rows with a single
    one among zeros become its position. Raises `UsageError`.
    """
    labels = np.asarray(found)
    if labels.dtype.hasobject:
        raise UsageError(f"{source}: the labels are Python objects")
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim == 2:
        labels = _positions(labels, source)
    if labels.ndim != 1:
        raise UsageError(
            f"{source}: labels of shape {'×'.join(map(str, labels.shape))}, where one for each input is meant"
        )
    if not len(labels):
        raise UsageError(f"{source}: it is empty")
    result, names = _counted(labels, source)
    if len(np.unique(result)) < 2:
        raise UsageError(f"{source}: all labels are of one class, {labels[0]}: accuracy and attacks would mean nothing")
    if int(result.max()) >= MOST_CLASSES:
        raise UsageError(f"{source}: a label of {result.max()}: these are no classes")
    return result, names


def _counted(labels: NDArray[Any], source: str) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    kind = labels.dtype.kind
    if kind in "US":
        texts = labels.astype(str)
        numbers = _whole(texts)
        if numbers is None:
            names, counted = np.unique(texts, return_inverse=True)
            if len(names) > max(2, len(texts) // 2) and len(texts) > 20:
                raise UsageError(
                    f"{source}: {len(names)} different labels for {len(texts)} inputs: these are no classes"
                )
            return counted.astype(np.int64), tuple(map(str, names))
        labels = numbers
    elif kind == "b":
        return labels.astype(np.int64), ("False", "True")
    elif kind == "f":
        if not np.isfinite(labels).all():
            raise UsageError(f"{source}: label {int(np.flatnonzero(~np.isfinite(labels))[0])} is not a number")
        if (labels != np.rint(labels)).any() or np.abs(labels).max() > MOST_CLASSES:
            raise UsageError(f"{source}: labels such as {labels[labels != np.rint(labels)][:1]} are no classes")
        labels = labels.astype(np.int64)
    elif kind not in "iu":
        raise UsageError(f"{source}: labels of type {labels.dtype} are no classes")
    if int(labels.min()) < 0:
        if set(np.unique(labels).tolist()) == {-1, 1}:
            return (labels > 0).astype(np.int64), ("-1", "1")
        raise UsageError(f"{source}: a label of {labels.min()}: classes are counted from 0")
    if int(labels.max()) >= MOST_CLASSES:
        raise UsageError(f"{source}: a label of {labels.max()}: these are no classes")
    return labels.astype(np.int64), ()


def _whole(texts: NDArray[np.str_]) -> NDArray[np.int64] | None:
    """The numbers that all texts are; `None` where one is not."""
    try:
        return np.array([int(text) for text in texts], dtype=np.int64)
    except (ValueError, OverflowError):
        return None


def _positions(rows: NDArray[Any], source: str) -> NDArray[np.int64]:
    if rows.dtype.kind not in "iufb" or not np.isin(rows, (0, 1)).all() or not (rows.sum(1) == 1).all():
        raise UsageError(
            f"{source}: labels of shape {rows.shape[0]}×{rows.shape[1]} that are not one class for each input"
        )
    return np.asarray(rows.argmax(1), dtype=np.int64)
