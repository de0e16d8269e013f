"""Whether a card keeps bounds: `robust_accuracy=0.4@linf:8/255`. The interval decides, never the number alone."""

import math
from collections.abc import Iterator, Sequence
from typing import Literal

from garrison.core.errors import UsageError
from garrison.core.robustness_card import Budget, Card
from garrison.core.robustness_measurements import Measured, measurements
from garrison.core.robustness_verdicts import Bound, Judged
from garrison.robustness.budgets import number, parsed, same
from garrison.robustness.data import Kind
from garrison.robustness.evaluation.plan import budgets_of
from garrison.robustness.evaluation.request import Request

_Z = 1.959963984540054
_SHOWN = 8


def bound(text: str, side: Literal["under", "over"]) -> Bound:
    """A bound as written: a name, `=`, a number, and for numbers under attack `@` and a budget. Raises `UsageError`."""
    name, equals, rest = text.partition("=")
    amount, at, budget = rest.partition("@")
    limit = number(amount.strip())
    if not name.strip() or not equals or limit is None:
        raise UsageError(f"{text!r} is no bound; write robust_accuracy=0.4@linf:8/255")
    return Bound(
        name=_plain(name.strip()),
        limit=limit,
        side=side,
        budget=parsed(budget) if at else None,
    )


def require(bounds: Sequence[Bound], request: Request, kind: Kind) -> None:
    """Raise `UsageError` for bounds on numbers that are not going to be measured, before anything is."""
    for one in bounds:
        if one.name == "robust-accuracy" and "evasion" in request.parts:
            budgets: list[Budget | None] = [*budgets_of(request, kind), *[None] * (kind != "image")]
            fitting = [budget for budget in budgets if one.budget is None or _same(one.budget, budget)]
            if len(fitting) != 1:
                listed = ", ".join("within constraints" if budget is None else str(budget) for budget in budgets)
                raise UsageError(f"{one}: {'which budget' if fitting else 'no such budget'}? There are {listed}")
        elif one.name != "accuracy" and not any(
            one.name.startswith(_plain(prefix)) for prefix in _prefixes(request, kind)
        ):
            raise UsageError(
                f"{one.name} is not going to be measured: look at its name, at --only and at what it takes"
            )


def _prefixes(request: Request, kind: Kind) -> Iterator[str]:
    """How the names of other numbers begin that a request measures."""
    if kind == "text":
        return
    if kind == "image" and "corruptions" in request.parts:
        yield "corruption-accuracy"
    if kind == "image" and "backdoor" in request.parts:
        yield "trigger-anomaly-index"
    if "extraction" in request.parts:
        yield "extraction-fidelity-after-"
    if "membership" in request.parts and request.members is not None:
        yield "membership-"
    if "membership" in request.parts and request.attribute:
        yield from (f"{request.attribute}-", f"attribute-{request.attribute}-")


def judge(card: Card, bounds: Sequence[Bound], *, required: bool = False) -> tuple[Judged, ...]:
    """What becomes of each bound.

    A bound is kept if all of the interval keeps it, broken if none of it does, and else inconclusive. Of a card that
    is not complete, and of a number that the card's own checks call into doubt, no bound is kept.
    Of a number that the card does not have, a bound is inconclusive if it was `required` of the measurement before.
    Otherwise raises `UsageError`.
    """
    found = measurements(card)
    judged = []
    for one in bounds:
        try:
            judged.append(_judge(card, one, _measured(one, found)))
        except UsageError as reason:
            if not required:
                raise
            judged.append(Judged(bound=one, answer="inconclusive", reason=f"not measured: {reason}"))
    return tuple(judged)


def _measured(asked: Bound, found: Sequence[Measured]) -> Measured:
    named = [one for one in found if _plain(one.name) == asked.name]
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
    other = None if one.norm is None or one.epsilon is None else Budget(norm=one.norm, epsilon=one.epsilon)
    return _same(budget, other)


def _same(budget: Budget, other: Budget | None) -> bool:
    return other is not None and same(budget, other)


def _plain(name: str) -> str:
    """A name as bounds have it: whoever writes `_` or capitals means the same."""
    return name.lower().replace("_", "-")


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
    if one.doubt:
        reason = f"{seen}, but the evaluation doubts itself: {one.doubt}"
        return Judged(bound=asked, answer="inconclusive", reason=reason)
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
