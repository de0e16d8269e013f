"""Detectors of inputs, against attacks that do not know of them and one that does."""

import dataclasses
from typing import TYPE_CHECKING

from garrison.core.errors import UsageError
from garrison.robustness.data import Data
from garrison.robustness.detection.evaluate import evaluate
from garrison.robustness.detection.reopened import reopened
from garrison.robustness.evaluation.plan import made
from garrison.robustness.evaluation.stages.stage import Partial
from garrison.robustness.evaluation.working import UNASKED, Working

if TYPE_CHECKING:
    from garrison.robustness.attacks.attack import Attack

_FAR = 3.0
"""How much farther than the budget the smallest change may go: C&W looks for it without a budget."""


def applies(working: Working) -> str:
    if not working.request.detectors:
        return UNASKED
    if not working.plan.budgets:
        return "detectors are measured under a budget (--budget)"
    return "" if working.classifier.differentiable else "the model gives no gradients"


def run(working: Working, partial: Partial) -> None:
    """Fill the card's detection."""
    opened = {}
    for directory in working.request.detectors:
        detector, stored = reopened(directory)
        opened[f"{stored.card.kind} ({directory})"] = detector
        if stored.card.data_sha256 and stored.card.data_sha256 == working.data.sha256:
            working.notes.append(
                f"The detector {directory} was fitted and calibrated with the data that it is measured on: give others."
            )
        if stored.card.model_sha256 and stored.card.model_sha256 != working.described.sha256:
            raise UsageError(f"{directory}: is a detector for another model, {stored.card.model}")
    budget = working.plan.budgets[0]
    attacks: list[tuple[Attack, float]] = []
    for name, settings, factor in (
        ("apgd-ce", {"steps": 40}, 1.0),
        ("carlini-wagner", {}, _FAR),
        ("square", {"queries": working.plan.effort.queries}, 1.0),
    ):
        attack = made(name, budget.norm, settings, optional=True)
        if attack is not None:
            attacks.append((attack, budget.epsilon * factor))
    count = working.plan.effort.stage_inputs
    found = evaluate(
        opened,
        working.classifier,
        _some(working.data, working, count),
        attacks,
        adaptive=budget.epsilon if budget.norm == "linf" else None,
        seed=working.request.seed,
    )
    if not found:
        working.omit("detectors", f"no attack made an input wrong within {budget}, so that there was nothing to detect")
    working.add("detection", found)
    working.clock.told(1.0)


def _some(data: Data, working: Working, count: int) -> Data:
    places = working.order[:count].numpy()
    return dataclasses.replace(data, inputs=data.inputs[places], labels=data.labels[places], groups={})  # type: ignore[call-overload]
