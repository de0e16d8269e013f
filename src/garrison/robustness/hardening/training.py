"""The training loop that hardening shares."""

import copy
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from garrison.core.errors import GarrisonError, UsageError
from garrison.robustness.attacks.attack import Progress, generator
from garrison.robustness.hardening.averaging import Average
from garrison.robustness.hardening.checkpoints import Checkpoint
from garrison.robustness.hardening.objectives import Objective
from garrison.robustness.hardening.recipe import Epoch, Recipe

COLLAPSED = 0.5
"""Of the best robust accuracy: an epoch below it, while clean accuracy holds, has overfitted catastrophically."""
STEPS_AFTER_COLLAPSE = 3


@dataclass(frozen=True, eq=False)
class Sets:
    """What a model is trained and chosen with."""

    inputs: Tensor
    labels: Tensor
    validation: Tensor
    validation_labels: Tensor
    extra: Tensor | None = None
    extra_labels: Tensor | None = None
    """Given, or the labels that a standard model decides (Carmon et al. 2019)."""


def split(inputs: Tensor, labels: Tensor, recipe: Recipe, seed: int) -> Sets:
    """Hold back validation data, at random."""
    held = max(1, min(round(recipe.validation_share * len(inputs)), len(inputs) - 1))
    if len(inputs) < 2 or recipe.validation_share == 0:
        raise UsageError("no validation data: give some, or a validation_share above 0")
    order = torch.randperm(len(inputs), generator=generator(seed, torch.device("cpu"))).to(inputs.device)
    back, kept = order[:held], order[held:]
    return Sets(inputs[kept], labels[kept], inputs[back], labels[back])


def trained(
    model: nn.Module,
    sets: Sets,
    objective: Objective,
    recipe: Recipe,
    *,
    seed: int,
    checkpoint: Path | None = None,
    progress: Progress | None = None,
) -> tuple[nn.Module, tuple[Epoch, ...]]:
    """A trained copy of the model, with the weights of its best epoch, in evaluation mode; and what was seen.

    Every epoch has random numbers of its own, so that a training that goes on from a checkpoint ends where one that
    was not interrupted does. Mixed precision (bfloat16) is used on CUDA.
    """
    device = next((parameter.device for parameter in model.parameters()), None)
    if device is None:
        raise UsageError("the model has no parameters to train")
    model = copy.deepcopy(model)
    for parameter in model.parameters():
        parameter.requires_grad_()
    optimizer = _optimizer(model, recipe)
    average = Average(model, recipe.averaging)
    best = copy.deepcopy(model)
    log: list[Epoch] = []
    steps = recipe.steps
    file = None
    if checkpoint is not None:
        identity = asdict(recipe) | {
            "objective": repr(objective),
            "seed": seed,
            "inputs": [*sets.inputs.shape],
            "labels": int(sets.labels.sum()),
            "extra": 0 if sets.extra is None else len(sets.extra),
        }
        file = Checkpoint(checkpoint, identity)
        earlier = file.read({"model": model, "average": average.model, "best": best}, optimizer)
        if earlier is not None:
            log, steps = earlier
    batches = math.ceil(len(sets.inputs) / _own(recipe, sets))
    for number in range(len(log), recipe.epochs):
        if recipe.patience and _stale(log) >= recipe.patience:
            break
        noise = generator(seed * 100_003 + number, device)
        losses = []
        with _own_randomness(seed + number, device):
            model.train()
            for batch, (inputs, labels) in enumerate(_batches(sets, recipe, seed * 100_003 + number)):
                done = number * batches + batch
                share = min(1.0, (done + 1) / max(1.0, recipe.warm_up * recipe.epochs * batches))
                for group in optimizer.param_groups:
                    group["lr"] = recipe.highest_rate * _rate_share(done, recipe.epochs * batches)
                with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
                    loss = objective.loss(
                        model, inputs.to(device), labels.to(device), share=share, steps=steps, noise=noise
                    )
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                average.update(model, done)
                losses.append(float(loss.detach()))
                if not math.isfinite(losses[-1]):
                    raise GarrisonError(f"the loss is {losses[-1]} in epoch {number + 1}: lower the rate")
                if progress:
                    progress((done + 1) / (recipe.epochs * batches))
            chosen = average.model.eval()
            clean, robust = _validated(chosen, sets, objective, recipe, seed)
        highest = max((epoch.robust for epoch in log), default=0.0)
        note = ""
        if robust >= highest:
            best.load_state_dict(chosen.state_dict())
        elif steps == 1 and robust < COLLAPSED * highest:
            note = f"catastrophic overfitting: the best weights restored, {STEPS_AFTER_COLLAPSE} steps from here on"
            steps = STEPS_AFTER_COLLAPSE
            model.load_state_dict(best.state_dict())
            average = Average(model, recipe.averaging)
            optimizer = _optimizer(model, recipe)
        log.append(Epoch(number + 1, sum(losses) / len(losses), clean, robust, note))
        if file:
            states = {"model": model.state_dict(), "average": average.model.state_dict(), "best": best.state_dict()}
            file.write(states, optimizer, log, steps)
    return best.eval(), tuple(log)


def _optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(
            model.parameters(), recipe.highest_rate, momentum=0.9, nesterov=True, weight_decay=recipe.weight_decay
        )
    return torch.optim.AdamW(model.parameters(), recipe.highest_rate, weight_decay=recipe.weight_decay)


def _rate_share(done: int, whole: int) -> float:
    """Linearly up over the first fifth, then linearly down to zero."""
    position = (done + 1) / whole
    return min(position / 0.2, max(1 - position, 0.5 / whole) / 0.8)


def _own(recipe: Recipe, sets: Sets) -> int:
    """Of a batch, what comes from the training data proper."""
    extra = sets.extra is not None and len(sets.extra) > 0
    return max(1, round(recipe.batch * (1 - recipe.extra_share))) if extra else recipe.batch


def _batches(sets: Sets, recipe: Recipe, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    shuffling = generator(seed, torch.device("cpu"))
    own = _own(recipe, sets)
    for rows in torch.split(torch.randperm(len(sets.inputs), generator=shuffling), own):
        rows = rows.to(sets.inputs.device)
        inputs, labels = sets.inputs[rows], sets.labels[rows]
        if sets.extra is not None and sets.extra_labels is not None and own < recipe.batch:
            more = torch.randint(len(sets.extra), (recipe.batch - own,), generator=shuffling).to(sets.extra.device)
            inputs = torch.cat([inputs, sets.extra[more].to(inputs.device)])
            labels = torch.cat([labels, sets.extra_labels[more].to(labels.device)])
        yield inputs, labels


def _validated(model: nn.Module, sets: Sets, objective: Objective, recipe: Recipe, seed: int) -> tuple[float, float]:
    """Clean and robust accuracy on validation data, each epoch on the same inputs with the same noise."""
    device = next(model.parameters()).device
    inputs = sets.validation[: recipe.validated_on].to(device)
    labels = sets.validation_labels[: recipe.validated_on].to(device)
    noise = generator(seed, device)
    clean = robust = 0
    for some, their in zip(torch.split(inputs, 256), torch.split(labels, 256), strict=True):
        with torch.no_grad():
            clean += int((model(some).argmax(1) == their).sum())
        robust += int(objective.correct(model, some, their, noise).sum())
    return clean / len(inputs), robust / len(inputs)


def _stale(log: list[Epoch]) -> int:
    """Epochs since the best one."""
    robust = [epoch.robust for epoch in log]
    return len(robust) - 1 - max(range(len(robust)), key=robust.__getitem__) if robust else 0


@contextmanager
def _own_randomness(seed: int, device: torch.device) -> Iterator[None]:
    """Dropout and the like draw from the global generator: it is seeded here, and put back afterwards."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield
