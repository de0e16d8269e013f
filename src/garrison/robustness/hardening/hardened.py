"""A hardened model, and what hardening changed."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from garrison.core.errors import UsageError
from garrison.core.robustness_card import Budget, Rate, rate
from garrison.robustness.attacks.apgd import APGDCE, APGDDLR
from garrison.robustness.attacks.attack import Attack
from garrison.robustness.classifier import Classifier, of_module
from garrison.robustness.hardening.recipe import Epoch


@dataclass(frozen=True)
class Measured:
    """A model's accuracy on inputs that it was not trained on, and under attacks."""

    clean: Rate
    robust: Rate
    """An upper bound: a stronger attack may find more."""
    budget: Budget
    attacks: str


@dataclass(frozen=True, eq=False)
class Hardened:
    """A model and its before and after, measured on the same inputs by the same attack."""

    model: nn.Module
    """In evaluation mode."""
    original: nn.Module
    """As it was given, unchanged."""
    classes: int
    low: float
    high: float
    before: Measured
    after: Measured
    log: tuple[Epoch, ...] = ()
    naive: Measured | None = None
    """After, under an attack that does not know of the defence: how well it hides, not how well it protects."""

    @property
    def clean_points_lost(self) -> float:
        """Percentage points of clean accuracy; negative where it rose."""
        return 100 * (self.before.clean.value - self.after.clean.value)

    @property
    def robust_points_gained(self) -> float:
        """Percentage points of accuracy under the attack."""
        return 100 * (self.after.robust.value - self.before.robust.value)

    def classifiers(self) -> tuple[Classifier, Classifier]:
        """The model before and after, as attacks and report cards take it."""
        return (
            of_module(self.original, self.classes, low=self.low, high=self.high, name="before"),
            of_module(self.model, self.classes, low=self.low, high=self.high, name="after"),
        )


def attacks_for(budget: Budget, attacks: Sequence[Attack] | None) -> tuple[Attack, ...]:
    """What to measure with under a budget: Auto-PGD with both its losses, where nothing else is asked for."""
    chosen = (APGDCE(norm=budget.norm), APGDDLR(norm=budget.norm)) if attacks is None else tuple(attacks)
    if not chosen:
        raise UsageError("no attack to measure with")
    for attack in chosen:
        if attack.norm != budget.norm:
            raise UsageError(f"{attack.name} measures in {attack.norm}, the budget in {budget.norm}")
    return chosen


def measured(
    classifier: Classifier, inputs: Tensor, labels: Tensor, budget: Budget, *, attacks: Sequence[Attack], seed: int
) -> Measured:
    """Accuracy on `inputs` (n, *shape), as they are and under attacks: an input is robust if all of them fail."""
    inputs, labels = inputs.to(classifier.device), labels.to(classifier.device)
    left = torch.nonzero(classifier.labels(inputs) == labels).flatten()
    clean = len(left)
    for attack in attacks:
        if len(left):
            outcome = attack(classifier, inputs[left], labels[left], [budget.epsilon], seed=seed)
            left = left[~outcome.success[0]]
    names = " + ".join(attack.name for attack in attacks)
    return Measured(rate(clean, len(inputs)), rate(len(left), len(inputs)), budget, names)


def transferred(
    onto: Classifier,
    source: Classifier,
    inputs: Tensor,
    labels: Tensor,
    budget: Budget,
    *,
    attacks: Sequence[Attack],
    seed: int,
) -> tuple[Measured, Tensor, Tensor]:
    """Accuracy under attacks that know only `source`, and which inputs (n,) fool it, and both."""
    inputs, labels = inputs.to(onto.device), labels.to(onto.device)
    right = onto.labels(inputs) == labels
    fools_source, fools_both = torch.zeros_like(right), torch.zeros_like(right)
    for attack in attacks:
        outcome = attack(source, inputs, labels, [budget.epsilon], seed=seed)
        fools_source |= outcome.success[0]
        fools_both |= outcome.success[0] & (onto.labels(outcome.adversarial[0]) != labels)
    names = " + ".join(attack.name for attack in attacks)
    clean = rate(int(right.sum()), len(labels))
    left = rate(int((right & ~fools_both).sum()), len(labels))
    return Measured(clean, left, budget, f"{names}, unaware of the defence"), fools_source, fools_both


def checked(inputs: Tensor, labels: Tensor, classes: int, low: float, high: float, what: str) -> None:
    """Raise `UsageError` for data that nothing can be learned from or measured on."""
    if len(inputs) == 0 or len(inputs) != len(labels):
        raise UsageError(f"{what}: {len(inputs)} inputs with {len(labels)} labels")
    if not bool(torch.isfinite(inputs).all()):
        raise UsageError(f"{what}: inputs hold NaN or infinity")
    if float(inputs.min()) < low or float(inputs.max()) > high:
        raise UsageError(
            f"{what}: inputs go from {float(inputs.min()):g} to {float(inputs.max()):g}, not {low:g} to {high:g}"
        )
    if labels.is_floating_point() or int(labels.min()) < 0 or int(labels.max()) >= classes:
        raise UsageError(f"{what}: labels are not whole numbers from 0 to {classes - 1}")


def frozen_copy(model: nn.Module) -> nn.Module:
    """The model as it is now, in evaluation mode."""
    return copy.deepcopy(model).eval().requires_grad_(False)
