"""Adversarial training: PGD-AT (Madry et al. 2018) and TRADES (Zhang et al. 2019)."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from garrison.core.errors import UsageError
from garrison.core.robustness_card import Budget
from garrison.robustness.attacks.attack import Attack, Progress
from garrison.robustness.classifier import of_module
from garrison.robustness.hardening import perturbing
from garrison.robustness.hardening.hardened import Hardened, attacks_for, checked, frozen_copy, measured
from garrison.robustness.hardening.objectives import Adversarial
from garrison.robustness.hardening.recipe import Recipe
from garrison.robustness.hardening.training import Sets, split, trained

Labelled = tuple[Tensor, Tensor]
"""Inputs (n, *shape) within the bounds, and their labels (n,)."""


def adversarial_training(
    model: nn.Module,
    inputs: Tensor,
    labels: Tensor,
    *,
    budget: Budget,
    classes: int,
    test: Labelled,
    seed: int,
    recipe: Recipe | None = None,
    validation: Labelled | None = None,
    extra: tuple[Tensor, Tensor | None] | None = None,
    low: float = 0.0,
    high: float = 1.0,
    attacks: Sequence[Attack] | None = None,
    checkpoint: Path | None = None,
    progress: Progress | None = None,
) -> Hardened:
    """Train a copy of the model, from the weights that it has, on the worst points found for each batch.

    `inputs` (n, *shape) with `labels` (n,) are trained on; on `test`, which has to be other data, the model is measured
    before and after, under `attacks` (Auto-PGD on both its losses unless given). A share of the training data is held
    back to choose the best epoch with, unless `validation` is given. `extra` data count for half of each batch; without
    labels they get those that the model decides before training. With `checkpoint`, a file that need not exist yet, an
    interrupted training goes on after its last whole epoch.

    The model trains on the device of its parameters, on CUDA in mixed precision. Raises `UsageError` for norms other
    than linf and l2, and for data outside of `low` to `high`.
    """
    objective = Adversarial(budget, low, high, (recipe or Recipe()).label_smoothing)
    return _hardened(
        model, inputs, labels, objective, classes, test, seed, recipe, validation, extra, attacks, checkpoint, progress
    )


def trades(
    model: nn.Module,
    inputs: Tensor,
    labels: Tensor,
    *,
    budget: Budget,
    classes: int,
    test: Labelled,
    seed: int,
    beta: float = 6.0,
    recipe: Recipe | None = None,
    validation: Labelled | None = None,
    extra: tuple[Tensor, Tensor | None] | None = None,
    low: float = 0.0,
    high: float = 1.0,
    attacks: Sequence[Attack] | None = None,
    checkpoint: Path | None = None,
    progress: Progress | None = None,
) -> Hardened:
    """As `adversarial_training`, but learn the inputs themselves, and to decide alike around them.

    The larger `beta`, the more robustness counts against clean accuracy; 1 to 6 are usual.
    """
    if beta <= 0:
        raise UsageError("beta has to be positive")
    objective = Adversarial(budget, low, high, (recipe or Recipe()).label_smoothing, beta)
    return _hardened(
        model, inputs, labels, objective, classes, test, seed, recipe, validation, extra, attacks, checkpoint, progress
    )


def _hardened(
    model: nn.Module,
    inputs: Tensor,
    labels: Tensor,
    objective: Adversarial,
    classes: int,
    test: Labelled,
    seed: int,
    recipe: Recipe | None,
    validation: Labelled | None,
    extra: tuple[Tensor, Tensor | None] | None,
    attacks: Sequence[Attack] | None,
    checkpoint: Path | None,
    progress: Progress | None,
) -> Hardened:
    budget, low, high = objective.budget, objective.low, objective.high
    recipe = recipe or Recipe()
    perturbing.check(budget)
    attacks = attacks_for(budget, attacks)
    checked(inputs, labels, classes, low, high, "training data")
    checked(*test, classes, low, high, "test data")
    original = frozen_copy(model)
    if validation is None:
        sets = split(inputs, labels, recipe, seed)
    else:
        checked(*validation, classes, low, high, "validation data")
        sets = Sets(inputs, labels, *validation)
    if extra is not None:
        sets = dataclasses.replace(sets, extra=extra[0], extra_labels=_labelled(original, extra, classes, low, high))
    hardened, log = trained(model, sets, objective, recipe, seed=seed, checkpoint=checkpoint, progress=progress)
    before, after = (
        measured(of_module(one, classes, low=low, high=high), *test, budget, attacks=attacks, seed=seed)
        for one in (original, hardened)
    )
    return Hardened(hardened, original, classes, low, high, before, after, log)


@torch.no_grad()
def _labelled(
    original: nn.Module, extra: tuple[Tensor, Tensor | None], classes: int, low: float, high: float
) -> Tensor:
    inputs, labels = extra
    if labels is None:
        device = next(original.parameters()).device
        decided = [original(some.to(device)).argmax(1) for some in torch.split(inputs, 512)]
        labels = torch.cat(decided) if decided else torch.zeros(0, dtype=torch.int64)
    checked(inputs, labels, classes, low, high, "extra data")
    return labels
