"""Two cards side by side: what became better, what became worse, and what the measurements can't tell."""

import math
from collections.abc import Sequence

from garrison.core.robustness_card import Card
from garrison.core.robustness_measurements import Measured, measurements
from garrison.core.robustness_verdicts import Comparison, Difference

_SMALL_IS_GOOD = ("membership", "extraction", "trigger", "attribute")
"""How the names of numbers begin that are the better the smaller they are."""


def compare(before: Card, after: Card) -> Comparison:
    """What changed from one card to another.

    The intervals are Newcombe's for the difference of independent shares (1998, method 10). Both cards are usually of
    the same inputs, so that the true intervals are narrower: a verdict errs on the side of `no telling`.
    """
    first = {str(one): one for one in measurements(before)}
    second = {str(one): one for one in measurements(after)}
    return Comparison(
        before=before.model.name,
        after=after.model.name,
        differences=tuple(_difference(first[name], second[name]) for name in first if name in second),
        only_before=tuple(name for name in first if name not in second),
        only_after=tuple(name for name in second if name not in first),
        notes=tuple(_notes(before, after)),
    )


def _difference(before: Measured, after: Measured) -> Difference:
    change = after.value - before.value
    low = high = None
    if before.low is not None and before.high is not None and after.low is not None and after.high is not None:
        low = change - math.hypot(after.value - after.low, before.high - before.value)
        high = change + math.hypot(after.high - after.value, before.value - before.low)
    sure = (change if low is None else low) > 0 or (change if high is None else high) < 0
    good = (change < 0) == before.name.startswith(_SMALL_IS_GOOD)
    return Difference(
        name=str(before),
        before=before.value,
        after=after.value,
        change=change,
        low=low,
        high=high,
        verdict="no telling" if not sure else "better" if good else "worse",
    )


def _notes(before: Card, after: Card) -> Sequence[str]:
    notes = []
    if before.data.sha256 != after.data.sha256:
        notes.append(f"the data differ: {before.data.name} and {after.data.name}")
    if before.seed != after.seed:
        notes.append(f"the seeds differ: {before.seed} and {after.seed}, so that other inputs may have been attacked")
    attacks = [{row.attack for evasion in card.evasion for row in evasion.attacks} for card in (before, after)]
    if attacks[0] != attacks[1]:
        lacking = sorted(attacks[0] ^ attacks[1])
        notes.append(f"only one of them was attacked with {', '.join(lacking)}")
    for card in (before, after):
        if not card.complete:
            notes.append(f"the card of {card.model.name} is not complete")
        notes += [
            f"{card.model.name}: {check.name}: {check.seen}" for check in card.checks if check.verdict == "failed"
        ]
    if before.model.access != after.model.access:
        notes.append(f"attacks had {before.model.access} of one and {after.model.access} of the other")
    return notes
