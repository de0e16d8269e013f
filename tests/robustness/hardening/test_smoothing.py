"""A smoothed classifier's guarantee: never more than the truth, and close to it."""

import math

import pytest
import torch
from torch import Tensor, nn

from garrison.core.errors import UsageError
from garrison.core.robustness_card import Budget
from garrison.robustness.attacks.pgd import PGD
from garrison.robustness.classifier import Classifier
from garrison.robustness.hardening import Recipe, SmoothedClassifier, smooth
from tests.robustness.conftest import Digits

NORMAL = torch.tensor([3.0, 4.0])
"""Of a half-space's border, 5 long."""


def half_space(inputs: Tensor) -> Tensor:
    side = inputs @ NORMAL
    return torch.stack([side, -side], 1)


@pytest.mark.parametrize("sigma", [0.25, 1.0])
def test_for_a_half_space_the_radius_comes_close_to_the_distance(sigma: float) -> None:
    inputs = torch.tensor([[0.2, 0.1], [-0.3, 0.1], [0.1, -0.3], [0.05, 0.0]]) * sigma * 4
    distances = (inputs @ NORMAL).abs() / 5
    found = SmoothedClassifier(Classifier(half_space, 2), sigma).certify(inputs, samples=20_000, seed=0)
    assert torch.equal(found.labels, (inputs @ NORMAL < 0).long())
    assert bool((found.radii <= distances).all())
    assert bool((found.radii >= 0.9 * distances - 0.03 * sigma).all())


def test_at_the_border_it_abstains() -> None:
    smoothed = SmoothedClassifier(Classifier(half_space, 2), 0.5)
    border = torch.tensor([[4.0, -3.0], [0.0, 0.0]])
    assert smoothed.predict(border, seed=0).tolist() == [-1, -1]
    found = smoothed.certify(border, seed=0)
    assert found.labels.tolist() == [-1, -1]
    assert found.radii.tolist() == [0.0, 0.0]


def test_a_constant_classifier_is_certified_as_far_as_the_samples_reach() -> None:
    smoothed = SmoothedClassifier(Classifier(lambda inputs: torch.eye(3)[torch.ones(len(inputs)).long()], 3), 2.0)
    assert smoothed.predict(torch.zeros(1, 2), seed=0).tolist() == [1]
    found = smoothed.certify(torch.zeros(1, 2), samples=1000, alpha=0.001, seed=0)
    # All votes: the exact bound is alpha to the power of 1/n.
    expected = 2.0 * float(
        torch.distributions.Normal(0, 1).icdf(torch.tensor(0.001 ** (1 / 1000), dtype=torch.float64))
    )
    assert found.radii.item() == pytest.approx(expected)


def test_certified_accuracy_falls_with_the_radius() -> None:
    inputs = torch.randn((40, 2), generator=torch.Generator().manual_seed(0))
    labels = (inputs @ NORMAL < 0).long()
    found = SmoothedClassifier(Classifier(half_space, 2), 0.5).certify(inputs, samples=200, seed=0)
    curve = found.accuracy(labels, [0.0, 0.3, 0.6, math.inf])
    heights = [point.y for point in curve.points]
    assert heights == sorted(heights, reverse=True)
    assert heights[0] > 0.7
    assert heights[-1] == 0


def test_the_same_seed_certifies_the_same() -> None:
    smoothed = SmoothedClassifier(Classifier(half_space, 2), 0.5, at_once=64)
    first, second = (smoothed.certify(torch.ones(2, 2) / 20, samples=150, seed=3) for _ in range(2))
    assert torch.equal(first.radii, second.radii)


def test_training_under_noise_makes_certificates(digits: Digits, digits_network: nn.Module) -> None:
    found = smooth(
        digits_network,
        digits.train[:800],
        digits.train_labels[:800],
        sigma=0.25,
        budget=Budget(norm="l2", epsilon=0.25),
        classes=10,
        test=(digits.test[:60], digits.test_labels[:60]),
        seed=0,
        samples=200,
        recipe=Recipe(epochs=4, batch=64, averaging=0.9),
        attacks=[PGD(norm="l2", steps=5)],
    )
    assert found.after.attacks == "certified"
    assert found.after.clean.value > 0.8
    assert found.after.robust.value > 0.5
    assert found.certified.points[0].y == found.after.clean.value
    plain = SmoothedClassifier(found.classifiers()[0], 0.25)
    before = plain.certify(digits.test[:60], samples=200, seed=0).accuracy(digits.test_labels[:60], [0.25])
    assert before.points[0].y < found.after.robust.value


def test_wrong_use_is_said(digits: Digits, digits_network: nn.Module) -> None:
    with pytest.raises(UsageError, match="sigma"):
        SmoothedClassifier(Classifier(half_space, 2), 0.0)
    with pytest.raises(UsageError, match="at least one sample"):
        SmoothedClassifier(Classifier(half_space, 2), 1.0).predict(torch.zeros(1, 2), samples=0, seed=0)
    with pytest.raises(UsageError, match="not linf"):
        smooth(
            digits_network,
            digits.train,
            digits.train_labels,
            sigma=0.25,
            budget=Budget(norm="linf", epsilon=0.1),
            classes=10,
            test=(digits.test, digits.test_labels),
            seed=0,
        )
