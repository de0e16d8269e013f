"""Parts of the data on their own: each class, and each value of the columns that results are sliced by."""

from collections.abc import Iterator

import torch
from torch import Tensor

from garrison.core.robustness_card import Slice, rate
from garrison.robustness.data import Data
from garrison.robustness.evaluation.evasion import Evaded

_SMALLEST = 10
"""Inputs below which a slice says nothing."""
_MOST = 50
"""Slices that a card holds; a column with thousands of values is no way to slice."""


def slices(data: Data, measured: Tensor, correct: Tensor, evaded: Evaded | None, order: Tensor) -> tuple[Slice, ...]:
    """Accuracy, and robust accuracy under the first budget, of each slice; the worst first.

    `measured` (m,) says which inputs of the data the accuracy was measured on, `correct` (m,) which of them were
    classified correctly, and `order` (n,) which were given to the attacks.
    """
    seen, right, attacked, robust = (torch.zeros(len(data), dtype=torch.bool) for _ in range(4))
    seen[measured] = True
    right[measured] = correct
    if evaded is not None:
        attacked[order[evaded.done]] = True
        robust[order[evaded.done]] = evaded.robust(0)
    found = []
    for name, members in _parts(data):
        there = members & attacked
        if int((members & seen).sum()) < _SMALLEST:
            continue
        found.append(
            Slice(
                name=name,
                clean=rate(int((right & members).sum()), int((members & seen).sum())),
                robust=None if evaded is None else rate(int((robust & there).sum()), int(there.sum())),
            )
        )
    # By the upper end, so that a slice of few inputs is not the worst by chance.
    return tuple(sorted(found, key=lambda one: ((one.robust or one.clean).high, one.clean.high))[:_MOST])


def _parts(data: Data) -> Iterator[tuple[str, Tensor]]:
    labels = torch.from_numpy(data.labels)
    for label in sorted(set(data.labels.tolist())):
        yield f"class {class_name(data, label)}", labels == label
    for column, values in data.groups.items():
        named = [str(value) for value in values]
        for value in sorted(set(named)):
            yield f"{column} = {value}", torch.tensor([one == value for one in named])


def class_name(data: Data, label: int) -> str:
    """What a class is called, or its number."""
    return data.classes[label] if 0 <= label < len(data.classes) else str(label)
