"""Auto-PGD: projected gradient descent that sets its own step (Croce & Hein 2020; for L1, 2021)."""

import itertools
import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from garrison.core.robustness_card import Norm
from garrison.robustness.attacks import losses
from garrison.robustness.attacks.attack import Progress
from garrison.robustness.attacks.geometry import (
    ascent,
    largest_signs,
    per_input,
    project,
    random_start,
)
from garrison.robustness.attacks.gradient import Batch, Climbed, GradientAttack

MOMENTUM = 0.75
"""Share of the step that goes where the gradient points; the rest goes where the last step went."""

RISES = 0.75
"""Share of the steps between two checkpoints that must raise the loss, for the step to stay as it is."""

FIRST_CHECKPOINT, SHORTER, SHORTEST = 0.22, 0.03, 0.06
"""The first checkpoint, how much sooner each next one comes, and how soon at most, in shares of all steps."""

L1_STAGES = ((3, 0.3), (2, 0.3), (1, 0.4))
"""In L1 the ball shrinks: its radius in budgets, and the share of all steps spent in it (Croce & Hein 2021, 4.3)."""

L1_CHECKPOINT = 0.04
"""How often the steps in L1 are reconsidered, in shares of the steps of a stage."""

L1_FIRST_SHARE = 0.2
"""Of the entries, those that the first steps in L1 move."""

L1_SPARSER = 1.5
"""A step in L1 moves so many times fewer entries than the best point has moved, and shrinks by as much."""

L1_STILL_SPARSER = 0.95
"""A best point with fewer than this share of the entries of the last one calls for the longest step again."""

L1_SHORTEST_STEP = 0.1
"""In radii."""


@dataclass(frozen=True, kw_only=True)
class _AutoPGD(GradientAttack):
    """Steps of Auto-PGD along losses that subclasses choose.

    What differs from the authors' code: an input leaves the batch at the first point that fools the model, points are
    projected exactly onto ball and bounds together, and the first count of rises starts from the loss of the start.
    """

    steps: int = 100
    restarts: int = 1
    samples: int = 1
    """Gradients to average at each step, for models that answer at random."""

    @abstractmethod
    def _climbs(self, batch: Batch) -> Sequence[Climbed]:
        """The losses to climb, one after the other."""

    def _attack(self, batch: Batch, noise: torch.Generator, progress: Progress) -> None:
        climbs = self._climbs(batch)
        runs = list(itertools.product(range(len(batch.epsilons)), climbs, range(self.restarts)))
        for done, (budget, climbed, _) in enumerate(runs):
            if done % (len(climbs) * self.restarts) == 0:
                batch.begin()
            self._run(batch, budget, climbed, noise)
            progress((done + 1) / len(runs))

    def _run(self, batch: Batch, budget: int, climbed: Climbed, noise: torch.Generator) -> None:
        rows, epsilon = batch.robust(budget), batch.epsilons[budget]
        if epsilon == 0 or not len(rows):
            return
        stages = L1_STAGES if self.norm == "l1" else ((1, 1.0),)
        steps = [math.ceil(share * self.steps) for _, share in stages[:-1]]
        steps.append(max(1, self.steps - sum(steps)))
        delta = random_start(self.norm, stages[0][0] * epsilon, batch.room, noise)[rows]
        for stage, ((radii, _), count) in enumerate(zip(stages, steps, strict=True)):
            delta = project(self.norm, delta, radii * epsilon, batch.room.at(rows))
            climber = _Climber(batch, budget, climbed, self.samples, rows, delta, radii * epsilon, started=stage > 0)
            rows, delta = climber.climb(count)
            if not len(rows):
                return


@dataclass(frozen=True, kw_only=True)
class APGDCE(_AutoPGD):
    """Auto-PGD on the cross-entropy."""

    name: ClassVar[str] = "apgd-ce"

    def _climbs(self, batch: Batch) -> Sequence[Climbed]:
        return [_untargeted("ce", batch)]


@dataclass(frozen=True, kw_only=True)
class APGDDLR(_AutoPGD):
    """Auto-PGD on the difference of logits ratio; on the margin, where there are only two classes."""

    name: ClassVar[str] = "apgd-dlr"

    def _climbs(self, batch: Batch) -> Sequence[Climbed]:
        return [_untargeted("dlr", batch)]


@dataclass(frozen=True, kw_only=True)
class APGDT(_AutoPGD):
    """Auto-PGD on the targeted difference of logits ratio, towards one likely class after the other.

    With fewer than four classes there is no such ratio, and the plain difference stands for it.
    """

    name: ClassVar[str] = "apgd-t"

    targets: int = 9
    """How many of the most likely other classes."""

    def _climbs(self, batch: Batch) -> Sequence[Climbed]:
        return [_targeted(likely, batch) for likely in batch.likely(self.targets)]


def _untargeted(kind: losses.Loss, batch: Batch) -> Climbed:
    def climbed(scores: Tensor, rows: Tensor) -> Tensor:
        return losses.loss(kind, batch.classifier.logits(scores), batch.labels[rows])

    return climbed


def _targeted(targets: Tensor, batch: Batch) -> Climbed:
    def climbed(scores: Tensor, rows: Tensor) -> Tensor:
        logits = batch.classifier.logits(scores)
        return losses.targeted_difference_of_logits_ratio(logits, batch.labels[rows], targets[rows])

    return climbed


class _Climber:
    """One run: the points of those inputs that are still attacked, and what each needs to set its step."""

    def __init__(
        self,
        batch: Batch,
        budget: int,
        climbed: Climbed,
        samples: int,
        rows: Tensor,
        delta: Tensor,
        radius: float,
        *,
        started: bool,
    ) -> None:
        self._batch, self._budget, self._climbed, self._samples = batch, budget, climbed, samples
        self._norm, self._radius = batch.norm, radius
        self._rows, self._delta, self._before = rows, delta, delta
        self._room = batch.room.at(rows)
        self._step = torch.full((len(rows),), radius if batch.norm == "l1" else 2 * radius, device=delta.device)
        if started:
            self._moved = _entries(delta)
            self._sparse = self._moved / L1_SPARSER
        else:
            self._moved = torch.full_like(self._step, math.prod(delta.shape[1:]))
            self._sparse = self._moved * L1_FIRST_SHARE
        _, self._loss, self._gradient = batch.climb(rows, delta, climbed, samples)
        self._best, self._best_loss, self._best_gradient = self._delta, self._loss, self._gradient
        self._rises = torch.zeros_like(self._step)
        self._checked_loss = self._best_loss
        self._halved = torch.ones_like(self._step, dtype=torch.bool)

    def climb(self, steps: int) -> tuple[Tensor, Tensor]:
        """The rows for which nothing was found, with their best points."""
        checkpoints = _checkpoints(steps, self._norm)
        for step in range(1, steps + 1):
            self._drop(self._batch.length[self._budget, self._rows].isinf())
            if not len(self._rows):
                break
            self._move(1.0 if step == 1 else MOMENTUM)
            if step in checkpoints:
                self._check(checkpoints[step])
        self._drop(self._batch.length[self._budget, self._rows].isinf())
        return self._rows, self._best

    def _drop(self, kept: Tensor) -> None:
        """Keep only some of the inputs."""
        if bool(kept.all()):
            return
        for name, value in vars(self).items():
            if isinstance(value, Tensor):
                setattr(self, name, value[kept])
        self._room = self._batch.room.at(self._rows)

    def _move(self, momentum: float) -> None:
        step = per_input(self._step, self._delta)
        if self._norm == "l1":
            direction = largest_signs(self._gradient, self._sparse)
        else:
            direction = ascent(self._norm, self._gradient)
        delta = self._project(self._delta + step * direction)
        if self._norm != "l1" and momentum < 1:
            delta = self._project(
                self._delta + (delta - self._delta) * momentum + (self._delta - self._before) * (1 - momentum)
            )
        self._before, self._delta = self._delta, delta
        _, loss, self._gradient = self._batch.climb(self._rows, delta, self._climbed, self._samples)
        self._rises = self._rises + (loss > self._loss)
        self._loss = loss
        better = loss > self._best_loss
        self._best = torch.where(per_input(better, delta), delta, self._best)
        self._best_gradient = torch.where(per_input(better, delta), self._gradient, self._best_gradient)
        self._best_loss = torch.where(better, loss, self._best_loss)

    def _project(self, delta: Tensor) -> Tensor:
        return project(self._norm, delta, self._radius, self._room)

    def _check(self, since: int) -> None:
        """Set the step of each input by what the last `since` steps brought."""
        if self._norm == "l1":
            back = self._check_sparsity()
        else:
            stuck = ~self._halved & (self._checked_loss >= self._best_loss)
            back = stuck | (self._rises <= RISES * since)
            self._step = torch.where(back, self._step / 2, self._step)
            self._halved, self._checked_loss = back, self._best_loss
            self._rises = torch.zeros_like(self._rises)
        self._delta = torch.where(per_input(back, self._delta), self._best, self._delta)
        self._gradient = torch.where(per_input(back, self._delta), self._best_gradient, self._gradient)

    def _check_sparsity(self) -> Tensor:
        """Set how many entries a step moves in L1, and return which inputs go back to their best points."""
        moved = _entries(self._best)
        sparser = moved / self._moved.clamp_min(1) < L1_STILL_SPARSER
        self._sparse = moved / L1_SPARSER
        shorter = (self._step / L1_SPARSER).clamp_min(self._radius * L1_SHORTEST_STEP)
        self._step = torch.where(sparser, torch.full_like(self._step, self._radius), shorter)
        self._moved = moved
        return sparser


def _entries(delta: Tensor) -> Tensor:
    """(n,): how many entries each perturbation moves."""
    return (delta != 0).flatten(1).sum(1).float()


def _checkpoints(steps: int, norm: Norm) -> dict[int, int]:
    """After which steps to reconsider, and how many steps lie before each."""
    gap = max(1, int((L1_CHECKPOINT if norm == "l1" else FIRST_CHECKPOINT) * steps))
    found, at = {}, gap
    while at <= steps:
        found[at] = gap
        if norm != "l1":
            gap = max(gap - max(1, int(SHORTER * steps)), max(1, int(SHORTEST * steps)))
        at += gap
    return found
