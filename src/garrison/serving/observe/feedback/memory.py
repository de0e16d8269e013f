"""What was decided, kept until the truth comes."""

from collections import OrderedDict
from collections.abc import Callable

import msgspec
import numpy as np
from numpy.typing import NDArray


class Decided(msgspec.Struct, frozen=True, eq=False):
    """A call whose labels are waited for."""

    principal: str
    decisions: NDArray[np.intp]
    groups: dict[str, list[str]]
    """The group of each row, by attribute, as far as the call told."""
    until: float


class Memory:
    """The last calls, by their identifiers, each for a time; and no more rows than thirty for each of them."""

    def __init__(self, calls: int, seconds: float, clock: Callable[[], float]) -> None:
        self._calls, self._rows, self._seconds, self._clock = calls, 30 * calls, seconds, clock
        self._kept: OrderedDict[str, Decided] = OrderedDict()
        self._count = 0

    def put(self, call: str, principal: str, decisions: NDArray[np.intp], groups: dict[str, list[str]]) -> None:
        """Remember a call; the oldest are forgotten for it."""
        self._kept[call] = Decided(principal, decisions, groups, self._clock() + self._seconds)
        self._count += len(decisions)
        while self._kept and (len(self._kept) > self._calls or self._count > self._rows):
            _, gone = self._kept.popitem(last=False)
            self._count -= len(gone.decisions)

    def get(self, call: str) -> Decided | None:
        """What was decided; `None` for what was never there, was labelled, or is too old."""
        found = self._kept.get(call)
        if found is not None and self._clock() >= found.until:
            self.remove(call)
            return None
        return found

    def remove(self, call: str) -> None:
        """Forget a call: its labels are in."""
        gone = self._kept.pop(call, None)
        if gone is not None:
            self._count -= len(gone.decisions)

    def __len__(self) -> int:
        return len(self._kept)
