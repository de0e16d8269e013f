"""Averaged weights follow the weights, and forget where they began."""

import pytest
import torch
from torch import nn

from garrison.robustness.hardening.averaging import Average


def test_the_average_of_constant_weights_is_those_weights() -> None:
    model = nn.BatchNorm1d(3)
    average = Average(model, 0.99)
    with torch.no_grad():
        model.weight.fill_(5.0)
    model.num_batches_tracked += 7  # type: ignore[operator]
    for update in range(200):
        average.update(model, update)
    assert average.model.state_dict()["weight"].tolist() == pytest.approx([5.0] * 3, abs=1e-3)
    assert int(average.model.state_dict()["num_batches_tracked"]) == 7


def test_without_decay_it_is_the_model_itself() -> None:
    model = nn.Linear(2, 2)
    average = Average(model, 0.0)
    with torch.no_grad():
        model.weight.add_(1)
    average.update(model, 0)
    assert torch.equal(average.model.state_dict()["weight"], model.weight)
