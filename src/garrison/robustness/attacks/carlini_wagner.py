"""Carlini and Wagner's attack: the smallest l2 change, by gradient descent in a space that has no bounds."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from garrison.core.errors import UsageError
from garrison.core.robustness_card import Access, Norm
from garrison.robustness.attacks.attack import Progress
from garrison.robustness.attacks.losses import margin, slope
from garrison.robustness.attacks.minimum_norm import Search, SearchAttack

_INSIDE = 1 - 1e-3
"""How near to a bound an input starts. At the bound itself its hyperbolic arctangent is infinite, and very near to it
the way back takes hundreds of steps."""

_FALL = 0.95
"""By which share Adam's step has fallen at the last of them."""

_PATIENCE = 10
"""An input's descent ends when a tenth of the steps brought no progress."""

_PROGRESS = 1e-4
"""By which share the objective must fall to be called progress."""


@dataclass(frozen=True)
class CarliniWagner(SearchAttack):
    """N. Carlini, D. Wagner, Towards evaluating the robustness of neural networks, 2017, section V.A (l2).

    The objective is ||x' - x||² + c · max(margin of the label, -confidence), with x' in tanh space so that it never
    leaves the bounds; c is searched for each input on its own, by tens until something is found and by halves then.
    Other than there, each search starts from the best of those before it, Adam's step falls towards the end, and what
    is found is drawn back along the straight line to the input as far as it stays wrong.
    """

    name: ClassVar[str] = "carlini-wagner"
    access: ClassVar[Access] = "gradients"
    norms: ClassVar[tuple[Norm, ...]] = ("l2",)
    norm: ClassVar[Norm] = "l2"
    may_be_zero: ClassVar[tuple[str, ...]] = ("confidence", "halvings")

    searches: int = 6
    """Values of c for each input."""
    steps: int = 100
    """Of Adam (D. Kingma, J. Ba, 2015), for each value of c."""
    rate: float = 0.05
    """Adam's first step, in tanh space."""
    constant: float = 1.0
    """The first c."""
    confidence: float = 0.0
    """By how much another class must beat the label to count, in logits."""
    halvings: int = 10

    def _search(self, search: Search, seed: int, progress: Progress) -> None:
        """Nothing in it is random. Raises `UsageError` for inputs without bounds."""
        classifier, inputs, labels = search.classifier, search.inputs, search.labels
        low, high = (
            torch.as_tensor(bound, dtype=inputs.dtype, device=inputs.device)
            for bound in (classifier.low, classifier.high)
        )
        if not (low.isfinite().all() and high.isfinite().all()):
            raise UsageError(f"{self.name} needs inputs with bounds; give the classifier a finite low and high")
        rows = search.remaining()
        constant = torch.full((len(labels),), self.constant, device=labels.device)
        least = torch.zeros_like(constant)
        most = torch.full_like(constant, torch.inf)
        for which in range(self.searches):
            if not len(rows):
                break
            found = self._descend(search, rows, constant[rows], low, high)
            tried = constant[rows]
            most[rows] = torch.where(found, tried.minimum(most[rows]), most[rows])
            least[rows] = torch.where(found, least[rows], tried.maximum(least[rows]))
            constant[rows] = torch.where(most[rows].isinf(), tried * 10, (least[rows] + most[rows]) / 2)
            progress((which + 1) / (self.searches + 1))
        search.shrink(self.halvings, self.confidence)
        progress(1.0)

    def _descend(self, search: Search, rows: Tensor, constant: Tensor, low: Tensor, high: Tensor) -> Tensor:
        """Whether (k,) anything adversarial was met on the way down with this `constant` (k,)."""
        middle, half = (high + low) / 2, (high - low) / 2
        start = ((search.adversarial[rows] - middle) / half.clamp_min(1e-12)).clamp(-1, 1) * _INSIDE
        point = start.atanh()
        first, second = torch.zeros_like(point), torch.zeros_like(point)
        met = torch.zeros(len(rows), dtype=torch.bool, device=rows.device)
        active = torch.arange(len(rows), device=rows.device)
        lowest = torch.full_like(constant, torch.inf)
        window = max(1, self.steps // _PATIENCE)
        for step in range(1, self.steps + 1):
            free = point.detach().requires_grad_()
            candidates = middle + half * free.tanh()
            # Rounding may lead one unit in the last place beyond a bound.
            scores = search.ask(rows[active], search.classifier.clip(candidates), self.confidence)
            gain = margin(scores, search.labels[rows[active]])
            size = (candidates - search.inputs[rows[active]]).flatten(1).square().sum(1)
            objective = size + constant[active] * (self.confidence - gain).clamp_min(0)
            down = slope(objective, free)
            search.gradients[rows[active]] += 1
            met[active] |= gain.detach() > self.confidence
            first = 0.9 * first + 0.1 * down
            second = 0.999 * second + 0.001 * down.square()
            rate = self.rate * (1 - _FALL * step / self.steps)
            point = point - rate * (first / (1 - 0.9**step)) / ((second / (1 - 0.999**step)).sqrt() + 1e-8)
            if step % window == 0:
                objective = objective.detach()
                going = objective < lowest[active] * (1 - _PROGRESS)
                lowest[active] = lowest[active].minimum(objective)
                if not going.all():
                    active, point, first, second = active[going], point[going], first[going], second[going]
                    if not len(active):
                        break
        return met
