"""Fairness by counting: four numbers a group say all rates there are."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from garrison.serving.observe.reference.manifest import GroupRates

MOST_GROUPS = 32
"""Different values of an attribute; what comes later counts as `other`."""
OTHER = "other"
_FEWEST = 20
"""Rows of a group, or of its positive or negative ones, before a rate is a baseline."""


class Tally:
    """Rows by their group, whether they are positive, and whether the model says so."""

    def __init__(self) -> None:
        self._codes: dict[str, int] = {}
        self._counts = np.zeros((MOST_GROUPS + 1, 2, 2), np.int64)

    def add(self, groups: Sequence[str], positive: NDArray[np.bool_], decided: NDArray[np.bool_]) -> None:
        """Take in rows (n,): their groups, what is true of them, and what was decided."""
        codes = np.fromiter((self._code(group) for group in groups), np.int64, len(groups))
        places = codes * 4 + np.asarray(positive, np.int64) * 2 + np.asarray(decided, np.int64)
        self._counts += np.bincount(places, minlength=self._counts.size).reshape(self._counts.shape)

    def _code(self, group: str) -> int:
        code = self._codes.get(group)
        if code is None:
            if len(self._codes) >= MOST_GROUPS:
                return MOST_GROUPS
            code = self._codes[group] = len(self._codes)
        return code

    def rates(self) -> dict[str, dict[str, float | int | None]]:
        """By group: `count`, `accuracy`, `selection_rate`, `true_positive_rate`, `false_positive_rate`; `None` for a
        rate of nothing."""
        found: dict[str, dict[str, float | int | None]] = {}
        for name, counts in self._groups():
            (true_negative, false_positive), (false_negative, true_positive) = counts.tolist()
            count = int(counts.sum())
            found[name] = {
                "count": count,
                "accuracy": _share(true_negative + true_positive, count),
                "selection_rate": _share(false_positive + true_positive, count),
                "true_positive_rate": _share(true_positive, true_positive + false_negative),
                "false_positive_rate": _share(false_positive, false_positive + true_negative),
            }
        return found

    def differences(self) -> dict[str, float]:
        """The largest difference between groups: of selection rates (demographic parity), and of true and false
        positive rates, whichever is larger (equalised odds)."""
        rates = self.rates().values()

        def spread(name: str) -> float:
            values = [one[name] for one in rates]
            known = [value for value in values if value is not None]
            return max(known) - min(known) if known else 0.0

        return {
            "demographic_parity": spread("selection_rate"),
            "equalised_odds": max(spread("true_positive_rate"), spread("false_positive_rate")),
        }

    def baseline(self) -> dict[str, GroupRates]:
        """The rates of groups, as far as there are enough rows to say."""
        found = {}
        for name, counts in self._groups():
            (true_negative, false_positive), (false_negative, true_positive) = counts.tolist()
            parts: dict[str, Any] = {
                "selection_rate": (false_positive + true_positive, counts.sum()),
                "true_positive_rate": (true_positive, true_positive + false_negative),
                "false_positive_rate": (false_positive, false_positive + true_negative),
            }
            known = {rate: float(part / whole) for rate, (part, whole) in parts.items() if whole >= _FEWEST}
            found[name] = GroupRates(count=int(counts.sum()), positive=true_positive + false_negative, **known)
        return found

    def _groups(self) -> list[tuple[str, NDArray[np.int64]]]:
        found = [(name, self._counts[code]) for name, code in self._codes.items()]
        return found + ([(OTHER, self._counts[MOST_GROUPS])] if self._counts[MOST_GROUPS].any() else [])


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
