"""The Boundary attack: its walk gets nearer for as long as it may ask."""

import torch
from torch import nn

from garrison.robustness.attacks.boundary import Boundary
from garrison.robustness.classifier import of_module
from garrison.robustness.distances import distance
from tests.robustness.conftest import Digits


def test_more_questions_get_nearer(digits: Digits, digits_network: nn.Module) -> None:
    inputs, labels = digits.test[:10], digits.test_labels[:10]
    classifier = of_module(digits_network, 10)
    reached = []
    for queries in (20, 150, 600):
        outcome = Boundary(queries)(classifier, inputs, labels, [1e-3, 100.0], seed=0)
        assert outcome.success[1].all()
        reached.append(float(distance("l2", outcome.adversarial[1] - inputs).median()))
    assert reached[0] > reached[1] > reached[2]
    assert reached[2] < 0.75 * reached[0]


def test_a_walk_that_began_anywhere_ends_near(digits: Digits, digits_network: nn.Module) -> None:
    inputs, labels = digits.test[:10], digits.test_labels[:10]
    classifier = of_module(digits_network, 10)
    ends = [
        distance("l2", Boundary(800, start)(classifier, inputs, labels, [1e-3, 100.0], seed=0).adversarial[1] - inputs)
        for start in ("data", "noise")
    ]
    assert torch.stack(ends).median(1).values.max() < 1.5
