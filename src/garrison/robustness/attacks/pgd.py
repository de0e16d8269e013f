"""Projected gradient descent."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from garrison.core.robustness_card import Norm
from garrison.robustness.attacks import losses
from garrison.robustness.attacks.attack import Progress
from garrison.robustness.attacks.geometry import ascent, project, random_start
from garrison.robustness.attacks.gradient import Batch, GradientAttack
from garrison.robustness.budgets import NORMS

REACH = 2.5
"""All steps together, in radii, where no step is given (Madry et al. 2018, section 5)."""

SPARSE_STEP = 0.15
"""One step in L0, summed over all entries, as a share of their ranges (Croce & Hein 2019, their code)."""


@dataclass(frozen=True, kw_only=True)
class PGD(GradientAttack):
    """Steps along the gradient, each projected onto the budget (Madry et al. 2018).

    L1 steps are sparse (SLIDE, Tramèr & Boneh 2019), L0 is PGD-0 (Croce & Hein 2019). An input leaves the batch at
    the first point that fools the model.
    """

    name: ClassVar[str] = "pgd"
    norms: ClassVar[tuple[Norm, ...]] = NORMS

    steps: int = 40
    step: float | None = None
    """In the units of the inputs; without it 2.5 times the budget, divided by the number of steps."""
    restarts: int = 1
    random_start: bool = True
    loss: losses.Loss = "ce"
    samples: int = 1
    """Gradients to average at each step, for models that answer at random."""

    def _attack(self, batch: Batch, noise: torch.Generator, progress: Progress) -> None:
        runs = [(budget, restart) for budget in range(len(batch.epsilons)) for restart in range(self.restarts)]
        for done, (budget, restart) in enumerate(runs):
            if not restart:
                batch.begin()
            self._run(batch, budget, noise)
            progress((done + 1) / len(runs))

    def _run(self, batch: Batch, budget: int, noise: torch.Generator) -> None:
        radius = batch.epsilons[budget]
        rows = batch.robust(budget)
        if not len(rows) or radius == 0:
            return
        if self.random_start:
            delta = random_start(self.norm, radius, batch.room, noise)[rows]
        else:
            delta = torch.zeros_like(batch.inputs[rows])
        room = batch.room.at(rows)
        step = self._step(batch, radius)

        def climbed(scores: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
            return losses.loss(self.loss, batch.classifier.logits(scores), batch.labels[rows])

        for _ in range(self.steps):
            _, _, gradient = batch.climb(rows, delta, climbed, self.samples)
            kept = batch.length[budget, rows].isinf()
            if not bool(kept.all()):
                rows, delta, gradient = rows[kept], delta[kept], gradient[kept]
                room = batch.room.at(rows)
                if not len(rows):
                    return
            if self.norm == "l1":  # the few entries of a step are not to be spent where there is no way
                gradient = gradient * (room.towards(gradient) > delta.abs() * (delta.sign() == gradient.sign()))
            delta = project(self.norm, delta + step * ascent(self.norm, gradient), radius, room)
        batch.look(rows, delta)

    def _step(self, batch: Batch, radius: float) -> float:
        if self.step is not None:
            return self.step
        if self.norm == "l0":
            ranges = batch.room.up[0] - batch.room.down[0]
            return SPARSE_STEP * float(ranges.sum())
        return REACH * radius / self.steps
