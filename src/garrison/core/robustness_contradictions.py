"""What a robustness card says against itself.

A card is a file, which anybody may edit, and bounds and attestations rest on its intervals. They follow from counts
that stand beside them, so that one can be held against the other.
"""

import math
from collections.abc import Iterator

import msgspec

from garrison.core.robustness_card import AttackResult, Card, Estimate, Inference, Rate, rate

_MOST = 1 << 53
"""Counts that a float still tells apart."""
_SAME = 1e-9


def contradictions(card: Card) -> Iterator[str]:
    """Each contradiction, in words: shares that are not those of their counts, and parts that do not fit the whole."""
    yield from _within(card, "the card")
    if card.clean_accuracy.of != card.data.used or card.data.used > card.data.count:
        yield f"the accuracy is of {card.clean_accuracy.of}, and {card.data.used} of {card.data.count} inputs were used"
    for evasion in card.evasion:
        yield from _of_attacks(evasion.robust_accuracy, evasion.attacks, card.data.count)
        if any(row.budget != evasion.budget for row in evasion.attacks):
            yield "an attack under one budget stands under another"


def _of_attacks(robust: Rate, attacks: tuple[AttackResult, ...], count: int) -> Iterator[str]:
    if not attacks or attacks[-1].robust_accuracy != robust:
        yield "the robust accuracy is not what the last attack left"
    if robust.of > count:
        yield f"{robust.of} inputs were attacked, of {count}"
    left = robust.of
    for row in attacks:
        if row.robust_accuracy.of != robust.of or row.robust_accuracy.count > left:
            yield f"{row.attack} left more inputs robust than there were"
        left = row.robust_accuracy.count


def _within(part: object, name: str) -> Iterator[str]:
    """Of one part and all parts in it."""
    if isinstance(part, msgspec.Struct):
        yield from _of_part(part, name)
        for field in part.__struct_fields__:
            yield from _within(getattr(part, field), field)
    elif isinstance(part, tuple | dict):
        for one in part.values() if isinstance(part, dict) else part:
            yield from _within(one, name)
    elif isinstance(part, float) and not math.isfinite(part):
        yield f"{name} is {part}"


def _of_part(part: msgspec.Struct, name: str) -> Iterator[str]:
    if isinstance(part, Rate):
        if not 0 <= part.count <= part.of < _MOST:
            yield f"{name} counts {part.count} of {part.of}"
        elif not _same(part, rate(part.count, part.of)):
            yield f"{name} is not what {part.count} of {part.of} make, or its interval is not"
    elif isinstance(part, Estimate) and (part.low is not None or part.high is not None):
        if part.low is None or part.high is None or not part.low - _SAME <= part.value <= part.high + _SAME:
            yield f"{name} is {part.value}, and its interval {part.low} to {part.high}"
    elif isinstance(part, Inference):
        for key in part.true_positives:
            if not _is_share(key):
                yield f"{name} has a true-positive rate at {key[:40]!r}, which is no false-positive rate"


def _same(one: Rate, other: Rate) -> bool:
    return all(
        abs(mine - right) <= _SAME
        for mine, right in ((one.value, other.value), (one.low, other.low), (one.high, other.high))
    )


def _is_share(text: str) -> bool:
    try:
        return 0 < float(text) < 1
    except ValueError:
        return False
