"""Attacks on a model whose answer is known: what they must find, and what they cannot find.

A linear model of two classes has an exact distance from each input to its boundary (in L-infinity the margin over the
L1 norm of the weights, in L2 over the L2 norm, in L1 over the largest weight). A little beyond it an attack with enough
steps finds every input, a little before it none.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from garrison.core.robustness_card import Check, Norm
from garrison.robustness.attacks.attack import Attack, generator
from garrison.robustness.classifier import Classifier

_INPUTS = 20
_BEYOND, _BEFORE = 1.15, 0.9
_ENOUGH = 0.9
"""Share of planted weaknesses that has to be found: the last percent of a distance costs most steps."""


def checks(attacks: Sequence[Attack], shape: tuple[int, ...], norm: Norm, seed: int) -> tuple[Check, ...]:
    """Whether these attacks, with these settings, find what is there and nothing that is not."""
    known = [attack for attack in attacks if attack.access == "gradients" and norm != "l0"]
    if not known:
        return ()
    random = generator(seed, torch.device("cpu"))
    weights = torch.randn(shape, generator=random)
    length = {"linf": weights.abs().sum(), "l2": weights.norm(), "l1": weights.abs().max()}[norm]
    epsilon = 0.05 if norm == "linf" else 0.05 * float(weights.numel()) ** 0.5
    if norm == "l1":
        epsilon = 0.2

    def score(batch: Tensor) -> Tensor:
        total: Tensor = ((batch - 0.5) * weights).flatten(1).sum(1) / length / epsilon
        return total

    inputs = torch.rand((_INPUTS, *shape), generator=random) * 0.2 + 0.4
    # Along the weights until the boundary is exactly the budget away.
    missing = (1 - score(inputs)) * length * epsilon / weights.square().sum()
    inputs = inputs + missing.view(-1, *[1] * len(shape)) * weights
    classifier = Classifier(lambda batch: torch.stack([-score(batch), score(batch)], 1), 2, name="linear")
    labels = torch.ones(_INPUTS, dtype=torch.int64)
    found = torch.zeros(2, _INPUTS, dtype=torch.bool)
    for attack in known:
        found |= attack(classifier, inputs, labels, (epsilon * _BEFORE, epsilon * _BEYOND), seed=seed).success
    before, beyond = (int(row.sum()) for row in found)
    return (
        Check(
            name="planted-weakness",
            verdict="passed" if beyond >= _ENOUGH * _INPUTS else "failed",
            seen=f"of {_INPUTS} weaknesses planted {_BEYOND - 1:.0%} within the budget, {beyond} were found",
            advice="" if beyond >= _ENOUGH * _INPUTS else "give attacks more steps",
        ),
        Check(
            name="nothing-from-nothing",
            verdict="failed" if before else "passed",
            seen=f"where there is provably nothing to find, {before} of {_INPUTS} inputs were found",
            advice="an attack goes beyond its budget; do not use its results" if before else "",
        ),
    )
