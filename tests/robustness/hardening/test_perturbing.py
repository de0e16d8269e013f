"""Training's own attack stays within budget and bounds, and finds what a linear model's worst point is."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from garrison.core.errors import UsageError
from garrison.core.robustness_card import Budget, Norm
from garrison.robustness.hardening.perturbing import check, climbed

WEIGHTS = torch.tensor([1.0, -2.0, 0.5, 0.0])


def linear(inputs: Tensor) -> Tensor:
    return (inputs @ WEIGHTS).sum()


@given(st.sampled_from(["linf", "l2"]), st.floats(0.01, 2), st.integers(1, 4), st.integers(0, 1000))
def test_points_stay_within_budget_and_bounds(norm: Norm, epsilon: float, steps: int, seed: int) -> None:
    noise = torch.Generator().manual_seed(seed)
    inputs = torch.rand((5, 4), generator=noise)
    moved = climbed(linear, inputs, Budget(norm=norm, epsilon=epsilon), steps, noise, 0.0, 1.0)
    order = torch.inf if norm == "linf" else 2
    assert bool((torch.linalg.vector_norm(moved - inputs, order, dim=1) <= epsilon * (1 + 1e-5)).all())
    assert float(moved.min()) >= 0
    assert float(moved.max()) <= 1


@pytest.mark.parametrize(
    ("norm", "worst"), [("linf", WEIGHTS.sign() * 0.1), ("l2", 0.1 * WEIGHTS / torch.linalg.vector_norm(WEIGHTS))]
)
def test_of_a_linear_loss_the_worst_point_is_found(norm: Norm, worst: Tensor) -> None:
    inputs = torch.full((1, 4), 0.5)
    moved = climbed(linear, inputs, Budget(norm=norm, epsilon=0.1), 10, torch.Generator().manual_seed(0), 0.0, 1.0)
    assert float(linear(moved) - linear(inputs)) == pytest.approx(float(linear(worst[None])), rel=0.02)


def test_other_norms_are_refused() -> None:
    with pytest.raises(UsageError, match="linf and l2"):
        check(Budget(norm="l0", epsilon=3))
