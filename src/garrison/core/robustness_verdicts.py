"""What becomes of a card: bounds that it keeps or breaks, and what changed from one card to another."""

from typing import Literal

import msgspec

from garrison.core.robustness_card import Budget

Answer = Literal["kept", "broken", "inconclusive"]


class Bound(msgspec.Struct, frozen=True, kw_only=True):
    """What a number must not fall below, or rise above."""

    name: str
    limit: float
    side: Literal["under", "over"]
    """`under`: it fails under the limit; `over`: it fails over it."""
    budget: Budget | None = None

    def __str__(self) -> str:
        place = f" at {self.budget}" if self.budget else ""
        return f"{self.name}{place} at {'least' if self.side == 'under' else 'most'} {self.limit:g}"


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one bound."""

    bound: Bound
    answer: Answer
    reason: str
    more: int | None = None
    """How many more inputs would decide, if the number stays as it is; absent where that is not the question."""


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """One number in both cards."""

    name: str
    before: float
    after: float
    change: float
    low: float | None = None
    high: float | None = None
    """Of the 95 % interval of the change."""
    verdict: Literal["better", "worse", "no telling"]


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    before: str
    """The model of the first card."""
    after: str
    differences: tuple[Difference, ...]
    only_before: tuple[str, ...] = ()
    """Numbers that the second card lacks."""
    only_after: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    """Why the two may not be comparable."""
