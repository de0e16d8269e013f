"""Whether classes are decided for as often as in the reference, at any time, with false alarms under control.

Evidence is a ratio of two predictions of the next decision: by a Dirichlet mixture around the reference's shares
against what the reference's own counts predict (Lindon and Malek 2022, arXiv 2011.03567). The second leaves open what
a reference of finite size leaves open, so the promise holds on average over that. Such an e-process answers "since the
start"; for a change at any time a new one starts every so many rows, and their sum is watched: an e-detector (Shin,
Ramdas and Rinaldo 2022, arXiv 2203.03532), which passes a level c once in `c * EVERY` rows at the most, on average.
"""

import math
from collections import deque

import numpy as np
from numpy.typing import NDArray

EVERY = 100
_STARTS = 10
"""Of which the oldest is forgotten: leaving evidence out raises no false alarm."""
_CONCENTRATION = 30.0
"""How closely the mixture lies around the reference, in decisions."""


class Shares:
    """The decisions of one model."""

    def __init__(self, counts: NDArray[np.floating], run_length: float) -> None:
        """`counts` (classes,) of the reference; a false alarm in `run_length` rows, on average, at the most."""
        known = np.asarray(counts, np.float64) + 0.5
        self._known = known.tolist()
        self._other = (_CONCENTRATION * known / known.sum() + 0.5).tolist()
        self.limit = math.log(run_length / EVERY + 1)
        self._started: deque[list[int]] = deque(maxlen=_STARTS)
        self._seen = 0

    def add(self, decided: NDArray[np.intp]) -> tuple[float, int]:
        """Take in decisions (n,). Returns the log of the evidence, the highest that it came to, and at which row."""
        best, place, start = -math.inf, 0, 0
        while start < len(decided):
            if self._seen % EVERY == 0:
                self._started.append([0] * len(self._known))
            part = decided[start : start + EVERY - self._seen % EVERY]
            counts = np.bincount(part, minlength=len(self._known)).tolist()
            for kept in self._started:
                for at, count in enumerate(counts):
                    if count:
                        kept[at] += count
            self._seen += len(part)
            start += len(part)
            evidence = self.evidence()
            if evidence > best:
                best, place = evidence, start - 1
        return best, place

    def evidence(self) -> float:
        """The log of the sum of all that run."""
        logs = [self._log(counts) for counts in self._started]
        highest = max(logs, default=0.0)
        return highest + math.log(sum(math.exp(one - highest) for one in logs)) if logs else -math.inf

    def clear(self) -> None:
        """Begin anew."""
        self._started.clear()
        self._seen = 0

    def _log(self, counts: list[int]) -> float:
        return _predicted(counts, self._other) - _predicted(counts, self._known)


def _predicted(counts: list[int], prior: list[float]) -> float:
    """The log probability of decisions with these counts, one after the other, under a Dirichlet prior."""
    whole = sum(prior)
    found = math.lgamma(whole) - math.lgamma(whole + sum(counts))
    for count, before in zip(counts, prior, strict=True):
        if count:
            found += math.lgamma(before + count) - math.lgamma(before)
    return found
