"""Models that take batches of one size only, as those that were exported with an example do."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from garrison.robustness.models.built import scores


def in_batches(function: Callable[[Tensor], Any], size: int) -> Callable[[Tensor], Tensor]:
    """A function that asks `function` about `size` inputs at a time; the last are filled up with one of them."""

    def batched(inputs: Tensor) -> Tensor:
        answers = []
        for batch in torch.split(inputs, size):
            missing = size - len(batch)
            full = torch.cat([batch, batch[:1].expand(missing, *batch.shape[1:])]) if missing else batch
            answers.append(scores(function(full), size)[: len(batch)])
        return torch.cat(answers)

    return batched
