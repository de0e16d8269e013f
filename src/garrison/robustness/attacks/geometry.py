"""What attacks need to know of a norm: projections, random starts and steepest steps.

Everything is said in perturbations (n, *shape), to be added to the inputs, and in the room that each has before it
leaves the bounds of the model. All functions are pure and work on the whole batch.

L0 counts pixels of images, all channels of one together, and single entries elsewhere.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from garrison.core.robustness_card import Norm
from garrison.robustness.distances import distance

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


def _euclidean(flat: Tensor) -> Tensor:
    length: Tensor = torch.linalg.vector_norm(flat, dim=1)
    return length


def project(norm: Norm, delta: Tensor, radius: float, room: Room) -> Tensor:
    """The nearest perturbation, in the Euclidean sense, that is no longer than `radius` and keeps the bounds."""
    if norm == "linf":
        return delta.clamp(-radius, radius).clamp(room.down, room.up)
    if norm == "l0":
        return _project_l0(delta, radius, room)
    flat, flat_room = delta.flatten(1), Room(room.down.flatten(1), room.up.flatten(1))
    projected = _project_l2(flat, radius, flat_room) if norm == "l2" else _project_l1(flat, radius, flat_room)
    return projected.reshape(delta.shape)


def _project_l2(delta: Tensor, radius: float, room: Room) -> Tensor:
    """The perturbation shrunk by one factor, then clipped, with the largest factor that the ball allows.

    That is what the conditions of Karush, Kuhn and Tucker ask for. The factor is found from below: entries that reach
    their bound leave length to the others, which grow, until no further entry reaches its bound.
    """
    squares, limits = delta.square(), room.towards(delta).square()
    factor = (radius / _euclidean(delta).clamp_min(TINY)).square().clamp_max(1)
    for _ in range(ROUNDS):
        bound = (squares * factor[:, None] >= limits).to(squares.dtype)
        spent = _products(limits, bound)
        free = _products(squares, 1 - bound)
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
    """The pixels that bring most, clipped, and nothing elsewhere (Croce & Hein 2019, section 3.1)."""
    clipped = delta.clamp(room.down, room.up)
    gains = _pixels(delta.square() - (delta - clipped).square()).sum(1)
    return (_pixels(clipped) * _largest(gains, int(radius))[:, None]).reshape(delta.shape)


def _pixels(values: Tensor) -> Tensor:
    """(n, channels, pixels) of images (n, channels, height, width); (n, 1, entries) of anything else."""
    return values.flatten(2) if values.dim() == 4 else values.flatten(1)[:, None]


def _largest(values: Tensor, count: int) -> Tensor:
    """(n, k) 1 at the `count` largest of each row, 0 elsewhere."""
    chosen = values.topk(min(count, values.shape[1]), dim=1).indices
    return torch.zeros_like(values).scatter(1, chosen, 1.0)


def random_start(norm: Norm, radius: float, room: Room, noise: torch.Generator) -> Tensor:
    """A random perturbation within the ball and the bounds.

    L-inf and L2: uniform in the ball, then projected. L1: Gaussian noise, projected (Croce & Hein 2021, section 4).
    L0: uniform between the bounds at pixels chosen at random.
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
            within = _pixels(room.down + torch.rand(shape, generator=noise, device=device) * (room.up - room.down))
            ranks = torch.rand(within.shape[0], within.shape[2], generator=noise, device=device)
            return (within * _largest(ranks, int(radius))[:, None]).reshape(shape)
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


def onto_hyperplane(norm: Norm, weights: Tensor, target: Tensor, room: Room) -> Tensor:
    """The shortest perturbation whose product with `weights` (n, *shape) is `target` (n,), within the room.

    Where the room does not allow it, the one that comes nearest. L-inf, L2 and L1 (Croce & Hein 2020, FAB, section 2).
    """
    signed = weights * per_input(torch.where(target < 0, -1.0, 1.0), weights)
    slopes = signed.flatten(1).abs()
    limits = room.towards(signed).flatten(1) * (slopes > 0)
    fill = _fill_steepest if norm == "l1" else _fill_evenly
    moved = fill(slopes, torch.ones_like(slopes) if norm == "linf" else slopes, limits, target.abs())
    return signed.sign() * moved.reshape(weights.shape)


def _fill_evenly(slopes: Tensor, speeds: Tensor, limits: Tensor, target: Tensor) -> Tensor:
    """Move all entries at their speeds, each up to its limit, until they reach the target together.

    The time is found from below: entries at their limits leave the rest of the way to the others.
    """
    rates, gains, times = slopes * speeds, slopes * limits, limits / speeds.clamp_min(TINY)
    all_rates = rates.sum(1)
    time = target / all_rates.clamp_min(TINY)
    for _ in range(ROUNDS):
        bound = (times <= time[:, None]).to(rates.dtype)
        free = all_rates - _products(rates, bound)
        left = target - _products(gains, bound)
        longer = torch.where(free > 1e-6 * all_rates, left / free.clamp_min(TINY), torch.inf).maximum(time)
        done = bool((longer <= time * (1 + 1e-6)).all())
        time = longer
        if done:
            break
    return torch.where(speeds > 0, speeds * time[:, None], 0.0).minimum(limits)


def _products(left: Tensor, right: Tensor) -> Tensor:
    """(n,): the inner product of each row."""
    return (left * right).sum(1)


def _fill_steepest(slopes: Tensor, _: Tensor, limits: Tensor, target: Tensor) -> Tensor:
    """Move the steepest entry to its limit, then the next, until they reach the target together."""
    steepest, order = slopes.sort(1, descending=True)
    most = limits.gather(1, order)
    gained = (steepest * most).cumsum(1)
    missing = target[:, None] - (gained - steepest * most)
    moved = (missing / steepest.clamp_min(TINY)).clamp_min(0).minimum(most)
    return torch.zeros_like(slopes).scatter(1, order, moved)
