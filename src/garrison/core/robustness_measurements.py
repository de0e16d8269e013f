"""The numbers of a robustness card, one by one: what bounds are held against, and what an attestation says.

| Number | What it is |
| --- | --- |
| `accuracy` | Share of inputs that are classified correctly. |
| `robust-accuracy` | After all attacks; `@linf:8/255` names the budget, where the card has several. |
| `corruption-accuracy` | Mean over all kinds and severities of damage. |
| `membership-auc`, `membership-tpr-at-0.01`, `membership-tpr-at-0.001` | Of the strongest attack on each. |
| `attribute-sex-advantage` | How much more often a hidden `sex` is guessed with the model than without. |
| `extraction-fidelity-after-500` | Of the best copy for so many queries, without a defence. |
| `trigger-anomaly-index` | The highest of all classes. |
"""

import math
from collections.abc import Iterator, Sequence

import msgspec

from garrison.core.robustness_card import Budget, Card, Check, Estimate, Inference, Norm, Rate


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """One number of a card."""

    name: str
    """`robust-accuracy`, `accuracy`, ..."""
    value: float
    low: float | None = None
    high: float | None = None
    """Of the 95 % confidence interval; absent where none is known."""
    samples: int
    attack: str = ""
    norm: Norm | None = None
    epsilon: float | None = None
    doubt: str = ""
    """What the evaluation found against this number itself, if anything."""

    def __str__(self) -> str:
        return self.name + ("" if self.norm is None else f"@{self.norm}:{self.epsilon:.6g}")


def measurements(card: Card) -> tuple[Measured, ...]:
    """All numbers of the card that somebody may set a bound to. What was measured on nothing is left out.

    Of several attacks that measure the same, the one that got furthest counts: an attacker would choose it.
    """
    furthest: dict[str, Measured] = {}
    for one in _all(card):
        if one.samples > 0 and math.isfinite(one.value):
            name = str(one)
            if name not in furthest or one.value > furthest[name].value:
                furthest[name] = one
    return tuple(furthest.values())


def _all(card: Card) -> Iterator[Measured]:
    yield _of_rate("accuracy", card.clean_accuracy)
    for evasion in card.evasion:
        attack = "+".join(row.attack for row in evasion.attacks)
        yield _of_rate("robust-accuracy", evasion.robust_accuracy, evasion.budget, attack, _doubt(card.checks))
    if card.corruptions:
        right = sum(one.accuracy.count for one in card.corruptions)
        every = sum(one.accuracy.of for one in card.corruptions)
        # The same inputs were damaged in many ways, so that an interval for independent inputs would be too narrow.
        inputs = max(one.accuracy.of for one in card.corruptions)
        if every:
            yield Measured(name="corruption-accuracy", value=right / every, samples=inputs)
    for one in card.inference:
        if one.auc is not None:
            yield _of_estimate(f"{one.target}-auc", one.auc, one)
        for rate_of_false, estimate in one.true_positives.items():
            yield _of_estimate(f"{one.target}-tpr-at-{rate_of_false}", estimate, one)
        if one.advantage is not None:
            name = one.target.lower().replace("_", "-")
            yield _of_estimate(f"attribute-{name}-advantage", one.advantage, one)
    for copy in card.extraction:
        if copy.defence == "none":
            yield _of_rate(f"extraction-fidelity-after-{copy.queries}", copy.fidelity, None, copy.strategy)
    if card.triggers:
        yield Measured(
            name="trigger-anomaly-index",
            value=max(one.anomaly_index for one in card.triggers),
            samples=len(card.triggers),
        )


def _of_rate(name: str, rate: Rate, budget: Budget | None = None, attack: str = "", doubt: str = "") -> Measured:
    return Measured(
        name=name,
        value=rate.value,
        low=rate.low,
        high=rate.high,
        samples=rate.of,
        attack=attack,
        norm=budget.norm if budget else None,
        epsilon=budget.epsilon if budget else None,
        doubt=doubt,
    )


def _of_estimate(name: str, estimate: Estimate, found: Inference) -> Measured:
    return Measured(
        name=name,
        value=estimate.value,
        low=estimate.low,
        high=estimate.high,
        samples=found.samples,
        attack=found.attack,
        doubt=_doubt(found.checks),
    )


def _doubt(checks: Sequence[Check]) -> str:
    return next((f"{check.name}: {check.seen}" for check in checks if check.verdict == "failed"), "")
