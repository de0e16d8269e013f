"""Models whose exact distance to a wrong decision is known."""

from dataclasses import dataclass

import torch
from torch import Tensor

from garrison.core.robustness_card import Norm
from garrison.robustness.classifier import Classifier

BUDGETS: dict[Norm, tuple[float, float]] = {"linf": (0.1, 0.3), "l2": (0.4, 1.5), "l1": (2.0, 8.0), "l0": (4.0, 16.0)}
"""Under which attacks find something in the small world of the conformance check."""


@dataclass(frozen=True, eq=False)
class LinearWorld:
    classifier: Classifier
    inputs: Tensor
    labels: Tensor


def linear_world(norm: Norm, classes: int, *, count: int = 5, features: int = 12) -> LinearWorld:
    """A linear model, and inputs of which none is decided differently within a distance of 1, and all beyond.

    The distance is the margin over the dual norm of the weights, and the bounds are far away. Without a bias both go
    with the length of the input.
    """
    noise = torch.Generator().manual_seed(classes)
    weights = torch.randn(features, classes, generator=noise)
    inputs = torch.randn(count, features, generator=noise)
    classifier = Classifier(lambda x: x @ weights, classes, low=-500.0, high=500.0)
    labels = classifier.labels(inputs)
    scores = inputs @ weights
    ahead = scores.gather(1, labels[:, None]) - scores
    slopes = weights.T[labels][:, None] - weights.T[None]
    order = {"linf": 1, "l2": 2, "l1": torch.inf}[norm]
    lengths = ahead / torch.linalg.vector_norm(slopes, ord=order, dim=2)
    lengths[torch.arange(count), labels] = torch.inf
    return LinearWorld(classifier, inputs / lengths.amin(1, keepdim=True), labels)
