"""Attacks inside the training loop: a few steps on a whole batch, nothing kept but the last point."""

from collections.abc import Callable

import torch
from torch import Tensor

from garrison.core.errors import UsageError
from garrison.core.robustness_card import Budget

ONE_SHOT = 1.25
"""The step of the fast variant, in radii (Wong et al. 2020, section 4.2)."""


def climbed(
    loss: Callable[[Tensor], Tensor],
    inputs: Tensor,
    budget: Budget,
    steps: int,
    noise: torch.Generator,
    low: float,
    high: float,
) -> Tensor:
    """Inputs (n, *shape) moved within the budget and the bounds, so that the summed `loss` of them grows.

    Starts at random in the ball; one step is 1.25 radii long, several are 2.5 radii together. Raises `UsageError` for
    norms other than linf and l2.
    """
    radius = budget.epsilon
    step = ONE_SHOT * radius if steps == 1 else 2.5 * radius / steps
    delta = (_start(inputs, budget, noise) + inputs).clamp(low, high) - inputs
    for _ in range(steps):
        moved = (inputs + delta).requires_grad_()
        (slope,) = torch.autograd.grad(loss(moved), moved)
        delta = delta + step * (slope.sign() if budget.norm == "linf" else slope / _lengths(slope))
        delta = (
            delta.clamp(-radius, radius) if budget.norm == "linf" else delta * (radius / _lengths(delta)).clamp(max=1)
        )
        delta = (inputs + delta).clamp(low, high) - inputs
    return (inputs + delta).detach()


def check(budget: Budget) -> None:
    if budget.norm not in ("linf", "l2"):
        raise UsageError(f"adversarial training is for linf and l2 budgets, not {budget.norm}")


def _start(inputs: Tensor, budget: Budget, noise: torch.Generator) -> Tensor:
    if budget.norm == "linf":
        return (2 * torch.rand(inputs.shape, generator=noise, device=inputs.device) - 1) * budget.epsilon
    normal = torch.randn(inputs.shape, generator=noise, device=inputs.device)
    share = torch.rand(len(inputs), generator=noise, device=inputs.device) ** (1 / inputs[0].numel())
    return normal / _lengths(normal) * budget.epsilon * share.view(-1, *[1] * (inputs.ndim - 1))


def _lengths(values: Tensor) -> Tensor:
    """L2 norms, shaped to divide by; never zero."""
    lengths: Tensor = torch.linalg.vector_norm(values.flatten(1), dim=1).clamp_min(1e-12)
    return lengths.view(-1, *[1] * (values.ndim - 1))
