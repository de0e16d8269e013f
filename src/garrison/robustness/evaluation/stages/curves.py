"""How much is left robust as the budget grows."""

import torch

from garrison.core.errors import UsageError
from garrison.core.robustness_card import Curve, Point, rate
from garrison.robustness.evaluation.plan import made
from garrison.robustness.evaluation.working import Working

_INPUTS = 200
_STEPS = 30
_FACTORS = (0.25, 0.5, 1.0, 1.5, 2.0, 4.0)
"""Of the first budget of a norm."""


def over_epsilon(working: Working) -> tuple[Curve, ...]:
    """Robust accuracy over epsilon, under one attack on some of the inputs; nothing where there are no gradients."""
    if not working.classifier.differentiable:
        return ()
    curves = []
    inputs, labels = working.inputs[:_INPUTS], working.labels[:_INPUTS]
    for norm in working.plan.attacks:
        first = next(budget.epsilon for budget in working.plan.budgets if budget.norm == norm)
        try:
            attack = made("apgd-ce", norm, {"steps": _STEPS})
        except UsageError:  # it has no such norm
            continue
        assert attack is not None
        epsilons = [first * factor for factor in _FACTORS]
        outcome = attack(working.classifier, inputs, labels, epsilons, seed=working.request.seed)
        right = rate(int((working.classifier.labels(inputs) == labels).sum()), len(labels))
        points = [Point(x=0.0, y=right.value, low=right.low, high=right.high)]
        for epsilon, success in zip(outcome.epsilons, outcome.success, strict=True):
            left = rate(int(torch.logical_not(success).sum()), len(labels))
            points.append(Point(x=epsilon, y=left.value, low=left.low, high=left.high))
        name = f"{norm}: {attack.name}, {_STEPS} steps, {len(labels)} inputs"
        curves.append(Curve(name=name, x=f"epsilon ({norm})", y="robust accuracy, at most", points=tuple(points)))
    return tuple(curves)
