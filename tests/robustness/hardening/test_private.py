"""Private training bounds what the model tells of anyone, and says what that costs."""

import sys

import pytest
import torch
from torch import nn

from garrison.core.errors import UsageError
from garrison.robustness.hardening import Private, private_training
from tests.robustness.conftest import Digits, trained


@pytest.fixture(scope="module")
def overfitted(digits: Digits) -> nn.Module:
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 48), nn.ReLU(), nn.Linear(48, 10))
    return trained(model, digits.train[:600], digits.train_labels[:600], epochs=60)


def private(digits: Digits, model: nn.Module, **settings: float) -> Private:
    return private_training(
        model,
        digits.train[:600],
        digits.train_labels[:600],
        classes=10,
        test=(digits.test[:300], digits.test_labels[:300]),
        seed=0,
        **{"epsilon": 8.0, "epochs": 12, "batch": 64, "rate": 1e-2} | settings,  # type: ignore[arg-type]
    )


@pytest.fixture(scope="module")
def found(digits: Digits, overfitted: nn.Module) -> Private:
    pytest.importorskip("opacus")
    return private(digits, overfitted)


def test_it_spends_no_more_than_it_may(found: Private) -> None:
    assert 0 < found.epsilon <= 8.05
    assert found.delta == pytest.approx(0.1 / 600)
    assert found.noise > 0


def test_members_are_harder_to_tell_and_accuracy_is_lost(found: Private) -> None:
    assert found.after.membership_auc.value < found.before.membership_auc.value
    assert found.after.clean.value > 0.6
    assert found.clean_points_lost > 0


def test_the_result_is_an_ordinary_module(digits: Digits, found: Private) -> None:
    assert type(found.model) is nn.Sequential
    assert found.model(digits.test[:2]).shape == (2, 10)
    assert not found.model.training


def test_batch_normalisation_is_replaced_and_told(digits: Digits) -> None:
    pytest.importorskip("opacus")
    model = nn.Sequential(nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(288, 10))
    assert private(digits, model, epochs=1).changes == ("1: BatchNorm2d -> GroupNorm",)
    assert isinstance(model[1], nn.BatchNorm2d)


def test_what_cannot_be_trained_is_said(digits: Digits, overfitted: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(10))
            self.layer = nn.Linear(64, 10)

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            scores: torch.Tensor = self.layer(inputs.flatten(1)) * self.scale
            return scores

    with pytest.raises(UsageError, match="delta between 0 and 1"):
        private(digits, overfitted, delta=2.0)
    with pytest.raises(UsageError, match="reset_parameters"):
        private(digits, Scaled())
    monkeypatch.setitem(sys.modules, "opacus", None)
    with pytest.raises(UsageError, match="pip install opacus"):
        private(digits, overfitted)
