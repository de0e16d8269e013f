"""One perturbation for all inputs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from garrison.core.robustness_card import Access
from garrison.robustness.attacks.attack import Outcome, Progress, generator
from garrison.robustness.attacks.geometry import TINY, ascent
from garrison.robustness.attacks.losses import log_odds, logits
from garrison.robustness.attacks.minimum_norm import Search, slope
from garrison.robustness.classifier import Classifier

ENOUGH = 2.0
"""The log odds of being wrong above which an input pulls no more, so that a few easy ones do not decide."""


@dataclass(frozen=True)
class Universal:
    """S.-M. Moosavi-Dezfooli et al., Universal adversarial perturbations, 2017; learnt by stochastic gradients on a
    clipped loss as in A. Shafahi et al., Universal adversarial training, 2020, section 4.

    Inputs are halved at random. What is learnt on one half is tried on the other, and the other way round, so that no
    input is judged by a perturbation that it helped to learn. It takes some hundred inputs to learn a strong one.
    """

    norm: Literal["linf", "l2"] = "linf"
    steps: int = 100
    """For each half and budget."""
    batch: int = 100
    rate: float = 0.1
    """The first step, as a share of the budget; it falls linearly to nothing."""

    name: ClassVar[str] = "universal"
    access: ClassVar[Access] = "gradients"

    def __call__(
        self,
        classifier: Classifier,
        inputs: Tensor,
        labels: Tensor,
        epsilons: Sequence[float],
        *,
        seed: int,
        progress: Progress | None = None,
    ) -> Outcome:
        """See `Attack`. Inputs that fell under one budget go on teaching under larger ones, and are not tried again.

        Raises `UsageError` for what it can't attack.
        """
        search = Search(self.name, classifier, inputs, labels, self.norm, epsilons)
        noise = generator(seed, search.inputs.device)
        parts = halves(len(labels), noise)
        perturbations = [torch.zeros_like(search.inputs[:1]) for _ in parts]
        for place, epsilon in enumerate(search.epsilons):
            for side, (teachers, judged) in enumerate(zip(parts, reversed(parts), strict=True)):
                perturbations[side] = self._learnt(search, teachers, perturbations[side], epsilon, noise)
                rows = judged[search.distance[judged].isinf()]
                if len(rows) and len(teachers):
                    with torch.no_grad():
                        search.ask(rows, classifier.clip(search.inputs[rows] + perturbations[side]))
                if progress:
                    progress((place * len(parts) + side + 1) / (len(search.epsilons) * len(parts)))
        return search.outcome()

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
            loss = log_odds(logits(search.classifier, scores), search.labels[rows]).clamp_max(ENOUGH)
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
