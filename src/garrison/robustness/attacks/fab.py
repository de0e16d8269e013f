"""FAB: the fast adaptive boundary attack, which looks for the shortest perturbation (Croce & Hein 2020)."""

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from garrison.core.robustness_card import Norm
from garrison.robustness.attacks.attack import Progress
from garrison.robustness.attacks.geometry import TINY, Room, onto_hyperplane, per_input, random_start
from garrison.robustness.attacks.gradient import Batch, Climbed, GradientAttack
from garrison.robustness.distances import distance

SHORTEST = 1e-8
"""Stands for the length of a step that is none."""

MOST_BACK = 0.1
"""How much of a step may lead back towards the input (alpha_max)."""

OVERSHOOT = 1.05
"""How far a step goes beyond the boundary of the linear model (eta)."""

BACK = 0.9
"""What is left of a perturbation that fools the model, before the next step (beta)."""

DUAL: dict[Norm, float] = {"linf": 1, "l2": 2, "l1": torch.inf}


@dataclass(frozen=True, kw_only=True)
class _Boundary(GradientAttack):
    """Steps onto the boundary of the model, taken for linear, and back towards the input.

    One run answers all budgets. An input leaves the batch once something is found within the smallest one.
    """

    steps: int = 100
    restarts: int = 1
    """The first starts from the input, the others from random points at half the distance that matters."""

    @abstractmethod
    def _aims(self, batch: Batch) -> list[Climbed]:
        """For each run: how far one or several classes are ahead of the label."""

    def _attack(self, batch: Batch, noise: torch.Generator, progress: Progress) -> None:
        runs = [(aim, restart) for aim in self._aims(batch) for restart in range(self.restarts)]
        for done, (aim, restart) in enumerate(runs):
            rows = batch.robust(0)
            delta = self._start(batch, noise) if restart else torch.zeros_like(batch.inputs)
            self._run(batch, aim, rows, delta[rows])
            progress((done + 1) / len(runs))

    def _start(self, batch: Batch, noise: torch.Generator) -> Tensor:
        widest = max(batch.epsilons[-1] / 2, SHORTEST)
        shorter = (batch.length.amin(0) / 2 / widest).clamp_max(1)
        delta = random_start(self.norm, widest, batch.room, noise)
        return delta * per_input(shorter, delta)

    def _run(self, batch: Batch, aim: Climbed, rows: Tensor, delta: Tensor) -> None:
        room = batch.room.at(rows)
        for _ in range(self.steps):
            if not len(rows):
                return
            ahead, slope = self._nearest(batch.slopes(rows, delta, aim))
            delta = self._step(delta, ahead, slope, room)
            wrong = batch.look(rows, delta).argmax(1) != batch.labels[rows]
            delta = torch.where(per_input(wrong, delta), delta * BACK, delta)
            kept = batch.length[0, rows].isinf()
            if not bool(kept.all()):
                rows, delta = rows[kept], delta[kept]
                room = batch.room.at(rows)

    def _nearest(self, planes: Iterator[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
        """Of the planes that separate the label from other classes, the nearest for each input."""
        ahead, slope = next(planes)
        nearest = self._distance(ahead, slope)
        for other, other_slope in planes:
            away = self._distance(other, other_slope)
            nearer = away < nearest
            nearest, ahead = torch.where(nearer, away, nearest), torch.where(nearer, other, ahead)
            slope = torch.where(per_input(nearer, slope), other_slope, slope)
        return ahead, slope

    def _distance(self, ahead: Tensor, slope: Tensor) -> Tensor:
        dual: Tensor = torch.linalg.vector_norm(slope.flatten(1), DUAL[self.norm], dim=1)
        return ahead.abs() / (dual + TINY)

    def _step(self, delta: Tensor, ahead: Tensor, slope: Tensor, room: Room) -> Tensor:
        """Onto the plane where no class is ahead: a mean of its nearest point and the one nearest to the input."""
        here = onto_hyperplane(self.norm, slope, -ahead, Room(room.down - delta, room.up - delta))
        clean = onto_hyperplane(self.norm, slope, (slope * delta).flatten(1).sum(1) - ahead, room)
        near, far = (distance(self.norm, step).clamp_min(SHORTEST) for step in (here, clean))
        back = per_input((near / (near + far)).clamp_max(MOST_BACK), delta)
        moved = (delta + OVERSHOOT * here) * (1 - back) + OVERSHOOT * clean * back
        return moved.clamp(room.down, room.up)


@dataclass(frozen=True, kw_only=True)
class FAB(_Boundary):
    """FAB towards whichever class is nearest, at one backward pass a class."""

    name: ClassVar[str] = "fab"

    def _aims(self, batch: Batch) -> list[Climbed]:
        classes = torch.arange(batch.classifier.classes, device=batch.inputs.device)

        def ahead(scores: Tensor, rows: Tensor) -> Tensor:
            labels = batch.labels[rows, None]
            others = (classes + (classes >= labels))[:, :-1]
            logits = batch.classifier.logits(scores)
            return logits.gather(1, others) - logits.gather(1, labels)

        return [ahead]


@dataclass(frozen=True, kw_only=True)
class FABT(_Boundary):
    """FAB towards one likely class after the other, at one backward pass a step."""

    name: ClassVar[str] = "fab-t"

    targets: int = 9
    """How many of the most likely other classes."""

    def _aims(self, batch: Batch) -> list[Climbed]:
        return [_towards(batch, likely) for likely in batch.likely(self.targets)]


def _towards(batch: Batch, targets: Tensor) -> Climbed:
    def ahead(scores: Tensor, rows: Tensor) -> Tensor:
        logits = batch.classifier.logits(scores)
        return logits.gather(1, targets[rows, None]) - logits.gather(1, batch.labels[rows, None])

    return ahead
