"""How the evaluation doubts itself: what the model looks like to attacks, and what they left undone."""

import math

from garrison.core.errors import UsageError
from garrison.core.robustness_card import Check, Norm
from garrison.robustness import masking
from garrison.robustness.evaluation import planted
from garrison.robustness.evaluation.evasion import Evaded
from garrison.robustness.evaluation.plan import made
from garrison.robustness.evaluation.stages.stage import Partial
from garrison.robustness.evaluation.working import UNASKED, Working

_INPUTS = 100
_UNBOUNDED_INPUTS = 50
_STEPS = 30
_OF_GRADIENTS = ("zero-gradients", "loss-increases")


def of_model_apply(working: Working) -> str:
    return UNASKED if working.classifier.counted else ""


def of_model(working: Working, partial: Partial) -> None:
    """What needs only the model: scores, gradients, randomness."""
    found = masking.before(working.classifier, working.inputs[:_INPUTS], working.labels[:_INPUTS], working.request.seed)
    # Where no attack follows gradients, as in a table without budgets, theirs deceive nobody.
    follows = any(attack.access == "gradients" for attacks in working.plan.attacks.values() for attack in attacks)
    working.add("checks", [check for check in found if follows or check.name not in _OF_GRADIENTS])


def of_attacks_apply(working: Working) -> str:
    return "" if working.evaded else UNASKED


def of_attacks(working: Working, partial: Partial) -> None:
    """What the attacks say of each other, and whether they find what was planted."""
    for norm, found in working.evaded.items():
        working.add("checks", [*_unfounded(found), *_cut_short(found), *_without_gradients(found, working)])
        if working.classifier.differentiable:
            working.add("checks", _few_steps(working, norm, found.epsilons[0]))
            shape = tuple(working.inputs.shape[1:])
            working.add("checks", planted.checks(working.plan.attacks[norm], shape, norm, working.request.seed))
        working.clock.within(1.0)


def _unfounded(found: Evaded) -> list[Check]:
    return [
        Check(
            name="attack-not-believed",
            verdict="failed",
            seen=f"{name} said {count} times that it had succeeded, and had not: beyond its budget, or without effect",
            advice="do not use this attack, or find out whether the model answers at random",
        )
        for name, count in found.unfounded.items()
        if count
    ]


def _cut_short(found: Evaded) -> list[Check]:
    return [
        Check(
            name="cut-short",
            verdict="failed",
            seen=f"{row.attack} was cut short: {row.incomplete}; what it had not got to counts as robust",
            advice="allow more queries, or attack fewer inputs (--samples)",
        )
        for row in found.results[0].attacks
        if row.incomplete
    ]


def _without_gradients(found: Evaded, working: Working) -> list[Check]:
    """Whether attacks without gradients found what those with them did not, as AutoAttack's own check has it."""
    attacks = working.plan.attacks[found.norm]
    blind = [number for number, attack in enumerate(attacks) if attack.access != "gradients"]
    if not blind or len(blind) == len(attacks):
        return []
    only = int(sum((found.broken_by[0] == number).sum() for number in blind))
    of = int(found.correct.sum())
    bad = only > masking.NOTABLE * max(of, 1)
    # What was cut short, or hardly begun, might have found more.
    rows = [found.results[0].attacks[number] for number in blind]
    little = of < masking.ENOUGH or any(row.incomplete for row in rows)
    told = not any(row.success.of for row in rows) or not little
    return [
        Check(
            name="black-box-stronger",
            verdict="failed" if bad else "passed" if told else "unknown",
            seen=f"attacks without gradients broke {only} of {of} inputs on which all those with gradients had failed",
            advice="the gradients mislead: attack with a substitute for what masks them"
            if bad
            else ""
            if told
            else "attack more inputs (--samples), with enough queries, to tell whether gradients mislead",
        )
    ]


def _few_steps(working: Working, norm: Norm, epsilon: float) -> list[Check]:
    """One step against many, and a budget that allows everything."""
    classifier, seed = working.classifier, working.request.seed
    inputs, labels = working.inputs[:_UNBOUNDED_INPUTS], working.labels[:_UNBOUNDED_INPUTS]
    enough = masking.unbounded(classifier, norm, tuple(inputs.shape[1:]))
    checks = []
    try:
        many = made("pgd", norm, {"steps": _STEPS})
        one = made("pgd", norm, {"steps": 1})
    except UsageError:
        return []
    assert many is not None
    assert one is not None
    budgets = (epsilon, enough) if math.isfinite(enough) else (epsilon,)
    iterated = many(classifier, inputs, labels, budgets, seed=seed)
    checks.append(masking.check_single_step(one(classifier, inputs, labels, (epsilon,), seed=seed), iterated))
    checks.append(masking.check_unbounded(iterated, enough))
    return checks
