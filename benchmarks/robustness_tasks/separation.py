"""How well scores tell two groups apart: the same arithmetic for every library."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[Any]


def area(positives: Scores, negatives: Scores) -> float:
    """Area under the ROC curve, half of ties counted."""
    ordered = np.sort(negatives)
    below, up_to = np.searchsorted(ordered, positives, "left"), np.searchsorted(ordered, positives, "right")
    return float((below + up_to).mean() / 2 / len(negatives))


def true_positives(positives: Scores, negatives: Scores, rate: float) -> float:
    """The share of positives above the lowest threshold that at most `rate` of the negatives are above."""
    allowed = int(rate * len(negatives) + 1e-9)
    threshold = np.sort(negatives)[len(negatives) - 1 - allowed]
    return float((np.asarray(positives) > threshold).mean())
