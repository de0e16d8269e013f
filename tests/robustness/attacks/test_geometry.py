"""Distances, projections, starts and steps."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from garrison.core.robustness_card import Norm
from garrison.robustness.attacks.geometry import (
    Room,
    ascent,
    largest_signs,
    onto_hyperplane,
    project,
    random_start,
    room,
)
from garrison.robustness.budgets import NORMS
from garrison.robustness.distances import distance

CONVEX = ("linf", "l2", "l1")
norms = st.sampled_from(NORMS)
seeds = st.integers(0, 10_000)
radii = st.sampled_from([0.0, 1e-3, 0.1, 0.7, 1.0, 2.5, 40.0])


def around(seed: int, *, count: int = 6, features: int = 9, spread: float = 1.5) -> tuple[Tensor, Room]:
    """Perturbations, and the room of inputs between 0 and 1 of which some lie at a bound."""
    noise = torch.Generator().manual_seed(seed)
    inputs = (torch.rand(count, 1, features, generator=noise) * 1.6 - 0.3).clamp(0, 1)
    return torch.randn(count, 1, features, generator=noise) * spread, room(inputs, 0.0, 1.0)


@given(norms, seeds, radii)
def test_projections_keep_the_budget_and_the_bounds(norm: Norm, seed: int, radius: float) -> None:
    delta, space = around(seed)
    projected = project(norm, delta, radius, space)
    assert (distance(norm, projected) <= radius * (1 + 1e-5)).all()
    assert ((projected >= space.down) & (projected <= space.up)).all()


@given(norms, seeds, radii)
def test_projecting_again_changes_nothing(norm: Norm, seed: int, radius: float) -> None:
    delta, space = around(seed)
    projected = project(norm, delta, radius, space)
    torch.testing.assert_close(project(norm, projected, radius, space), projected, atol=1e-5, rtol=1e-5)


@given(norms, seeds)
def test_what_is_within_stays(norm: Norm, seed: int) -> None:
    delta, space = around(seed, spread=0.01)
    inside = delta.clamp(space.down, space.up)
    torch.testing.assert_close(project(norm, inside, 9.0, space), inside, atol=1e-7, rtol=0)


@given(st.sampled_from(CONVEX), seeds, st.floats(0.05, 3), st.sampled_from([0.3, 3.0, 30.0]))
def test_no_point_of_a_convex_set_is_nearer(norm: Norm, seed: int, radius: float, spread: float) -> None:
    # A point is the projection onto a convex set if and only if it turns every other point away at no sharp angle.
    delta, space = around(seed, spread=spread)
    projected = project(norm, delta, radius, space)
    for other in range(20):
        noise, _ = around(seed + other + 1, spread=radius)
        within = project(norm, projected + noise, radius, space)
        angle = ((delta - projected) * (within - projected)).flatten(1).sum(1)
        assert (angle <= 1e-4 * (1 + distance("l2", delta))).all()


@given(seeds, st.integers(1, 4))
def test_no_choice_of_entries_is_nearer_in_l0(seed: int, count: int) -> None:
    delta, space = around(seed, features=5)
    kept = (delta - project("l0", delta, float(count), space)).square().flatten(1).sum(1)
    clipped = delta.clamp(space.down, space.up)
    for entries in torch.combinations(torch.arange(5), count):
        mask = torch.zeros(5, dtype=torch.bool)
        mask[entries] = True
        other = (delta - torch.where(mask, clipped, 0.0)).square().flatten(1).sum(1)
        assert (kept <= other + 1e-5).all()


@given(norms, seeds, st.sampled_from([0.1, 1.0, 4.0]))
def test_random_starts_lie_within_and_move(norm: Norm, seed: int, radius: float) -> None:
    _, space = around(seed, features=40)
    start = random_start(norm, radius, space, torch.Generator().manual_seed(seed))
    assert (distance(norm, start) <= radius * (1 + 1e-5)).all()
    assert ((start >= space.down) & (start <= space.up)).all()
    if norm != "l0" or radius >= 1:
        assert (start != 0).any()
    assert torch.equal(start, random_start(norm, radius, space, torch.Generator().manual_seed(seed)))


@pytest.mark.parametrize("norm", NORMS)
def test_steps_have_length_one_and_climb(norm: Norm) -> None:
    gradient = torch.randn(5, 3, 20, generator=torch.Generator().manual_seed(0))
    step = ascent(norm, gradient)
    length = distance("l1" if norm == "l0" else norm, step)
    torch.testing.assert_close(length, torch.ones(5))
    assert ((step * gradient).flatten(1).sum(1) > 0).all()


@pytest.mark.parametrize("norm", CONVEX)
def test_no_gradient_means_no_step(norm: Norm) -> None:
    assert not ascent(norm, torch.zeros(2, 7)).any()


def test_sparse_steps_move_the_largest_entries() -> None:
    gradient = torch.tensor([[0.1, -3.0, 2.0, 0.0], [5.0, -4.0, 3.0, -2.0]])
    steps = largest_signs(gradient, torch.tensor([2.0, 4.0]))
    torch.testing.assert_close(steps, torch.tensor([[0, -0.5, 0.5, 0], [0.25, -0.25, 0.25, -0.25]]))


def test_l2_starts_fill_the_ball() -> None:
    # The share of a ball's volume within half its radius is 2^-d.
    space = Room(torch.full((4000, 2), -9.0), torch.full((4000, 2), 9.0))
    start = random_start("l2", 1.0, space, torch.Generator().manual_seed(0))
    inner = float((distance("l2", start) < 0.5).float().mean())
    assert math.isclose(inner, 0.25, abs_tol=0.03)


def test_a_pixel_moves_with_all_its_channels_in_l0() -> None:
    delta = torch.tensor([[[[0.5, 0.1]], [[0.0, 0.2]], [[0.0, 0.4]]]])  # (1, 3, 1, 2): squares 0.25 and 0.21
    space = Room(torch.full_like(delta, -1), torch.full_like(delta, 1))
    assert project("l0", delta, 1.0, space).flatten().tolist() == pytest.approx([0.5, 0, 0, 0, 0, 0])
    start = random_start("l0", 1.0, space, torch.Generator().manual_seed(0))
    assert distance("l0", start).tolist() == [1] and (start != 0).sum() == 3


@given(st.sampled_from(CONVEX), seeds, st.floats(-3, 3))
def test_steps_onto_a_plane_are_the_shortest(norm: Norm, seed: int, target: float) -> None:
    weights, space = around(seed)
    weights[:, :, 0] = 0
    targets = torch.full((len(weights),), target)
    step = onto_hyperplane(norm, weights, targets, space)
    assert ((step >= space.down - 1e-6) & (step <= space.up + 1e-6)).all()
    reached = (step * weights).flatten(1).sum(1)
    most = (space.towards(weights * (1 if target > 0 else -1)) * weights.abs()).flatten(1).sum(1)
    torch.testing.assert_close(reached, targets.sign() * targets.abs().minimum(most), atol=1e-4, rtol=1e-4)
    for row in range(2):
        shortest = _shortest(norm, weights[row].flatten(), float(reached[row]), space.at(torch.tensor([row])))
        assert float(distance(norm, step[[row]])) <= shortest + 1e-3


def _shortest(norm: Norm, weights: Tensor, target: float, space: Room) -> float:
    """By a linear program, or by a quadratic one."""
    from scipy.optimize import LinearConstraint, linprog, minimize

    count = len(weights)
    bounds = list(zip(space.down.flatten().tolist(), space.up.flatten().tolist(), strict=True))
    if norm == "l2":
        best = minimize(
            lambda x: (x**2).sum(),
            [0.0] * count,
            jac=lambda x: 2 * x,
            bounds=bounds,
            constraints=[LinearConstraint(weights.numpy()[None], target, target)],
            method="SLSQP",
        )
        return math.sqrt(best.fun) if best.success else math.inf
    # Entries up and down, and for L-inf one more that is as large as each of them.
    most = 1 if norm == "linf" else 0
    cost = [0.0] * (2 * count) + [1.0] if most else [1.0] * (2 * count)
    equal = [weights.tolist() + (-weights).tolist() + [0.0] * most]
    limits = [(0, high) for _, high in bounds] + [(0, -low) for low, _ in bounds] + [(0, None)] * most
    below = torch.cat([torch.eye(2 * count), -torch.ones(2 * count, 1)], 1).tolist() if most else None
    best = linprog(
        cost, A_ub=below, b_ub=[0.0] * (2 * count) if most else None, A_eq=equal, b_eq=[target], bounds=limits
    )
    return float(best.fun) if best.success else math.inf
