"""Whether distances between queries look like those of natural inputs (PRADA; Juuti et al. 2019, EuroS&P).

The distance of each query to the nearest earlier one of the same class is, for natural inputs, about normally
distributed; for inputs that an algorithm makes it is not. The paper tests with Shapiro and Wilk's W over all
distances; here it is Shapiro and Francia's W' (1972) over the last ones, which is the same test but for weights that
can be written down, and costs the same however long a principal stays.
"""

import math
import statistics
from collections import deque

import numpy as np
from numpy.typing import NDArray

WINDOW = 100
EVERY = 10
"""The statistic is computed anew after so many queries."""


def _normal_scores() -> NDArray[np.float64]:
    normal = statistics.NormalDist()
    scores = np.array([normal.inv_cdf((rank - 0.375) / (WINDOW + 0.25)) for rank in range(1, WINDOW + 1)])
    return np.asarray(scores / np.linalg.norm(scores))


_SCORES = _normal_scores()


class Normality:
    """The last distances of one principal."""

    def __init__(self) -> None:
        self.distances: deque[float] = deque(maxlen=WINDOW)
        self.seen = 0
        self.value: float | None = None
        """From 0 to 1, 1 for a perfect normal distribution; `None` before there are enough."""
        self.computed = False
        """Whether the last query was one after which it was computed anew."""

    def add(self, distance: float) -> float | None:
        """Take in the distance of a query to the nearest earlier one; infinite for the first. Returns `value`."""
        self.computed = False
        if distance != math.inf:
            self.distances.append(distance)
            self.seen += 1
            if len(self.distances) == WINDOW and self.seen % EVERY == 0:
                self.value = statistic(np.fromiter(self.distances, np.float64, WINDOW))
                self.computed = True
        return self.value


def least(values: NDArray[np.float64], share: float) -> float:
    """The value that a share of natural windows is below, from values (n,) of other ones that do not overlap.

    There are never as many as the share would take, so it rests on log(1 - W') being about normal (Royston 1992);
    a quarter is added to the deviation, since it is estimated.
    """
    logs = np.log(np.maximum(1 - values, 1e-12))
    deviation = float(logs.std(ddof=1)) if len(values) > 1 else 1.0
    return float(1 - np.exp(logs.mean() - 1.25 * deviation * statistics.NormalDist().inv_cdf(share)))


def statistic(distances: NDArray[np.float64]) -> float:
    """W' of `WINDOW` distances, what is beyond three deviations left where those are (section 4.2 of the paper)."""
    ordered = np.sort(distances)
    mean, deviation = ordered.mean(), ordered.std()
    if deviation <= 1e-12 * max(abs(mean), 1e-300):
        return 0.0  # all the same, which natural distances never are
    ordered = np.clip(ordered, mean - 3 * deviation, mean + 3 * deviation)
    centred = ordered - ordered.mean()
    return float((centred @ _SCORES) ** 2 / (centred @ centred))
