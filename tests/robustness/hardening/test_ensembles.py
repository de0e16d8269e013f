"""Ensembles are measured against an attacker who knows all members."""

import pytest
import torch
from torch import nn

from garrison.core.errors import UsageError
from garrison.core.robustness_card import Budget
from garrison.robustness.attacks.pgd import PGD
from garrison.robustness.hardening import ensemble
from tests.robustness.conftest import Digits, network, trained

BUDGET = Budget(norm="linf", epsilon=0.15)


def test_an_attack_on_all_members_leaves_less_than_one_on_the_first(digits: Digits, digits_network: nn.Module) -> None:
    other = trained(network(1), digits.train, digits.train_labels, epochs=6, seed=1)
    found = ensemble(
        [digits_network, other],
        budget=BUDGET,
        classes=10,
        test=(digits.test[:150], digits.test_labels[:150]),
        seed=0,
        attacks=[PGD(norm="linf", steps=10)],
    )
    assert found.naive is not None
    assert found.before.robust.value < found.naive.robust.value
    assert found.after.robust.value < found.naive.robust.value
    assert 0 < found.disagreement.value < 0.3
    assert 0 < found.fooled_too.value < 1
    mean = (digits_network(digits.test[:5]) + other(digits.test[:5])) / 2
    assert torch.allclose(found.model(digits.test[:5]), mean)


def test_twins_never_disagree_and_protect_nothing(digits: Digits, digits_network: nn.Module) -> None:
    found = ensemble(
        [digits_network, digits_network],
        budget=BUDGET,
        classes=10,
        test=(digits.test[:60], digits.test_labels[:60]),
        seed=0,
        attacks=[PGD(norm="linf", steps=5)],
    )
    assert found.disagreement.count == 0
    assert found.fooled_too.value == 1
    assert found.robust_points_gained == 0


def test_one_model_is_no_ensemble(digits: Digits, digits_network: nn.Module) -> None:
    with pytest.raises(UsageError, match="two members"):
        ensemble([digits_network], budget=BUDGET, classes=10, test=(digits.test, digits.test_labels), seed=0)
