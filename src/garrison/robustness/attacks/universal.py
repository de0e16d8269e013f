"""One perturbation for all inputs."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from garrison.core.robustness_card import Access, Norm
from garrison.robustness.attacks.attack import Progress, generator
from garrison.robustness.attacks.geometry import TINY, ascent
from garrison.robustness.attacks.losses import log_odds, slope
from garrison.robustness.attacks.minimum_norm import Search, SearchAttack

ENOUGH = 2.0
"""The log odds of being wrong above which an input pulls no more, so that a few easy ones do not decide."""


@dataclass(frozen=True)
class Universal(SearchAttack):
    """S.-M. Moosavi-Dezfooli et al., Universal adversarial perturbations, 2017; learnt by stochastic gradients on a
    clipped loss as in A. Shafahi et al., Universal adversarial training, 2020, section 4.

    Inputs are halved at random. What is learnt on one half is tried on the other, and the other way round, so that no
    input is judged by a perturbation that it helped to learn. It takes some hundred inputs to learn a strong one.
    """

    name: ClassVar[str] = "universal"
    access: ClassVar[Access] = "gradients"
    norms: ClassVar[tuple[Norm, ...]] = ("linf", "l2")

    norm: Norm = "linf"
    steps: int = 100
    """For each half and budget."""
    batch: int = 100
    rate: float = 0.1
    """The first step, as a share of the budget; it falls linearly to nothing."""

    def _search(self, search: Search, seed: int, progress: Progress) -> None:
        """Inputs that fell under one budget go on teaching under larger ones, and are not tried again."""
        noise = generator(seed, search.inputs.device)
        parts = halves(len(search.labels), noise)
        perturbations = [torch.zeros_like(search.inputs[:1]) for _ in parts]
        for place, epsilon in enumerate(search.epsilons):
            for side, (teachers, judged) in enumerate(zip(parts, reversed(parts), strict=True)):
                perturbations[side] = self._learnt(search, teachers, perturbations[side], epsilon, noise)
                rows = judged[search.distance[judged].isinf()]
                if len(rows) and len(teachers):
                    with torch.no_grad():
                        search.ask(rows, search.classifier.clip(search.inputs[rows] + perturbations[side]))
                progress((place * len(parts) + side + 1) / (len(search.epsilons) * len(parts)))

    def _learnt(
        self, search: Search, teachers: Tensor, perturbation: Tensor, epsilon: float, noise: torch.Generator
    ) -> Tensor:
        """A perturbation (1, *shape) within the budget, learnt from one on the inputs of the rows `teachers` (k,)."""
        if not len(teachers):
            return perturbation
        for step in range(self.steps):
            rows = drawn(teachers, self.batch, noise)
            free = perturbation.detach().requires_grad_()
            scores = search.classifier(search.classifier.clip(search.inputs[rows] + free))
            search.queries[rows] += 1
            search.gradients[rows] += 1
            loss = log_odds(search.classifier.logits(scores), search.labels[rows]).clamp_max(ENOUGH)
            up = ascent(self.norm, slope(loss, free).nan_to_num(0.0))
            length = self.rate * epsilon * (1 - step / self.steps)
            perturbation = perturbation + length * up
            if self.norm == "linf":
                perturbation = perturbation.clamp(-epsilon, epsilon)
            else:
                perturbation = perturbation * (epsilon / perturbation.norm().clamp_min(TINY)).clamp_max(1)
        return perturbation


def halves(count: int, noise: torch.Generator) -> tuple[Tensor, Tensor]:
    """Two halves of the rows from 0 to `count`, at random."""
    order = torch.randperm(count, generator=noise, device=noise.device)
    return order[: count // 2], order[count // 2 :]


def drawn(rows: Tensor, count: int, noise: torch.Generator) -> Tensor:
    """At most `count` of `rows`, each once, at random."""
    return rows[torch.randperm(len(rows), generator=noise, device=noise.device)[:count]]
