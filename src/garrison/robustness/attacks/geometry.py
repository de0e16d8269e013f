"""What attacks need to know of a norm: distances, projections, random starts and steepest steps.

Everything is said in perturbations (n, *shape), to be added to the inputs, and in the room that each has before it
leaves the bounds of the model. All functions are pure and work on the whole batch.

L0 counts entries: a pixel of three channels counts three times.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from garrison.core.robustness_card import Norm

TINY = 1e-12
"""Stands for no length at all where one divides by a length."""

SLIDE_SHARE = 0.01
"""Of the entries that one step in L1 moves (Tramèr & Boneh 2019, section 5: the 99th percentile)."""

ROUNDS = 64
"""Bounds the rounds in which entries reach their bounds; five are common, and a result before the end is valid too."""


class Room(NamedTuple):
    """How far each entry may be moved before it leaves the bounds."""

    down: Tensor
    """(n, *shape), at most 0."""
    up: Tensor
    """(n, *shape), at least 0."""

    def at(self, rows: Tensor) -> "Room":
        """The room of some of the inputs."""
        return Room(self.down[rows], self.up[rows])

    def towards(self, direction: Tensor) -> Tensor:
        """(n, *shape), at least 0: how far each entry may go in the direction of the sign."""
        return torch.where(direction > 0, self.up, -self.down)


def room(inputs: Tensor, low: float | Tensor, high: float | Tensor) -> Room:
    """The room of `inputs` (n, *shape) between `low` and `high`, which broadcast to one input."""
    return Room(low - inputs, high - inputs)


def per_input(values: Tensor, like: Tensor) -> Tensor:
    """(n,) as (n, 1, ..., 1), to be multiplied with `like`."""
    return values.reshape(-1, *[1] * (like.dim() - 1))


def distance(norm: Norm, delta: Tensor) -> Tensor:
    """(n,): the length of each perturbation."""
    flat = delta.reshape(len(delta), math.prod(delta.shape[1:]))
    match norm:
        case "linf":
            return flat.abs().amax(1)
        case "l2":
            return _euclidean(flat)
        case "l1":
            return flat.abs().sum(1)
        case "l0":
            return (flat != 0).sum(1).float()


def _euclidean(flat: Tensor) -> Tensor:
    length: Tensor = torch.linalg.vector_norm(flat, dim=1)
    return length


def project(norm: Norm, delta: Tensor, radius: float, room: Room) -> Tensor:
    """The nearest perturbation, in the Euclidean sense, that is no longer than `radius` and keeps the bounds."""
    if norm == "linf":
        return delta.clamp(-radius, radius).clamp(room.down, room.up)
    flat = delta.flatten(1)
    flat_room = Room(room.down.flatten(1), room.up.flatten(1))
    match norm:
        case "l2":
            flat = _project_l2(flat, radius, flat_room)
        case "l1":
            flat = _project_l1(flat, radius, flat_room)
        case "l0":
            flat = _project_l0(flat, radius, flat_room)
    return flat.reshape(delta.shape)


def _project_l2(delta: Tensor, radius: float, room: Room) -> Tensor:
    """The perturbation shrunk by one factor, then clipped, with the largest factor that the ball allows.

    That is what the conditions of Karush, Kuhn and Tucker ask for. The factor is found from below: entries that reach
    their bound leave length to the others, which grow, until no further entry reaches its bound.
    """
    squares, limits = delta.square(), room.towards(delta).square()
    factor = (radius / _euclidean(delta).clamp_min(TINY)).square().clamp_max(1)
    for _ in range(ROUNDS):
        bound = squares * factor[:, None] >= limits
        spent = limits.mul(bound).sum(1)
        free = squares.mul(~bound).sum(1)
        larger = ((radius**2 - spent) / free.clamp_min(TINY**2)).clamp_max(1).maximum(factor)
        done = bool((larger <= factor * (1 + 1e-6)).all())
        factor = larger
        if done:
            break
    return (delta * factor.sqrt()[:, None]).clamp(room.down, room.up)


def _project_l1(delta: Tensor, radius: float, room: Room) -> Tensor:
    """Every entry shrunk by one amount, then clipped, with the smallest amount that the ball allows.

    Croce & Hein 2021 (Mind the box), section 3: the length is piecewise linear in the amount, with a knot where an
    entry starts to be more than nothing and one where it reaches its bound.
    """
    projected = delta.clamp(room.down, room.up)
    rows = (projected.abs().sum(1) > radius).nonzero().squeeze(1)
    if not len(rows):
        return projected
    sizes = delta[rows].abs()
    limits = room.towards(delta)[rows]
    knots, order = torch.cat([sizes, (sizes - limits).clamp_min(0)], 1).sort(1, descending=True)
    growing = torch.where(order < sizes.shape[1], 1.0, -1.0).cumsum(1)
    lengths = (growing[:, :-1] * (knots[:, :-1] - knots[:, 1:])).cumsum(1)
    wanted = lengths.new_full((len(rows), 1), radius)
    segment = torch.searchsorted(lengths.contiguous(), wanted).clamp_max(lengths.shape[1] - 1)
    excess = (lengths.gather(1, segment) - radius) / growing.gather(1, segment).clamp_min(1)
    amount = knots.gather(1, segment + 1) + excess.clamp_min(0)
    shrunk = (sizes - amount).clamp_min(0).minimum(limits)
    shrunk *= (radius / shrunk.sum(1, keepdim=True).clamp_min(TINY)).clamp_max(1)  # what rounding added
    projected[rows] = shrunk * delta[rows].sign()
    return projected


def _project_l0(delta: Tensor, radius: float, room: Room) -> Tensor:
    """The entries that bring most, clipped, and nothing elsewhere (Croce & Hein 2019, section 3.1)."""
    count = min(int(radius), delta.shape[1])
    clipped = delta.clamp(room.down, room.up)
    gains = delta.square() - (delta - clipped).square()
    chosen = gains.topk(count, dim=1).indices
    return torch.zeros_like(delta).scatter(1, chosen, clipped.gather(1, chosen))


def random_start(norm: Norm, radius: float, room: Room, noise: torch.Generator) -> Tensor:
    """A random perturbation within the ball and the bounds.

    L-inf and L2: uniform in the ball, then projected. L1: Gaussian noise, projected (Croce & Hein 2021, section 4).
    L0: uniform between the bounds at entries chosen at random.
    """
    shape, device = room.up.shape, room.up.device
    match norm:
        case "linf":
            delta = (torch.rand(shape, generator=noise, device=device) * 2 - 1) * radius
        case "l2":
            delta = torch.randn(shape, generator=noise, device=device)
            share = torch.rand(len(delta), generator=noise, device=device) ** (1 / max(1, math.prod(shape[1:])))
            delta *= per_input(share * radius / distance("l2", delta).clamp_min(TINY), delta)
        case "l1":
            delta = torch.randn(shape, generator=noise, device=device)
        case "l0":
            ranks = torch.rand(shape, generator=noise, device=device).flatten(1)
            chosen = ranks.topk(min(int(radius), ranks.shape[1]), dim=1).indices
            within = room.down + torch.rand(shape, generator=noise, device=device) * (room.up - room.down)
            return torch.zeros_like(ranks).scatter(1, chosen, within.flatten(1).gather(1, chosen)).reshape(shape)
    return project(norm, delta, radius, room)


def ascent(norm: Norm, gradient: Tensor) -> Tensor:
    """The direction of length 1 in which to step.

    L-inf and L2: the steepest. L1: the signs of the largest entries, evenly (SLIDE, Tramèr & Boneh 2019), for the
    steepest would move a single one. L0: the gradient, at length 1 in L1 (Croce & Hein 2019, section 3.1).
    """
    match norm:
        case "linf":
            return gradient.sign()
        case "l2":
            return gradient / per_input(distance("l2", gradient).clamp_min(TINY), gradient)
        case "l1":
            count = torch.full((len(gradient),), math.ceil(SLIDE_SHARE * math.prod(gradient.shape[1:])))
            return largest_signs(gradient, count.to(gradient.device))
        case "l0":
            return gradient / per_input(distance("l1", gradient).clamp_min(TINY), gradient)


def largest_signs(gradient: Tensor, count: Tensor) -> Tensor:
    """The signs of the `count` (n,) largest entries of each gradient, scaled to length 1 in L1."""
    sizes = gradient.flatten(1).abs()
    most = max(1, int(count.max())) if len(count) else 1
    largest = sizes.topk(min(most, sizes.shape[1]), dim=1).values
    smallest = largest.gather(1, (count.long() - 1).clamp(0, largest.shape[1] - 1)[:, None])
    signs = gradient.sign() * (sizes >= smallest).reshape(gradient.shape)
    return signs / per_input(distance("l1", signs).clamp_min(1), signs)
