"""Neighbours are found in features of any length, at a cost that does not grow with it."""

import numpy as np
import torch
from torch import nn

from garrison.robustness.classifier import of_module
from garrison.robustness.data import Data
from garrison.robustness.detection.neighbours import Neighbours


def test_long_features_are_shortened_and_neighbours_stay() -> None:
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, 400)
    inputs = (random.normal(size=(400, 600)) + 2 * labels[:, None] - 1).astype(np.float32)
    dense = nn.Linear(600, 2)
    with torch.no_grad():
        dense.weight.copy_(torch.stack([torch.full((600,), -1.0), torch.full((600,), 1.0)]))
        dense.bias.copy_(torch.zeros(2))
    detector = Neighbours(k=5).fit(of_module(nn.Sequential(dense), 2, low=-9, high=9), Data(inputs, labels, "table"))
    assert max(one.shape[0] for name, one in detector.module.named_buffers() if "references" in name) == 128
    between = random.normal(size=(50, 600)).astype(np.float32)
    assert np.quantile(detector.score(inputs), 0.9) < np.quantile(detector.score(between), 0.1)
