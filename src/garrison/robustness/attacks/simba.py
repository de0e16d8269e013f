"""SimBA (Guo et al. 2019): one direction of a basis after the other, from scores alone."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from garrison.core.errors import UsageError
from garrison.core.robustness_card import Access, Norm
from garrison.robustness.attacks.attack import Outcome, Progress, generator
from garrison.robustness.attacks.decisions import to_boundary, wide
from garrison.robustness.attacks.ledger import Ledger
from garrison.robustness.classifier import Classifier, QueriesSpent
from garrison.robustness.distances import distance

_PRECISION = 1e-2
"""Of the bisection once an input is misclassified, against the distance."""


@dataclass(frozen=True)
class SimBA:
    """Step along random directions of an orthonormal basis if the margin falls (Guo et al. 2019, algorithm 1).

    The directions are low frequencies for images (SimBA-DCT, section 3.3) and single features for everything else. An
    input that is misclassified is brought back to the boundary by bisection. One run answers all budgets; no point is
    further away than the largest.
    """

    name: ClassVar[str] = "simba"
    access: ClassVar[Access] = "scores"

    queries: int = 1000
    """For one input, at most."""
    step: float = 0.2
    """In the units of the inputs, of Euclidean length."""
    frequencies: float = 0.5
    """The share of the frequencies of each axis of an image that is tried, from the lowest."""

    @property
    def norm(self) -> Norm:
        """Euclidean: the steps are orthogonal."""
        return "l2"

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
        """See `Attack`. Raises `UsageError` for a model that gives decisions only."""
        if classifier.outputs == "labels":
            raise UsageError("SimBA needs scores, and the model gives decisions only; use HopSkipJump")
        ledger = Ledger(classifier, inputs, labels, epsilons, self.norm)
        random = generator(seed, inputs.device)
        try:
            margins = ledger.margins(inputs, torch.arange(len(inputs), device=inputs.device))
            self._walk(ledger, margins, max(epsilons), random, progress)
        except QueriesSpent as spent:
            return ledger.outcome(str(spent))
        return ledger.outcome()

    def _walk(
        self, ledger: Ledger, margins: Tensor, most: float, random: torch.Generator, progress: Progress | None
    ) -> None:
        which = ledger.open()
        points, margins = ledger.inputs[which], margins[which]
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
                tried = self._within(ledger, points[places] + sign * direction[places], which[places], most)
                new = ledger.margins(tried, which[places])
                better = new < margins[places]
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
            if progress is not None and turn % 50 == 0:
                progress(min(1.0, 2 * turn / self.queries))

    @staticmethod
    def _within(ledger: Ledger, points: Tensor, which: Tensor, most: float) -> Tensor:
        """Points within the bounds and the largest budget."""
        inputs = ledger.inputs[which]
        changes = ledger.classifier.clip(points) - inputs
        length = distance("l2", changes).clamp_min(1e-12)
        return ledger.classifier.clip(inputs + wide((most / length).clamp_max(1), changes) * changes)


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
