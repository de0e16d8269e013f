"""HopSkipJump (Chen et al. 2020): along the boundary by decisions alone, with estimates of its direction."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from garrison.core.robustness_card import Access, Norm
from garrison.robustness.attacks.attack import Progress
from garrison.robustness.attacks.black_box import BlackBoxAttack
from garrison.robustness.attacks.decisions import Start, starts, to_boundary, wrong
from garrison.robustness.attacks.geometry import TINY, per_input
from garrison.robustness.attacks.ledger import Ledger
from garrison.robustness.distances import distance

_PROBES = 1 << 24
"""Numbers in the probes that are asked about at once, at most."""
_HALVINGS = 12
"""Of a step, before it is given up."""


@dataclass(frozen=True)
class HopSkipJump(BlackBoxAttack):
    """Walk towards the input along the boundary (Chen et al. 2020, algorithm 2).

    Each round goes to the boundary by bisection, estimates its normal from the decisions at random points around
    (section III-C), and takes a step along it that is halved until it stays wrong. All inputs go in step; each is left
    alone once it is found within the smallest budget or has had its queries. One run answers all budgets.
    """

    name: ClassVar[str] = "hop-skip-jump"
    access: ClassVar[Access] = "labels"
    norms: ClassVar[tuple[Norm, ...]] = ("linf", "l2")

    norm: Norm = "l2"
    queries: int = 1000
    """For one input, at most."""
    start: Start = "data"
    """See `starts`: the nearest other input of the batch that is decided otherwise, or random noise."""
    probes: int = 50
    """Random points for the first estimate; more with the square root of the rounds."""
    precision: float = 0.01
    """Of the bisection, and of the distance to probe at, both against the distance to the input, by the square root
    of the dimensions (of linf: by the dimensions)."""

    def _search(self, ledger: Ledger, scores: Tensor, random: torch.Generator, progress: Progress) -> None:
        which, points = starts(ledger, scores.argmax(1), self.start, self.queries, random)
        _Walk(self, ledger, random, which, points).run(progress)


class _Walk:
    """Wrong points (k, *shape) on their way to the inputs of the indices `which` (k,)."""

    def __init__(
        self, attack: HopSkipJump, ledger: Ledger, random: torch.Generator, which: Tensor, points: Tensor
    ) -> None:
        self._attack = attack
        self._ledger = ledger
        self._random = random
        self._which = which
        self._points = points
        self._size = max(1, ledger.inputs[:1].numel())
        self._precision = attack.precision / (self._size if attack.norm == "linf" else math.sqrt(self._size))

    def run(self, progress: Progress) -> None:
        """Until every input is found or has had its queries."""
        self._to_boundary(self._points, torch.ones_like(self._which, dtype=torch.bool))
        turn = 1
        while self._some_left():
            count = max(1, int(self._attack.probes * math.sqrt(turn)))
            direction = self._direction(count)
            stepped, wrong = self._step(direction, turn)
            self._to_boundary(stepped, wrong)
            turn += 1
            spent = self._ledger.queries[self._which].double().mean() if len(self._which) else self._attack.queries
            progress(min(1.0, float(spent) / self._attack.queries))

    def _some_left(self) -> bool:
        """Leave alone the inputs that are done."""
        going = (self._ledger.found_after[0, self._which] < 0) & self._may_ask()
        self._which, self._points = self._which[going], self._points[going]
        return bool(len(self._which))

    def _may_ask(self) -> Tensor:
        return self._ledger.queries[self._which] < self._attack.queries

    def _to_boundary(self, points: Tensor, moved: Tensor) -> None:
        """From the points that `moved` (k,); the others stay where they were."""
        nearer = to_boundary(self._ledger, points, self._which, moved, self._precision, self._attack.queries)
        self._points = torch.where(per_input(moved, points), nearer, self._points)

    def _direction(self, count: int) -> Tensor:
        """The normal of the boundary at each point, towards what is wrong, of length one in the norm."""
        radius = self._radius()
        left = (self._attack.queries - self._ledger.queries[self._which]).clamp_max(count)
        weighted, plain = torch.zeros_like(self._points), torch.zeros_like(self._points)
        signs = torch.zeros(len(self._points), device=self._points.device, dtype=self._points.dtype)
        most = max(1, _PROBES // max(1, self._points.numel()))
        for first in range(0, count, most):
            places = torch.arange(len(self._points), device=self._points.device).repeat_interleave(
                (left - first).clamp(0, most)
            )
            if not len(places):
                break
            around = self._points[places]
            probes = self._ledger.classifier.clip(around + per_input(radius[places], around) * self._noise(around))
            scores = self._ledger.ask(probes, self._which[places])
            sign = (scores.argmax(1) != self._ledger.labels[self._which[places]]).to(around.dtype) * 2 - 1
            # Clipping bends the probes, so what counts is where they ended.
            change = (probes - around) / per_input(radius[places], around)
            weighted.index_add_(0, places, per_input(sign, change) * change)
            plain.index_add_(0, places, change)
            signs.index_add_(0, places, sign)
        mean = signs / left.clamp_min(1)
        # One kind of decision only says nothing of the baseline: go towards it, or away (the paper's reference code).
        same = mean.abs() == 1
        normal = torch.where(per_input(same, plain), weighted, weighted - per_input(mean, plain) * plain)
        if self._attack.norm == "linf":
            return normal.sign()
        return normal / per_input(distance("l2", normal).clamp_min(TINY), normal)

    def _radius(self) -> Tensor:
        """How far away to probe (equation 15): with the error of the bisection, so that both decisions are seen."""
        length = distance(self._attack.norm, self._points - self._ledger.inputs[self._which])
        scale = self._size if self._attack.norm == "linf" else math.sqrt(self._size)
        return (length * scale * self._precision).clamp_min(1e-6)

    def _noise(self, like: Tensor) -> Tensor:
        """Random directions, of Euclidean length one."""
        if self._attack.norm == "linf":
            noise = torch.rand(like.shape, generator=self._random, device=like.device, dtype=like.dtype) * 2 - 1
        else:
            noise = torch.randn(like.shape, generator=self._random, device=like.device, dtype=like.dtype)
        return noise / per_input(distance("l2", noise).clamp_min(TINY), noise)

    def _step(self, direction: Tensor, turn: int) -> tuple[Tensor, Tensor]:
        """Points further into what is wrong, and which inputs they were found for."""
        length = distance(self._attack.norm, self._points - self._ledger.inputs[self._which]) / math.sqrt(turn)
        points, found = self._points.clone(), torch.zeros_like(self._which, dtype=torch.bool)
        for _ in range(_HALVINGS):
            asked = ~found & self._may_ask()
            if not bool(asked.any()):
                break
            tried = self._ledger.classifier.clip(self._points + per_input(length, points) * direction)
            new = wrong(self._ledger, tried, self._which, asked)
            points = torch.where(per_input(new, points), tried, points)
            found |= new
            length = length / 2
        return points, found
