"""One perturbation for all: learnt on some inputs, judged on others."""

from typing import Literal

import pytest
import torch

from garrison.robustness.attacks.conformance import check_attack
from garrison.robustness.attacks.universal import Universal
from garrison.robustness.classifier import Classifier
from tests.robustness.attacks.support import BUDGETS
from tests.robustness.conftest import Digits


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_it_is_an_attack(norm: Literal["linf", "l2"]) -> None:
    check_attack(Universal(norm=norm, steps=20), epsilons=BUDGETS[norm])


@pytest.mark.parametrize(("norm", "epsilon"), [("linf", 0.3), ("l2", 2.4)])
def test_one_perturbation_fools_many_more_than_noise_does(
    norm: Literal["linf", "l2"], epsilon: float, digits_classifier: Classifier, digits: Digits
) -> None:
    inputs, labels = digits.test[:200], digits.test_labels[:200]
    outcome = Universal(norm=norm, steps=60)(digits_classifier, inputs, labels, [epsilon], seed=0)
    right = digits_classifier.labels(inputs) == labels
    noise = torch.rand(inputs.shape[1:], generator=torch.Generator().manual_seed(0)).sub(0.5).sign() * epsilon
    noise = noise if norm == "linf" else noise / 8
    by_noise = (digits_classifier.labels(digits_classifier.clip(inputs + noise)) != labels) & right
    found = outcome.success[0] & right
    assert float(found.sum()) > 1.5 * float(by_noise.sum()) + 20
    assert int(outcome.found_after[0, found].min()) > 1


def test_each_half_gets_the_perturbation_of_the_other() -> None:
    """Inputs in the middle of wide bounds, where nothing is clipped: there are two perturbations, one for each half."""
    inputs = torch.randn(40, 6, generator=torch.Generator().manual_seed(0))
    weights = torch.tensor([[1.0, -1.0]] + [[0.0, 0.0]] * 5)
    classifier = Classifier(lambda x: x @ weights, 2, low=-50, high=50)
    labels = classifier.labels(inputs)
    outcome = Universal(norm="l2", steps=30)(classifier, inputs, labels, [6.0], seed=1)
    change = (outcome.adversarial[0] - inputs)[outcome.success[0]]
    kinds = {tuple(round(value, 2) for value in row) for row in change.tolist()}
    assert 1 <= len(kinds) <= 2
    assert float(outcome.success.float().mean()) > 0.3
