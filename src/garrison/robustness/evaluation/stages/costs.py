"""What the model costs somebody who can only ask it: attacks without gradients, each on its own."""

import time

import torch

from garrison.core.robustness_card import AttackResult, Budget, Curve, Point, rate
from garrison.robustness.attacks.attack import Attack, Outcome, settings
from garrison.robustness.distances import distance
from garrison.robustness.evaluation.plan import made
from garrison.robustness.evaluation.stages.stage import Partial
from garrison.robustness.evaluation.working import UNASKED, Working

_DECISIONS = 0.3
"""Share of the inputs that attacks on decisions are tried on: they take longer."""
_POINTS = 24


def applies(working: Working) -> str:
    # Of a model whose queries are counted, all attacks are of this kind already.
    return UNASKED if working.classifier.counted or not working.plan.budgets else ""


def run(working: Working, partial: Partial) -> None:
    """Fill the card's costs, and the curves over queries."""
    effort, budget = working.plan.effort, working.plan.budgets[0]
    for name, count in (
        ("square", effort.query_inputs),
        ("hop-skip-jump", max(1, int(effort.query_inputs * _DECISIONS))),
    ):
        if name == "square" and working.classifier.outputs == "labels":
            continue
        attack = made(name, budget.norm, {"queries": effort.queries}, optional=True)
        if attack is None:
            working.omit(name, f"it has no {budget.norm}")
            continue
        _attack(working, attack, budget, count)
        partial()


def _attack(working: Working, attack: Attack, budget: Budget, count: int) -> None:
    inputs, labels = working.inputs[:count], working.labels[:count]
    begun = time.monotonic()
    outcome = attack(
        working.classifier,
        inputs,
        labels,
        (budget.epsilon,),
        seed=working.request.seed,
        progress=working.clock.within,
    )
    success = outcome.success[0] & (outcome.found_after[0] > 0)
    before = outcome.success[0] & (distance(budget.norm, outcome.adversarial[0] - inputs) == 0)
    found, tried = outcome.success[0] & ~before, ~before
    queries = outcome.found_after[0][found].double()
    distances = distance(budget.norm, (outcome.adversarial[0] - inputs)[found]).double()
    working.add(
        "costs",
        [
            AttackResult(
                attack=attack.name,
                access=attack.access,
                budget=budget,
                success=rate(int(found.sum()), int(tried.sum())),
                robust_accuracy=rate(int((~outcome.success[0]).sum()), len(labels)),
                median_queries=float(queries.median()) if len(queries) else None,
                queries=int(outcome.queries.sum()),
                gradients=int(outcome.gradients.sum()),
                median_distance=float(distances.median()) if len(distances) else None,
                seconds=time.monotonic() - begun,
                seed=working.request.seed,
                settings=settings(attack),
                incomplete=outcome.incomplete,
            )
        ],
    )
    working.add("curves", [_curve(attack.name, budget, outcome, success, len(labels))])


def _curve(name: str, budget: Budget, outcome: Outcome, success: torch.Tensor, count: int) -> Curve:
    """Robust accuracy over queries for one input."""
    most = int(outcome.queries.max())
    after = outcome.found_after[0]
    wrong = int((outcome.success[0] & ~success).sum())
    steps = sorted({max(1, round(most ** (number / _POINTS))) for number in range(_POINTS + 1)})
    points = []
    for step in steps:
        left = rate(count - wrong - int((success & (after <= step)).sum()), count)
        points.append(Point(x=float(step), y=left.value, low=left.low, high=left.high))
    return Curve(
        name=f"{name}, {budget}, {count} inputs",
        x="queries for one input",
        y="robust accuracy, at most",
        points=tuple(points),
    )
