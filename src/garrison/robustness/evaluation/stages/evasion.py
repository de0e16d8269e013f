"""Inputs within a budget of a norm, through every attack of the plan."""

from garrison.core.robustness_card import Budget, Evasion
from garrison.robustness.evaluation.evasion import Evaded, evade
from garrison.robustness.evaluation.pictures import pictures
from garrison.robustness.evaluation.slices import slices
from garrison.robustness.evaluation.stages.curves import over_epsilon
from garrison.robustness.evaluation.stages.stage import Partial
from garrison.robustness.evaluation.working import UNASKED, Working

_SHARE_OF_TIME = 0.55
"""Of all time, after which no further inputs are attacked, so that other parts have some left."""
_PICTURES = 8


def applies(working: Working) -> str:
    return "" if working.plan.budgets else UNASKED


def run(working: Working, partial: Partial) -> None:
    """Fill the card's evasion, its curves over epsilon, slices and pictures."""
    norms = list(working.plan.attacks)
    for number, norm in enumerate(norms):
        epsilons = [budget.epsilon for budget in working.plan.budgets if budget.norm == norm]

        def so_far(found: Evaded) -> None:
            working.evaded[found.norm] = found
            working.parts["evasion"] = _in_order(working)
            partial()

        def told(share: float, attack: str, number: int = number) -> None:
            working.clock.told((number + share) / len(norms), attack)

        found = evade(
            working.classifier,
            working.inputs,
            working.labels,
            norm,
            epsilons,
            working.plan.attacks[norm],
            seed=working.request.seed,
            progress=told,
            partial=so_far,
            deadline=working.clock.deadline(_SHARE_OF_TIME * (number + 1) / len(norms)),
        )
        so_far(found)
        if found.stopped:
            left = len(working.inputs) - len(found.done)
            working.omit(f"{left} of {len(working.inputs)} inputs under {norm}", found.stopped)
    for name in working.plan.left_out:
        working.omit(name, "the model does not give it")
    first = working.evaded[working.plan.budgets[0].norm]
    working.add("slices", slices(working.data, working.measured, working.correct, first, working.order))
    if working.data.kind == "image":
        working.add(
            "pictures", pictures(working.classifier, working.data, working.inputs, working.labels, first, _PICTURES)
        )
    working.add("curves", over_epsilon(working))


def _in_order(working: Working) -> tuple[Evasion, ...]:
    """The results in the order in which their budgets were asked for."""
    found = {one.budget: one for evaded in working.evaded.values() for one in evaded.results}
    return tuple(found[Budget(norm=b.norm, epsilon=b.epsilon)] for b in working.plan.budgets if b in found)
