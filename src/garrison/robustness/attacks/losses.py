"""What attacks climb: losses of scores, each larger where the model is closer to deciding wrongly.

Of scores (n, classes) each is (n,), and none rounds to a flat place where the model is sure.
"""

from typing import Literal

import torch
from torch import Tensor

Loss = Literal["ce", "dlr", "margin"]

TINY = 1e-12


def loss(kind: Loss, logits: Tensor, labels: Tensor) -> Tensor:
    """The loss of each input. DLR needs three classes; with two, the margin stands for it."""
    match kind:
        case "ce":
            return log_odds(logits, labels)
        case "dlr":
            return difference_of_logits_ratio(logits, labels) if logits.shape[1] > 2 else margin(logits, labels)
        case "margin":
            return margin(logits, labels)


def log_odds(logits: Tensor, labels: Tensor) -> Tensor:
    """The logarithm of the odds of being wrong, log((1 - p) / p) for the probability p of the label.

    Cross-entropy is its softplus, so both have the same directions of ascent and rank points alike. But the gradient
    of cross-entropy rounds to zero where the model is sure, and that of the odds does not.
    """
    return _others(logits, labels).logsumexp(1) - _at(logits, labels)


def margin(logits: Tensor, labels: Tensor) -> Tensor:
    """How far the best other class is ahead (Carlini & Wagner 2017, f6)."""
    return _others(logits, labels).amax(1) - _at(logits, labels)


def difference_of_logits_ratio(logits: Tensor, labels: Tensor) -> Tensor:
    """The margin, in units of the gap between the first and the third class (Croce & Hein 2020, equation 6)."""
    top = logits.topk(3, dim=1).values
    return margin(logits, labels) / (top[:, 0] - top[:, 2] + TINY)


def targeted_difference_of_logits_ratio(logits: Tensor, labels: Tensor, targets: Tensor) -> Tensor:
    """How far the target is ahead of the label, in units of a gap that neither sets (Croce & Hein 2020, equation 7).

    That needs four classes; with fewer it is the plain difference.
    """
    ahead = _at(logits, targets) - _at(logits, labels)
    if logits.shape[1] < 4:
        return ahead
    top = logits.topk(4, dim=1).values
    return ahead / (top[:, 0] - (top[:, 2] + top[:, 3]) / 2 + TINY)


def slope(values: Tensor, free: Tensor) -> Tensor:
    """The gradient (n, *shape) of values (n,), each of which depends on its own input of `free`; zero where the model
    lets none through. The graph is kept."""
    if not values.requires_grad:
        return torch.zeros_like(free)
    (found,) = torch.autograd.grad(values.sum(), free, retain_graph=True, allow_unused=True)
    return torch.zeros_like(free) if found is None else found


def _at(logits: Tensor, labels: Tensor) -> Tensor:
    return logits.gather(1, labels[:, None]).squeeze(1)


def _others(logits: Tensor, labels: Tensor) -> Tensor:
    return logits.scatter(1, labels[:, None], -torch.inf)
