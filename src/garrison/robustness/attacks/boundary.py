"""Boundary (Brendel et al. 2018): a random walk along the boundary by decisions alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from garrison.core.robustness_card import Access, Norm
from garrison.robustness.attacks.attack import Outcome, Progress, generator
from garrison.robustness.attacks.decisions import Start, starts, to_boundary, wide, wrong
from garrison.robustness.attacks.ledger import Ledger
from garrison.robustness.classifier import Classifier, QueriesSpent
from garrison.robustness.distances import distance

_PRECISION = 1e-3
"""Of the bisection before the walk, against the distance."""
_EVERY = 10
"""Rounds between two that ask about the step around the input alone, too."""
_MEMORY = 0.85
"""How much of the share of steps that succeeded is kept from one round to the next."""
_FACTOR = 1.5
_TINY = 1e-12


@dataclass(frozen=True)
class Boundary:
    """Step around the input, then towards it, and stay where the model is wrong (Brendel et al. 2018, algorithm 1).

    The walk begins on the boundary, found by bisection. Each input has step sizes of its own, which follow how many of
    its steps succeed: around the input about half, towards it about a quarter. It asks for more queries than
    HopSkipJump to get as near, and needs no estimate of a normal, which models that answer at random upset.
    """

    name: ClassVar[str] = "boundary"
    access: ClassVar[Access] = "labels"

    queries: int = 5000
    """For one input, at most."""
    start: Start = "data"
    """See `starts`: the nearest other input of the batch that is decided otherwise, or random noise."""
    around: float = 0.1
    """The first step around the input, against the distance to it."""
    towards: float = 0.03
    """The first step towards it."""

    @property
    def norm(self) -> Norm:
        """Euclidean: the walk is on spheres."""
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
        """See `Attack`."""
        ledger = Ledger(classifier, inputs, labels, epsilons, self.norm)
        random = generator(seed, inputs.device)
        try:
            predicted = ledger.ask(inputs, torch.arange(len(inputs), device=inputs.device)).argmax(1)
            which, points = starts(ledger, predicted, self.start, self.queries, random)
            moved = torch.ones_like(which, dtype=torch.bool)
            points = to_boundary(ledger, points, which, moved, _PRECISION, self.queries)
            self._walk(ledger, which, points, random, progress)
        except QueriesSpent as spent:
            return ledger.outcome(str(spent))
        return ledger.outcome()

    def _walk(
        self, ledger: Ledger, which: Tensor, points: Tensor, random: torch.Generator, progress: Progress | None
    ) -> None:
        size = points.new_ones(len(which))
        state = torch.stack([size * self.around, size * self.towards, size * 0.5, size * 0.25])
        turn = 0
        while True:
            going = (ledger.found_after[0, which] < 0) & (ledger.queries[which] < self.queries)
            if not bool(going.all()):
                which, points, state = which[going], points[going], state[:, going]
            if not len(which):
                return
            around, towards, lateral, forward = state
            inputs = ledger.inputs[which]
            sideways = _around(inputs, points, around, random)
            asked = torch.ones_like(which, dtype=torch.bool)
            if turn % _EVERY == 0:
                kept = wrong(ledger, ledger.classifier.clip(sideways), which, asked)
                lateral = _MEMORY * lateral + (1 - _MEMORY) * kept
                around = _adapted(around, lateral, 0.2, 0.5)
                asked = kept & (ledger.queries[which] < self.queries)
            nearer = ledger.classifier.clip(sideways + wide(towards, points) * (inputs - sideways))
            found = wrong(ledger, nearer, which, asked)
            forward = torch.where(asked, _MEMORY * forward + (1 - _MEMORY) * found, forward)
            towards = torch.where(asked, _adapted(towards, forward, 0.1, 0.25), towards)
            # Clipping may lead away from the input.
            found &= distance("l2", nearer - inputs) < distance("l2", points - inputs)
            points = torch.where(wide(found, points), nearer, points)
            state = torch.stack([around.clamp(1e-6, 1), towards.clamp(1e-6, 0.5), lateral, forward])
            turn += 1
            if progress is not None and turn % 50 == 0:
                progress(min(1.0, float(ledger.queries[which].double().mean()) / self.queries))


def _around(inputs: Tensor, points: Tensor, step: Tensor, random: torch.Generator) -> Tensor:
    """Points as far from the inputs as before, a random step to the side (equations 1 and 2)."""
    back = inputs - points
    radius = distance("l2", back)
    unit = back / wide(radius.clamp_min(_TINY), back)
    noise = torch.randn(points.shape, generator=random, device=points.device, dtype=points.dtype)
    noise = noise - wide((noise * unit).flatten(1).sum(1), unit) * unit
    noise = noise / wide(distance("l2", noise).clamp_min(_TINY), noise)
    moved = points + wide(step * radius, noise) * noise - inputs
    return inputs + moved * wide(radius / distance("l2", moved).clamp_min(_TINY), moved)


def _adapted(step: Tensor, succeeded: Tensor, few: float, many: float) -> Tensor:
    """Longer steps where many succeed, shorter where few do."""
    longer = torch.where(succeeded > many, step * _FACTOR ** (1 / 4), step)
    return torch.where(succeeded < few, step / _FACTOR ** (1 / 4), longer)
