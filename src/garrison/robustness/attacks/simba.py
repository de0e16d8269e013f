"""SimBA (Guo et al. 2019): one direction of a basis after the other, from scores alone."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from garrison.core.robustness_card import Access, Norm
from garrison.robustness.attacks.attack import Progress
from garrison.robustness.attacks.black_box import BlackBoxAttack
from garrison.robustness.attacks.decisions import to_boundary
from garrison.robustness.attacks.geometry import TINY, per_input
from garrison.robustness.attacks.ledger import Ledger
from garrison.robustness.attacks.losses import margin
from garrison.robustness.distances import distance

_PRECISION = 1e-2
"""Of the bisection once an input is misclassified, against the distance."""


@dataclass(frozen=True)
class SimBA(BlackBoxAttack):
    """Step along random directions of an orthonormal basis where the margin grows (Guo et al. 2019, algorithm 1).

    The directions are low frequencies for images (SimBA-DCT, section 3.3) and single features for everything else. An
    input that is misclassified is brought back to the boundary by bisection. One run answers all budgets; no point is
    further away than the largest.
    """

    name: ClassVar[str] = "simba"
    access: ClassVar[Access] = "scores"
    norms: ClassVar[tuple[Norm, ...]] = ("l2",)
    norm: ClassVar[Norm] = "l2"
    """Euclidean: the steps are orthogonal."""

    queries: int = 1000
    """For one input, at most."""
    step: float = 0.2
    """In the units of the inputs, of Euclidean length."""
    frequencies: float = 0.5
    """The share of the frequencies of each axis of an image that is tried, from the lowest."""

    def _search(self, ledger: Ledger, scores: Tensor, random: torch.Generator, progress: Progress) -> None:
        which = ledger.open()
        points = ledger.inputs[which]
        margins = margin(ledger.classifier.logits(scores[which]), ledger.labels[which])
        basis = _Basis(ledger.inputs.shape[1:], self.frequencies, ledger.inputs.device)
        order = torch.rand(len(which), basis.size, generator=random, device=which.device).argsort(1)
        turn = 0
        while len(which):
            direction = basis.directions(order[:, turn % basis.size]).to(points)
            # The other sign is tried where the first did not help.
            left = torch.ones_like(which, dtype=torch.bool)
            for sign in (self.step, -self.step):
                places = (left & (ledger.queries[which] < self.queries)).nonzero().flatten()
                if not len(places):
                    break
                tried = self._within(ledger, points[places] + sign * direction[places], which[places])
                new = ledger.margins(tried, which[places])
                better = new > margins[places]
                points[places[better]], margins[places[better]] = tried[better], new[better]
                left[places[better]] = False
            fooled = ledger.distance[which] < torch.inf
            if bool(fooled.any()):
                moved = torch.ones_like(which[fooled], dtype=torch.bool)
                closest = ledger.closest[which[fooled]]
                to_boundary(ledger, closest, which[fooled], moved, _PRECISION, self.queries)
            going = ~fooled & (ledger.queries[which] < self.queries)
            which, points, margins, order = which[going], points[going], margins[going], order[going]
            turn += 1
            if turn % 50 == 0:
                progress(min(1.0, 2 * turn / self.queries))

    @staticmethod
    def _within(ledger: Ledger, points: Tensor, which: Tensor) -> Tensor:
        """Points within the bounds and the largest budget."""
        inputs = ledger.inputs[which]
        changes = ledger.classifier.clip(points) - inputs
        length = distance("l2", changes).clamp_min(TINY)
        return ledger.classifier.clip(
            inputs + per_input((ledger.epsilons[-1] / length).clamp_max(1), changes) * changes
        )


class _Basis:
    """Directions of Euclidean length one: waves over an image (channels, height, width), or single features."""

    def __init__(self, shape: torch.Size, frequencies: float, device: torch.device) -> None:
        self._shape = shape
        self._device = device
        self._counts = (1, shape.numel(), 1)
        if len(shape) == 3:
            rows, columns = (max(1, math.ceil(frequencies * length)) for length in shape[1:])
            self._counts = (shape[0], rows, columns)
            self._waves = [_waves(length).to(device) for length in shape[1:]]

    @property
    def size(self) -> int:
        """How many there are."""
        return math.prod(self._counts)

    def directions(self, numbers: Tensor) -> Tensor:
        """(k, *shape) by their numbers (k,)."""
        if len(self._shape) != 3:
            return torch.nn.functional.one_hot(numbers, self.size).view(-1, *self._shape)
        _, rows, columns = self._counts
        channel = torch.nn.functional.one_hot(numbers // (rows * columns), self._shape[0])
        row, column = self._waves[0][numbers // columns % rows], self._waves[1][numbers % columns]
        return channel[:, :, None, None] * row[:, None, :, None] * column[:, None, None, :]


def _waves(length: int) -> Tensor:
    """The orthonormal cosine basis (frequency, place) of an axis (DCT-II)."""
    places = torch.arange(length, dtype=torch.float64)
    waves = torch.cos(math.pi / length * (places + 0.5) * places.unsqueeze(1))
    normal: Tensor = torch.linalg.vector_norm(waves, dim=1, keepdim=True)
    return (waves / normal).float()
