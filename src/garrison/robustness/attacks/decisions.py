"""What attacks share that see decisions only: where they begin, and how they get to the boundary."""

from typing import Literal

import torch
from torch import Tensor

from garrison.robustness.attacks.geometry import per_input
from garrison.robustness.attacks.ledger import Ledger
from garrison.robustness.classifier import Classifier
from garrison.robustness.distances import distance

Start = Literal["data", "noise"]

_TRIES = 100


def starts(
    ledger: Ledger, predicted: Tensor, start: Start, queries: int, random: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Indices (k,) of inputs that are open, and a point (k, *shape) for each that the model decides differently on.

    `data` takes the nearest other input of the batch that was decided otherwise, by `predicted` (n,): it is known
    already and costs nothing, and makes the outcome for an input depend on those beside it. Where there is none, and
    for `noise`, up to 100 uniformly random points within the bounds are tried. An input that none is found for is
    left out.
    """
    which = ledger.open()
    points = ledger.inputs[which].clone()
    known = torch.zeros(len(which), dtype=torch.bool, device=which.device)
    if not len(which):
        return which, points
    if start == "data":
        norm = {"linf": torch.inf, "l1": 1.0}.get(ledger.norm, 2.0)
        apart = torch.cdist(points.flatten(1), ledger.inputs.flatten(1), p=norm)
        apart[predicted.unsqueeze(0) == ledger.labels[which].unsqueeze(1)] = torch.inf
        nearest = apart.min(1)
        known = nearest.values < torch.inf
        points[known] = ledger.inputs[nearest.indices[known]]
    low, high = _ranges(ledger.classifier, ledger.inputs)
    for _ in range(_TRIES):
        unknown = (~known & (ledger.queries[which] < queries)).nonzero().flatten()
        if not len(unknown):
            break
        shape = (len(unknown), *ledger.inputs.shape[1:])
        noise = torch.rand(shape, generator=random, device=which.device, dtype=points.dtype)
        tried = ledger.classifier.clip(low + noise * (high - low))
        found = ledger.ask(tried, which[unknown]).argmax(1) != ledger.labels[which[unknown]]
        points[unknown[found]] = tried[found]
        known[unknown[found]] = True
    return which[known], points[known]


def wrong(ledger: Ledger, points: Tensor, which: Tensor, asked: Tensor) -> Tensor:
    """Whether the model is wrong (k,) at points (k, *shape), of which it is asked about those in `asked` (k,) only."""
    found = torch.zeros_like(asked)
    places = asked.nonzero().flatten()
    if len(places):
        scores = ledger.ask(points[places], which[places])
        found[places] = scores.argmax(1) != ledger.labels[which[places]]
    return found


def to_boundary(ledger: Ledger, points: Tensor, which: Tensor, moved: Tensor, precision: float, queries: int) -> Tensor:
    """The nearest wrong points on the way from inputs to wrong `points`, by bisection, where `moved` (k,).

    It ends at a share of the way, or where an input has had its queries.
    """
    inputs = ledger.inputs[which]
    length = distance(ledger.norm, points - inputs)
    low, high = torch.zeros_like(length), torch.ones_like(length)
    while True:
        asked = moved & (high - low > precision) & (ledger.queries[which] < queries)
        if not bool(asked.any()):
            break
        middle = (low + high) / 2
        found = wrong(ledger, _between(ledger, inputs, points, middle, length), which, asked)
        high = torch.where(asked & found, middle, high)
        low = torch.where(asked & ~found, middle, low)
    # What was not moved at all stays as it is, to the bit.
    nearer = _between(ledger, inputs, points, high, length)
    return torch.where(per_input(high < 1, points), nearer, points)


def _between(ledger: Ledger, inputs: Tensor, points: Tensor, share: Tensor, length: Tensor) -> Tensor:
    """Points at a share (k,) of the way; of linf, no feature further away than that share of the distance."""
    if ledger.norm == "linf":
        most = per_input(share * length, points)
        between = torch.minimum(torch.maximum(points, inputs - most), inputs + most)
    else:
        between = inputs + per_input(share, points) * (points - inputs)
    return ledger.classifier.clip(between)


def _ranges(classifier: Classifier, inputs: Tensor) -> tuple[Tensor, Tensor]:
    """The bounds, and those of the batch where there are none."""
    low = torch.as_tensor(classifier.low, dtype=inputs.dtype, device=inputs.device).expand(inputs.shape[1:])
    high = torch.as_tensor(classifier.high, dtype=inputs.dtype, device=inputs.device).expand(inputs.shape[1:])
    return torch.where(low.isfinite(), low, inputs.amin(0)), torch.where(high.isfinite(), high, inputs.amax(0))
