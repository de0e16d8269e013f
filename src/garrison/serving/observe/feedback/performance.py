"""Accuracy, and how groups fare, by the labels that have come, watched with false alarms under control."""

import itertools
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from garrison.serving.observe.drift.betting import Betting
from garrison.serving.observe.drift.episodes import Episode
from garrison.serving.observe.feedback.groups import Tally
from garrison.serving.observe.reference.manifest import GroupRates, Performance
from garrison.serving.observe.settings import Feedback

_UNPAIRED = 1000
_RECOVERY = 1000
"""Labelled rows without an alarm after which an incident is over; evidence is gathered anew after each alarm."""
_RATES = ("selection_rate", "true_positive_rate", "false_positive_rate")


_ERRORS = 2.0
"""Standard errors of the baseline that are tolerated, too: what it does not know, no alarm can rest on."""


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """Something that began, or is over."""

    rule: str
    message: str
    resolved: bool = False


class _Difference:
    """One rate of one group beside that of the reference's largest group, row by row in pairs."""

    def __init__(self, group: str, baseline: float, tolerance: float, run_length: float) -> None:
        self.group = group
        self._waiting: tuple[deque[float], deque[float]] = (deque(maxlen=_UNPAIRED), deque(maxlen=_UNPAIRED))
        # A difference from -1 to 1 is watched as a number from 0 to 1, for rising and for falling.
        self._rising = Betting((1 + baseline + tolerance) / 2, run_length)
        self._falling = Betting((1 - baseline + tolerance) / 2, run_length)

    def add(self, ours: bool, value: float) -> bool:
        """Take in one row, of the group itself or of the largest one. Returns whether the difference has changed."""
        mine, other = self._waiting if ours else self._waiting[::-1]
        if not other:
            mine.append(value)
            return False
        against = other.popleft()
        difference = value - against if ours else against - value
        risen = self._rising.add((1 + difference) / 2)
        fallen = self._falling.add((1 - difference) / 2)
        if risen or fallen:
            self._rising.clear()
            self._falling.clear()
        return risen or fallen


class Watch:
    """All that is made of labels."""

    def __init__(self, settings: Feedback, performance: Performance | None) -> None:
        self._settings = settings
        self._tallies = {name: Tally() for name in settings.groups}
        self._right = self._count = 0
        self.baseline = "reference" if performance is not None else "the first labelled rows"
        self._accuracy: float | None = None
        self._errors: Betting | None = None
        self._differences: dict[tuple[str, str], list[tuple[str, _Difference]]] = {}
        """By the attribute and the group; under the largest one those of all others."""
        self._largest: dict[str, str] = {}
        self._accuracy_episode = Episode(_RECOVERY)
        self._bias_episodes = {name: Episode(_RECOVERY) for name in settings.groups}
        if performance is not None:
            self._begin(performance.accuracy, performance.count, performance.groups)

    def _begin(self, accuracy: float, count: int, groups: Mapping[str, dict[str, GroupRates]]) -> None:
        """Watch from now on, against this."""
        known = {name: rates for name, rates in groups.items() if name in self._tallies and rates}
        self._largest = {name: max(rates, key=lambda group: rates[group].count) for name, rates in known.items()}
        pairs = []
        for name, rates in known.items():
            largest = rates[self._largest[name]]
            for group, rate in itertools.product(rates, _RATES):
                ours, theirs = getattr(rates[group], rate), getattr(largest, rate)
                if group != self._largest[name] and ours is not None and theirs is not None:
                    error = (_variance(rates[group], rate) + _variance(largest, rate)) ** 0.5
                    pairs.append((name, group, rate, ours - theirs, error))
        # Each difference is watched both ways, and so counts twice.
        run_length = self._settings.rows_per_false_alarm * (1 + 2 * len(pairs))
        self._accuracy = accuracy
        error = (accuracy * (1 - accuracy) / count) ** 0.5
        self._errors = Betting(1 - accuracy + self._settings.tolerance + _ERRORS * error, run_length)
        for name, group, rate, difference, error in pairs:
            tolerance = self._settings.tolerance + _ERRORS * error
            watched = (rate, _Difference(group, difference, tolerance, run_length))
            for concerned in (group, self._largest[name]):
                self._differences.setdefault((name, concerned), []).append(watched)

    def add(
        self, labels: NDArray[np.intp], decided: NDArray[np.intp], groups: Mapping[str, Sequence[str]]
    ) -> list[Change]:
        """Take in labelled rows (n,), with the groups (n,) of each attribute that is known."""
        right = labels == decided
        positive = self._settings.positive
        truly, said = labels == positive, decided == positive
        self._right += int(right.sum())
        self._count += len(right)
        changes: list[Change] = []
        if self._errors is not None:
            alarm = False
            for wrong in (~right).tolist():
                if self._errors.add(float(wrong)):
                    alarm = True
                    self._errors.clear()
            accuracy = self._right / self._count
            self._told(
                changes, self._accuracy_episode.update(alarm, len(right)), "accuracy-drop",
                f"more errors than an accuracy of {self._accuracy:.3f} allows; {accuracy:.3f} over all "
                f"{self._count:,} labelled rows",
            )  # fmt: skip
        for name, tally in self._tallies.items():
            values = groups.get(name)
            if values is None:
                continue
            tally.add(values, truly, said)
            moved = self._compare(name, values, truly.tolist(), said.tolist())
            message = f"{name}: {moved} is no longer as far from the largest group as it was" if moved else name
            self._told(changes, self._bias_episodes[name].update(bool(moved), len(values)), "bias-shift", message)
        if self._errors is None and self._count >= self._settings.baseline_rows:
            found = {name: tally.baseline() for name, tally in self._tallies.items()}
            self._begin(self._right / self._count, self._count, found)
        return changes

    def _compare(self, name: str, values: Sequence[str], truly: list[bool], said: list[bool]) -> str:
        largest, moved = self._largest.get(name), ""
        if largest is None:
            return moved
        for value, true, decided in zip(values, truly, said, strict=True):
            for rate, difference in self._differences.get((name, value), ()):
                concerned = rate == "selection_rate" or true == (rate == "true_positive_rate")
                if concerned and difference.add(value != largest, float(decided)):
                    moved = f"the {rate.replace('_', ' ')} of {difference.group!r}"
        return moved

    @staticmethod
    def _told(changes: list[Change], what: str | None, rule: str, message: str) -> None:
        if what is not None:
            changes.append(Change(rule=rule, message=message, resolved=what == "resolved"))

    def report(self) -> dict[str, Any]:
        """Counts and rates so far."""
        return {
            "count": self._count,
            "accuracy": self._right / self._count if self._count else None,
            "baseline_accuracy": self._accuracy,
            "baseline": self.baseline,
            "groups": {
                name: {"rates": tally.rates(), "differences": tally.differences()}
                for name, tally in self._tallies.items()
            },
        }


def _variance(rates: GroupRates, rate: str) -> float:
    """Of a rate that was estimated. With a half added to both sides, since a rate of 0 or 1 is not known for sure."""
    positive = rates.positive
    count = {"selection_rate": rates.count, "true_positive_rate": positive}.get(rate, rates.count - positive)
    share = (getattr(rates, rate) * count + 0.5) / (count + 1)
    return float(share * (1 - share) / max(count, 1))
