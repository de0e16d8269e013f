"""DeepFool: step to the nearest boundary of the linearised model, again and again."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from garrison.core.robustness_card import Access, Norm
from garrison.robustness.attacks.attack import Progress
from garrison.robustness.attacks.geometry import TINY, per_input
from garrison.robustness.attacks.losses import slope
from garrison.robustness.attacks.minimum_norm import Search, SearchAttack
from garrison.robustness.classifier import Classifier

_BEYOND = 1e-4
"""Logits to go beyond the boundary, without which steps near it shrink to nothing."""


@dataclass(frozen=True)
class DeepFool(SearchAttack):
    """S.-M. Moosavi-Dezfooli, A. Fawzi, P. Frossard, DeepFool, 2016, algorithm 2 and section 3.3.

    What it finds is drawn back along the straight line to the input as far as it stays wrong. For a linear model
    and within the bounds, the result is the smallest change there is, to a thousandth.
    """

    name: ClassVar[str] = "deepfool"
    access: ClassVar[Access] = "gradients"
    norms: ClassVar[tuple[Norm, ...]] = ("linf", "l2")
    may_be_zero: ClassVar[tuple[str, ...]] = ("overshoot", "halvings")

    norm: Norm = "l2"
    steps: int = 50
    candidates: int = 10
    """Classes to look at: those with the highest scores for the original input."""
    overshoot: float = 0.02
    """By which share each step goes beyond the linearised boundary."""
    halvings: int = 10

    def _search(self, search: Search, seed: int, progress: Progress) -> None:
        """Nothing in it is random."""
        classifier, labels = search.classifier, search.labels
        rows = search.remaining()
        points = search.inputs.clone()
        moved = torch.zeros_like(points)
        rivals: Tensor | None = None
        for step in range(self.steps):
            if not len(rows):
                break
            current = points[rows].requires_grad_()
            scores = search.ask(rows, current)
            if rivals is None:
                order = scores.detach().scatter(1, labels[rows, None], -torch.inf).argsort(1, descending=True)
                rivals = torch.zeros(len(labels), min(self.candidates, order.shape[1] - 1), dtype=torch.int64)
                rivals = rivals.to(labels.device).index_copy_(0, rows, order[:, : rivals.shape[1]])
            open_ = search.distance[rows].isinf()
            if not open_.any():
                break
            change = self._step(classifier, scores, current, labels[rows], rivals[rows])
            moved[rows] += change
            points[rows] = classifier.clip(search.inputs[rows] + (1 + self.overshoot) * moved[rows])
            search.gradients[rows] += rivals.shape[1]
            rows = rows[open_]
            progress((step + 1) / (self.steps + self.halvings))
        search.shrink(self.halvings)
        progress(1.0)

    def _step(self, classifier: Classifier, scores: Tensor, current: Tensor, labels: Tensor, rivals: Tensor) -> Tensor:
        """The smallest change (n, *shape) that, were the model linear here, would reach one of `rivals` (n, k)."""
        low, high = (torch.as_tensor(bound).to(current) for bound in (classifier.low, classifier.high))
        own = scores.gather(1, labels[:, None])
        gaps = scores.gather(1, rivals) - own
        best = torch.full((len(labels),), torch.inf, device=scores.device, dtype=scores.dtype)
        change = torch.zeros_like(current)
        for which in range(rivals.shape[1]):
            way_up = slope(gaps[:, which], current)
            gap = gaps[:, which].detach().abs() + _BEYOND
            if self.norm == "linf":
                # What is at a bound already cannot help by moving on; the others must go farther.
                way_up = way_up.masked_fill((way_up > 0) & (current >= high) | (way_up < 0) & (current <= low), 0.0)
            flat = way_up.flatten(1)
            if self.norm == "l2":
                steepness = flat.norm(dim=1)
                direction = way_up / per_input(steepness.clamp_min(TINY), current)
            else:
                steepness = flat.abs().sum(1)
                direction = way_up.sign()
            # Where the model is flat there is no way to this class.
            way = torch.where(steepness > 0, gap / steepness.clamp_min(TINY), torch.inf)
            nearer = way < best
            best = torch.where(nearer, way, best)
            change = torch.where(
                per_input(nearer, current), direction * per_input(way.nan_to_num(posinf=0.0), current), change
            )
        return change
