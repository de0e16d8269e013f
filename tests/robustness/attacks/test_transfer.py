"""Through a surrogate: what fools it is tried on the target, and only the target decides."""

from typing import Literal

import pytest
import torch
from torch import nn

from garrison.core.errors import UsageError
from garrison.robustness.attacks.conformance import check_attack, small_world
from garrison.robustness.attacks.transfer import Transfer
from garrison.robustness.classifier import Classifier, of_function, of_module
from tests.robustness.attacks.support import BUDGETS
from tests.robustness.conftest import Digits, network, trained


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_it_is_an_attack(norm: Literal["linf", "l2"]) -> None:
    check_attack(Transfer(small_world().classifier, norm=norm, steps=10), epsilons=BUDGETS[norm])


def test_it_is_one_when_it_learns_the_surrogate() -> None:
    check_attack(Transfer(training=30, steps=5), epsilons=BUDGETS["linf"])


@pytest.fixture
def target(digits_network: nn.Module) -> Classifier:
    """The network for the digits as a black box that gives decisions only."""

    def decide(inputs: object) -> object:
        with torch.no_grad():
            return digits_network(torch.as_tensor(inputs)).argmax(1).numpy()

    return of_function(decide, 10, outputs="labels", name="black box")


def robust(attack: Transfer, target: Classifier, digits: Digits, epsilon: float) -> float:
    inputs, labels = digits.test[:120], digits.test_labels[:120]
    before = target.asked
    outcome = attack(target, inputs, labels, [epsilon], seed=0)
    assert int(outcome.queries.sum()) == target.asked - before
    assert not outcome.gradients.any()
    assert torch.equal(target.labels(outcome.adversarial[0]) != labels, outcome.success[0])
    return 1 - float(outcome.success[0].float().mean())


def test_a_black_box_falls_to_what_fools_another_network(target: Classifier, digits: Digits) -> None:
    other = of_module(trained(network(7), digits.train[:600], digits.train_labels[:600], epochs=10, seed=3), 10)
    noise = torch.rand(120, 1, 8, 8, generator=torch.Generator().manual_seed(0)).sub(0.5).sign() * 0.2
    noisy = target.labels((digits.test[:120] + noise).clamp(0, 1)) == digits.test_labels[:120]
    assert robust(Transfer(other), target, digits, 0.2) < float(noisy.float().mean()) - 0.2


def test_a_surrogate_is_learnt_from_decisions(target: Classifier, digits: Digits) -> None:
    inputs, labels = digits.test[:120], digits.test_labels[:120]
    outcome = Transfer(training=150)(target, inputs, labels, [0.3], seed=0)
    assert float(outcome.success[0].float().mean()) > 0.4
    assert int(outcome.queries.max()) == 1 + 3 + 1  # clean, two rounds that double, and the attempt


def test_a_surrogate_must_fit(target: Classifier, digits: Digits) -> None:
    for surrogate in (target, Classifier(lambda x: x.flatten(1)[:, :3], 3)):
        with pytest.raises(UsageError, match="a surrogate needs gradients"):
            Transfer(surrogate)(target, digits.test[:2], digits.test_labels[:2], [0.1], seed=0)
