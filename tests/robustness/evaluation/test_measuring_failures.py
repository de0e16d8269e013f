"""Measurements that go wrong: models that fail, time that runs out, answers that are none; the card tells of it."""

import dataclasses

import pytest
import torch
from torch import nn

from garrison.core.errors import UsageError
from garrison.core.robustness_card import Card
from garrison.robustness.budgets import parsed
from garrison.robustness.classifier import Classifier, of_module
from garrison.robustness.evaluation.clock import Clock
from garrison.robustness.evaluation.measuring import measure
from garrison.robustness.evaluation.request import Request, parts
from tests.robustness.conftest import Digits
from tests.robustness.evaluation.test_measuring import LINF, MODEL, images, model_with


def asked(module: nn.Module, digits: Digits, **changes: object) -> Card:
    wanted = {"budgets": LINF, "effort": "quick", "samples": 20, "parts": parts(["evasion"]), **changes}
    return measure(of_module(module, 10), images(digits), Request(**wanted), described=MODEL)  # type: ignore[arg-type]


class Decisive(nn.Module):
    """Autograd finds no way through it at all."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return nn.functional.one_hot(self.network(inputs).argmax(1), 10).float()


def test_a_model_that_autograd_does_not_pass_through_is_doubted(digits: Digits, digits_network: nn.Module) -> None:
    card = asked(Decisive(digits_network), digits)
    assert card.evasion
    assert "zero-gradients" in {check.name for check in card.checks if check.verdict == "failed"}


class Failing(nn.Module):
    def __init__(self, network: nn.Module, passes: int) -> None:
        super().__init__()
        self.network = network
        self.passes = passes

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        self.passes -= 1
        if self.passes < 0:
            raise RuntimeError("out of memory\nand more")
        found: torch.Tensor = self.network(inputs)
        return found


def test_a_model_that_fails_on_the_way_leaves_a_card_that_is_not_complete(
    digits: Digits, digits_network: nn.Module
) -> None:
    card = asked(Failing(digits_network, 40), digits)
    assert not card.complete
    assert card.clean_accuracy.value > 0.9
    assert {one.what: one.why for one in card.omitted}["evasion"] == "it failed: RuntimeError: out of memory"


class Overflowing(nn.Module):
    """No numbers for what has been moved off the grid of the data."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        off = ((inputs * 16 - (inputs * 16).round()).abs() > 1e-3).flatten(1).any(1, keepdim=True)
        return torch.where(off, torch.nan, self.network(inputs))


def test_what_is_no_number_is_no_right_answer(digits: Digits, digits_network: nn.Module) -> None:
    card = asked(Overflowing(digits_network), digits)
    assert card.evasion[0].robust_accuracy.count == 0


def test_time_ends_the_first_batch_too(
    digits: Digits, digits_network: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes = [0]

    def over(self: Clock) -> bool:
        passes[0] += 1
        return passes[0] > 30

    monkeypatch.setattr(Clock, "over", over)
    card = asked(digits_network, digits)
    assert card.evasion == ()
    assert "time" in {one.what: one.why for one in card.omitted}["evasion"]


def test_what_nobody_could_doubt_is_not_vouched_for(
    digits: Digits, digits_network: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[str] = []
    monkeypatch.setattr(Clock, "stage", lambda self, name, share: begun.append(name))
    monkeypatch.setattr(Clock, "over", lambda self: begun[-1].startswith("doubts"))
    card = asked(digits_network, digits)
    assert card.evasion
    assert "not-doubted" in {check.name for check in card.checks if check.verdict == "failed"}


def test_an_accuracy_that_time_cut_short_is_of_what_was_asked(
    digits: Digits, digits_network: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes = [0]

    def over(self: Clock) -> bool:
        passes[0] += 1
        return passes[0] > 0

    monkeypatch.setattr(Clock, "over", over)
    assert asked(digits_network, digits).data.used == 256


def test_inputs_that_are_there_twice_are_said(digits: Digits, digits_network: nn.Module) -> None:
    data = images(digits)
    repeated = dataclasses.replace(data, inputs=data.inputs[:10].repeat(4, 0), labels=data.labels[:10].repeat(4))
    request = Request(budgets=LINF, effort="quick", samples=20, parts=parts(["evasion"]))
    card = measure(of_module(digits_network, 10), repeated, request, described=MODEL)
    assert "distinct-inputs" in {check.name for check in card.checks if check.verdict == "failed"}


def test_a_budget_that_is_given_twice_is_one(digits: Digits, digits_network: nn.Module) -> None:
    card = asked(digits_network, digits, budgets=(parsed("linf:8/255"), parsed("linf:0.03137255")), samples=2)
    assert len(card.evasion) == 1


def test_labels_of_an_endpoint_that_count_from_one_are_refused(digits: Digits, digits_network: nn.Module) -> None:
    @torch.no_grad()
    def forward(inputs: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.pad(digits_network(inputs), (0, 1), value=-99.0)

    data = dataclasses.replace(images(digits), labels=digits.test_labels.numpy() + 1)
    classifier = Classifier(forward, 11, differentiable=False, counted=True)
    with pytest.raises(UsageError, match="off by one"):
        measure(classifier, data, Request(budgets=LINF, samples=50), described=model_with(access="scores"))
