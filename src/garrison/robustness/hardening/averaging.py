"""An exponential moving average of a model's weights."""

import copy

import torch
from torch import nn


class Average:
    """Of a model's parameters and buffers, in a model of its own."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.model = copy.deepcopy(model)
        self._decay = decay

    @torch.no_grad()
    def update(self, model: nn.Module, updates: int) -> None:
        """After batch number `updates` (from 0). Early the average follows faster, so that the start is forgotten."""
        decay = min(self._decay, (1 + updates) / (10 + updates))
        averaged, current = self.model.state_dict(), model.state_dict()
        for name, value in averaged.items():
            if value.is_floating_point():
                value.lerp_(current[name], 1 - decay)
            else:
                value.copy_(current[name])
