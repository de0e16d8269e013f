"""Boundary (Brendel et al. 2018): a random walk along the boundary by decisions alone."""

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

_PRECISION = 1e-3
"""Of the bisection before the walk, against the distance."""
_EVERY = 10
"""Rounds between two that ask about the step around the input alone, too."""
_MEMORY = 0.85
"""How much of the share of steps that succeeded is kept from one round to the next."""
_FACTOR = 1.5


@dataclass(frozen=True)
class Boundary(BlackBoxAttack):
    """Step around the input, then towards it, and stay where the model is wrong (Brendel et al. 2018, algorithm 1).

    The walk begins on the boundary, found by bisection. Each input has step sizes of its own, which follow how many of
    its steps succeed: around the input about half, towards it about a quarter. It asks for more queries than
    HopSkipJump to get as near, and needs no estimate of a normal, which models that answer at random upset.
    """

    name: ClassVar[str] = "boundary"
    access: ClassVar[Access] = "labels"
    norms: ClassVar[tuple[Norm, ...]] = ("l2",)
    norm: ClassVar[Norm] = "l2"
    """Euclidean: the walk is on spheres."""

    queries: int = 5000
    """For one input, at most."""
    start: Start = "data"
    """See `starts`: the nearest other input of the batch that is decided otherwise, or random noise."""
    around: float = 0.1
    """The first step around the input, against the distance to it."""
    towards: float = 0.03
    """The first step towards it."""

    def _search(self, ledger: Ledger, scores: Tensor, random: torch.Generator, progress: Progress) -> None:
        which, points = starts(ledger, scores.argmax(1), self.start, self.queries, random)
        moved = torch.ones_like(which, dtype=torch.bool)
        points = to_boundary(ledger, points, which, moved, _PRECISION, self.queries)
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
            nearer = ledger.classifier.clip(sideways + per_input(towards, points) * (inputs - sideways))
            found = wrong(ledger, nearer, which, asked)
            forward = torch.where(asked, _MEMORY * forward + (1 - _MEMORY) * found, forward)
            towards = torch.where(asked, _adapted(towards, forward, 0.1, 0.25), towards)
            # Clipping may lead away from the input.
            found &= distance("l2", nearer - inputs) < distance("l2", points - inputs)
            points = torch.where(per_input(found, points), nearer, points)
            state = torch.stack([around.clamp(1e-6, 1), towards.clamp(1e-6, 0.5), lateral, forward])
            turn += 1
            if turn % 50 == 0:
                progress(min(1.0, float(ledger.queries[which].double().mean()) / self.queries))


def _around(inputs: Tensor, points: Tensor, step: Tensor, random: torch.Generator) -> Tensor:
    """Points as far from the inputs as before, a random step to the side (equations 1 and 2)."""
    back = inputs - points
    radius = distance("l2", back)
    unit = back / per_input(radius.clamp_min(TINY), back)
    noise = torch.randn(points.shape, generator=random, device=points.device, dtype=points.dtype)
    noise = noise - per_input((noise * unit).flatten(1).sum(1), unit) * unit
    noise = noise / per_input(distance("l2", noise).clamp_min(TINY), noise)
    moved = points + per_input(step * radius, noise) * noise - inputs
    return inputs + moved * per_input(radius / distance("l2", moved).clamp_min(TINY), moved)


def _adapted(step: Tensor, succeeded: Tensor, few: float, many: float) -> Tensor:
    """Longer steps where many succeed, shorter where few do."""
    longer = torch.where(succeeded > many, step * _FACTOR ** (1 / 4), step)
    return torch.where(succeeded < few, step / _FACTOR ** (1 / 4), longer)
