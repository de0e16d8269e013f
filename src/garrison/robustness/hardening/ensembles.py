"""Several models that decide together."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from garrison.core.errors import UsageError
from garrison.core.robustness_card import Budget, Rate, rate
from garrison.robustness.attacks.attack import Attack
from garrison.robustness.classifier import of_module
from garrison.robustness.hardening.hardened import (
    Hardened,
    attacks_for,
    checked,
    frozen_copy,
    measured,
    transferred,
)


class Ensemble(nn.Module):
    """The mean of its members' logits."""

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, inputs: Tensor) -> Tensor:
        return torch.stack([member(inputs) for member in self.members]).mean(0)


@dataclass(frozen=True, eq=False, kw_only=True)
class Ensembled(Hardened):
    """An ensemble, beside its first member."""

    disagreement: Rate
    """Test inputs on which not all members decide alike; of an ensemble that never disagrees nothing is gained."""
    fooled_too: Rate
    """Inputs that fool the first member and the ensemble too, of those that fool the first member."""


def ensemble(
    models: Sequence[nn.Module],
    *,
    budget: Budget,
    classes: int,
    test: tuple[Tensor, Tensor],
    seed: int,
    low: float = 0.0,
    high: float = 1.0,
    attacks: Sequence[Attack] | None = None,
) -> Ensembled:
    """Average the logits of models, and measure against an attack on all of them together.

    `naive` is what is left under an attack on the first member alone. The difference is what an attacker gains who
    knows the ensemble; published ensembles rarely keep what they seem to gain (He et al. 2017).
    """
    if len(models) < 2:
        raise UsageError("an ensemble has at least two members")
    checked(*test, classes, low, high, "test data")
    chosen = attacks_for(budget, attacks)
    members = [frozen_copy(model) for model in models]
    joint = Ensemble(members)
    together = of_module(joint, classes, low=low, high=high)
    first = of_module(members[0], classes, low=low, high=high)
    inputs, labels = test[0].to(first.device), test[1].to(first.device)
    decisions = torch.stack([of_module(member, classes).labels(inputs) for member in members])
    apart = int((decisions != decisions[0]).any(0).sum())
    naive, fools_first, fools_both = transferred(together, first, inputs, labels, budget, attacks=chosen, seed=seed)
    return Ensembled(
        joint,
        members[0],
        classes,
        low,
        high,
        measured(first, inputs, labels, budget, attacks=chosen, seed=seed),
        measured(together, inputs, labels, budget, attacks=chosen, seed=seed),
        naive=naive,
        disagreement=rate(apart, len(labels)),
        fooled_too=rate(int(fools_both.sum()), int(fools_first.sum())),
    )
