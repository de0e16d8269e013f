"""How well scores tell two groups apart, with intervals that hold for few examples too."""

import math

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq  # type: ignore[import-untyped,unused-ignore]
from scipy.special import betaincinv  # type: ignore[import-untyped,unused-ignore]

from garrison.core.robustness_card import Estimate

Array = NDArray[np.float64]

_Z = 1.959963984540054
"""The normal quantile of a two-sided 95 % interval."""
_TINY = 1e-12
_THRESHOLD, _SHARE = 0.02, 0.005
"""The error that each one-sided bound of the threshold and of the share beyond it may make: 5 % with both sides. The
threshold gets the most, for it is what few negatives leave uncertain."""


def area(positives: Array, negatives: Array) -> float:
    """Area under the ROC curve: how often a positive scores higher than a negative, half of ties counted."""
    ordered = np.sort(negatives)
    below, up_to = np.searchsorted(ordered, positives, "left"), np.searchsorted(ordered, positives, "right")
    return float((below + up_to).mean() / 2 / len(negatives))


def deviation(auc: float, positives: int, negatives: int) -> float:
    """Standard error of an area (Hanley and McNeil 1982, with both groups at their mean size as Newcombe 2006 does)."""
    mean = (positives + negatives) / 2 - 1
    spread = 1 + mean * (1 - auc) / (2 - auc) + mean * auc / (1 + auc)
    return math.sqrt(max(auc * (1 - auc) * spread, 0.0) / (positives * negatives))


def auc(positives: Array, negatives: Array) -> Estimate:
    """The area with its 95 % interval (Newcombe 2006, method 5), which has a width at 0 and 1 too."""
    value = area(positives, negatives)

    def beyond(candidate: float) -> float:
        return abs(value - candidate) - _Z * deviation(candidate, len(positives), len(negatives))

    low = 0.0 if value == 0 else brentq(beyond, 0.0, min(value, 1 - _TINY))
    high = 1.0 if value == 1 else brentq(beyond, max(value, _TINY), 1.0)
    return Estimate(value=value, low=float(low), high=float(high))


def true_positives(positives: Array, negatives: Array, false_positives: float) -> Estimate:
    """The true-positive rate at a false-positive rate, with a 95 % interval that assumes no distribution.

    The threshold is the lowest under which at most that share of the negatives seen is flagged. Its own uncertainty is
    in the interval: order statistics bound where the true threshold lies, and Clopper and Pearson's interval bounds
    the share of positives beyond.
    """
    negative, positive = np.sort(negatives)[::-1], np.sort(positives)
    count, of = len(negative), len(positive)
    flagged = of - int(np.searchsorted(positive, negative[allowed(false_positives, count)], "right"))
    # The false-positive rate beyond the j-th largest of n negatives is Beta(j, n - j + 1).
    ranks = np.arange(1, count + 1)
    surely_below = np.flatnonzero(betaincinv(ranks, count - ranks + 1, 1 - _THRESHOLD) <= false_positives)
    surely_above = np.flatnonzero(betaincinv(ranks, count - ranks + 1, _THRESHOLD) >= false_positives)
    low = of - int(np.searchsorted(positive, negative[surely_below[-1]], "right")) if len(surely_below) else 0
    high = of - int(np.searchsorted(positive, negative[surely_above[0]], "left")) if len(surely_above) else of
    return Estimate(
        value=flagged / of,
        low=0.0 if low == 0 else float(betaincinv(low, of - low + 1, _SHARE)),
        high=1.0 if high == of else float(betaincinv(high + 1, of - high, 1 - _SHARE)),
    )


def allowed(false_positives: float, negatives: int) -> int:
    """How many of so many negatives may be flagged at a false-positive rate."""
    return min(int(false_positives * negatives + 1e-9), negatives - 1)
