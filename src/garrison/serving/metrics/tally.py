"""Counts what passes, in so few steps that every call can be counted.

Prometheus' client makes text of it when it is asked for; its own counters cost ten times as much for each call.
"""

import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable

from garrison.serving.calls import Answer, Call
from garrison.serving.incidents import Incident

BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of the histogram of durations, in seconds."""
UNKNOWN = "(unknown)"
"""In place of names that callers made up, so that they cannot make up series."""


class Tally:
    """All counts since the process began. What is counted by callers' names is bounded by what is configured."""

    def __init__(self, models: Iterable[str], *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._models = frozenset(models)
        self._monotonic = monotonic
        self.requests: dict[tuple[str, str, str, str], int] = {}
        """By model, action, transport and outcome: `answered`, `error` (of the server), or why it was refused."""
        self.durations: dict[tuple[str, str], list[float]] = {}
        """By model and action: calls by bucket, with one for those beyond all, and the sum of seconds."""
        self.marks: Counter[tuple[str, str]] = Counter()
        """By model and rule."""
        self.degraded: Counter[str] = Counter()
        """Calls that went on without a stage, by its name."""
        self.failures: Counter[str] = Counter()
        """Of stages and of the guard's other parts, by name."""
        self.incidents: Counter[tuple[str, str, str]] = Counter()
        """By rule, severity and model."""
        self.started = time.time()

    def serves(self, models: Iterable[str]) -> None:
        """Take over the names of a new configuration."""
        self._models = frozenset(models)

    def record(self, call: Call, answer: Answer, refused: str) -> None:
        """Count a call that has ended."""
        model = call.model
        if model and model not in self._models:
            model = UNKNOWN
        outcome = refused or ("answered" if answer.status < 400 else "error")
        key = (model, call.action.value, call.transport, outcome)
        self.requests[key] = self.requests.get(key, 0) + 1
        durations = self.durations.get(key[:2])
        if durations is None:
            durations = self.durations[key[:2]] = [0.0] * (len(BUCKETS) + 2)
        seconds = self._monotonic() - call.received
        durations[bisect_left(BUCKETS, seconds)] += 1
        durations[-1] += seconds
        if call.marks:
            for mark in call.marks:
                self.marks[model, mark.rule] += 1
        if call.degraded:
            self.degraded.update(call.degraded)

    def failed(self, name: str, error: BaseException) -> None:
        """Count a failure of the guard."""
        self.failures[name] += 1

    def report(self, incident: Incident) -> None:
        """Count an incident; may be called from any thread."""
        if not incident.resolved:
            model = incident.model if incident.model in self._models else UNKNOWN if incident.model else ""
            self.incidents[incident.finding.rule, incident.finding.severity.value, model] += 1
