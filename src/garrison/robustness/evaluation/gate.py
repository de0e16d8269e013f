"""Whether a card keeps bounds: `robust_accuracy=0.4@linf:8/255`. The interval decides, never the number alone."""

import math
from collections.abc import Sequence
from typing import Literal

from garrison.core.errors import UsageError
from garrison.core.robustness_card import Budget, Card
from garrison.core.robustness_measurements import Measured, measurements
from garrison.core.robustness_verdicts import Bound, Judged
from garrison.robustness.budgets import number, parsed

_Z = 1.959963984540054
_CLOSE = 1e-6
"""How far budgets may be apart to be the same, as a share: they are written in decimals."""
_SHOWN = 8


def bound(text: str, side: Literal["under", "over"]) -> Bound:
    """A bound as written: a name, `=`, a number, and for numbers under attack `@` and a budget. Raises `UsageError`."""
    name, equals, rest = text.partition("=")
    amount, at, budget = rest.partition("@")
    limit = number(amount.strip())
    if not name.strip() or not equals or limit is None:
        raise UsageError(f"{text!r} is no bound; write robust_accuracy=0.4@linf:8/255")
    return Bound(
        name=name.strip().lower().replace("_", "-"),
        limit=limit,
        side=side,
        budget=parsed(budget) if at else None,
    )


def judge(card: Card, bounds: Sequence[Bound]) -> tuple[Judged, ...]:
    """What becomes of each bound.

    A bound is kept if all of the interval keeps it, broken if none of it does, and else inconclusive. Of a card that
    is not complete, and of a number that the card's own checks call into doubt, no bound is kept.
    Raises `UsageError` for a number that the card does not have.
    """
    found = measurements(card)
    return tuple(_judge(card, one, _measured(one, found)) for one in bounds)


def _measured(asked: Bound, found: Sequence[Measured]) -> Measured:
    named = [one for one in found if one.name == asked.name]
    if not named:
        names = sorted({one.name for one in found})
        more = "" if len(names) <= _SHOWN else f" and {len(names) - _SHOWN} more"
        raise UsageError(f"the card has no {asked.name}; it has {', '.join(names[:_SHOWN])}{more}")
    fitting = [one for one in named if _fits(asked.budget, one)]
    if not fitting:
        raise UsageError(f"the card has no {asked.name} at {asked.budget}; it has {', '.join(map(str, named))}")
    if len(fitting) > 1:
        raise UsageError(f"which {asked.name}? The card has {', '.join(map(str, fitting))}")
    return fitting[0]


def _fits(budget: Budget | None, one: Measured) -> bool:
    if budget is None:
        return True
    return (
        one.norm == budget.norm
        and one.epsilon is not None
        and math.isclose(one.epsilon, budget.epsilon, rel_tol=_CLOSE)
    )


def _judge(card: Card, asked: Bound, one: Measured) -> Judged:
    low = one.value if one.low is None else one.low
    high = one.value if one.high is None else one.high
    if asked.side == "under":
        kept, broken = low >= asked.limit, high < asked.limit
    else:
        kept, broken = high <= asked.limit, low > asked.limit
    seen = f"{one.value:.3f}, 95 % interval {low:.3f} to {high:.3f}, of {one.samples:,}"
    if broken:
        return Judged(bound=asked, answer="broken", reason=seen)
    if not kept:
        more = needed(one, asked.limit)
        wanted = f"about {more:,} more inputs needed" if more else "no number of inputs would tell"
        return Judged(bound=asked, answer="inconclusive", reason=f"{seen}; {wanted}", more=more)
    doubts = [check for check in card.checks if check.verdict == "failed"] if one.norm is not None else []
    if doubts:
        return Judged(
            bound=asked,
            answer="inconclusive",
            reason=f"{seen}, but the evaluation doubts itself: {doubts[0].name}: {doubts[0].seen}",
        )
    if not card.complete:
        return Judged(bound=asked, answer="inconclusive", reason=f"{seen}, but the card is not complete")
    return Judged(bound=asked, answer="kept", reason=seen)


def needed(one: Measured, limit: float) -> int | None:
    """How many more inputs would clear an interval of the limit, if the share stays; `None` where none would.

    After Wilson's interval, which excludes a limit p once n (share - p)² > z² p (1 - p).
    """
    apart = (one.value - limit) ** 2
    if one.low is None or apart == 0 or not 0 < limit < 1:
        return None
    every = math.ceil(_Z * _Z * limit * (1 - limit) / apart)
    return max(1, every - one.samples + 1)
