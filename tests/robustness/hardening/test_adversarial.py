"""Adversarial training buys robustness, says what it cost, and can be interrupted."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from garrison.core.errors import GarrisonError, UsageError
from garrison.core.robustness_card import Budget
from garrison.robustness.attacks.pgd import PGD
from garrison.robustness.hardening import Hardened, Recipe, adversarial_training, trades, training
from tests.robustness.conftest import Digits, network

BUDGET = Budget(norm="linf", epsilon=0.1)
QUICK = Recipe(epochs=6, steps=3, batch=64, averaging=0.9, validated_on=60)


def harden(digits: Digits, model: nn.Module, **changed: Any) -> Hardened:
    settings: dict[str, Any] = {
        "budget": BUDGET,
        "classes": 10,
        "test": (digits.test[:150], digits.test_labels[:150]),
        "seed": 0,
        "recipe": QUICK,
        "attacks": [PGD(norm="linf", steps=10)],
    }
    inputs = changed.pop("inputs", digits.train[:1000])
    labels = changed.pop("labels", digits.train_labels[:1000])
    return adversarial_training(model, inputs, labels, **(settings | changed))


@pytest.fixture(scope="module")
def hardened(digits: Digits, digits_network: nn.Module) -> Hardened:
    return harden(digits, digits_network)


def test_robust_accuracy_rises_for_few_clean_points(hardened: Hardened) -> None:
    assert hardened.robust_points_gained > 8
    assert hardened.clean_points_lost < 5
    assert hardened.before.attacks == hardened.after.attacks == "pgd"
    assert hardened.after.robust.of == 150
    assert [epoch.number for epoch in hardened.log] == [1, 2, 3, 4, 5, 6]


def test_the_model_that_was_given_stays(digits: Digits, digits_network: nn.Module, hardened: Hardened) -> None:
    before, after = hardened.classifiers()
    assert torch.equal(before.scores(digits.test[:5]), digits_network(digits.test[:5]))
    assert not torch.equal(before.scores(digits.test[:5]), after.scores(digits.test[:5]))
    assert not hardened.model.training


def test_trades_too(digits: Digits, digits_network: nn.Module) -> None:
    found = trades(
        digits_network,
        digits.train[:600],
        digits.train_labels[:600],
        budget=Budget(norm="l2", epsilon=0.6),
        classes=10,
        test=(digits.test[:100], digits.test_labels[:100]),
        seed=0,
        recipe=dataclasses.replace(QUICK, epochs=3),
    )
    assert found.before.attacks == "apgd-ce + apgd-dlr"
    assert found.robust_points_gained > 5
    assert found.clean_points_lost < 5


class Interrupted(Exception):
    pass


def test_an_interrupted_training_ends_where_another_does(
    digits: Digits, digits_network: nn.Module, hardened: Hardened, tmp_path: Path
) -> None:
    def interrupt(share: float) -> None:
        if share > 0.5:
            raise Interrupted

    file = tmp_path / "training.safetensors"
    with pytest.raises(Interrupted):
        harden(digits, digits_network, checkpoint=file, progress=interrupt)
    resumed = harden(digits, digits_network, checkpoint=file)
    assert resumed.log == hardened.log
    assert same(resumed.model, hardened.model)
    assert list(tmp_path.iterdir()) == [file]
    with pytest.raises(UsageError, match="another training"):
        harden(digits, digits_network, checkpoint=file, seed=1)
    file.write_bytes(b"no checkpoint")
    with pytest.raises(UsageError, match="no checkpoint"):
        harden(digits, digits_network, checkpoint=file)


def same(one: nn.Module, other: nn.Module) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))


def test_extra_data_get_the_labels_that_the_model_decides(digits: Digits, digits_network: nn.Module) -> None:
    recipe = dataclasses.replace(QUICK, epochs=1)
    extra = digits.train[1000:]
    decided = digits_network(extra).argmax(1)
    pseudo, given, without = (
        harden(digits, digits_network, recipe=recipe, extra=more) for more in ((extra, None), (extra, decided), None)
    )
    assert same(pseudo.model, given.model)
    assert not same(pseudo.model, without.model)


def test_the_fast_variant_notices_catastrophic_overfitting(digits: Digits, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = iter([(0.9, 0.6), (0.95, 0.1), (0.9, 0.5)])
    monkeypatch.setattr(training, "_validated", lambda *_: next(seen))
    found = harden(digits, network(), recipe=dataclasses.replace(QUICK, epochs=3, steps=1))
    assert [bool(epoch.note) for epoch in found.log] == [False, True, False]
    assert "catastrophic overfitting" in found.log[1].note


def test_training_stops_when_robustness_no_longer_rises(digits: Digits, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = iter([(0.9, 0.6), (0.95, 0.5), (0.9, 0.5)])
    monkeypatch.setattr(training, "_validated", lambda *_: next(seen))
    found = harden(digits, network(), recipe=dataclasses.replace(QUICK, patience=1))
    assert [epoch.robust for epoch in found.log] == [0.6, 0.5]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"budget": Budget(norm="l1", epsilon=1), "attacks": None}, "linf and l2"),
        ({"budget": Budget(norm="l2", epsilon=1)}, "measures in linf"),
        ({"inputs": torch.full((4, 1, 8, 8), torch.nan), "labels": torch.zeros(4).long()}, "NaN"),
        ({"inputs": torch.full((4, 1, 8, 8), 2.0), "labels": torch.zeros(4).long()}, "not 0 to 1"),
        ({"inputs": torch.zeros((4, 1, 8, 8)), "labels": torch.full((4,), 10)}, "from 0 to 9"),
        ({"inputs": torch.zeros((0, 1, 8, 8)), "labels": torch.zeros(0).long()}, "0 inputs"),
        ({"inputs": torch.zeros((1, 1, 8, 8)), "labels": torch.zeros(1).long()}, "no validation data"),
        ({"attacks": []}, "no attack"),
    ],
)
def test_wrong_use_is_said(digits: Digits, digits_network: nn.Module, changed: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        harden(digits, digits_network, **changed)


def test_a_loss_that_diverges_is_said(digits: Digits, digits_network: nn.Module) -> None:
    broken = network()
    with torch.no_grad():
        next(broken.parameters()).fill_(torch.inf)
    with pytest.raises(GarrisonError, match="lower the rate"):
        harden(digits, broken)


@pytest.mark.parametrize("setting", [{"epochs": 0}, {"averaging": 1.0}, {"rate": -1.0}])
def test_settings_that_make_no_sense(setting: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        Recipe(**setting)
