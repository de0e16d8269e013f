"""Which of several sizes are too small to come from the same stock."""

import functools
import math
from collections.abc import Sequence

import numpy as np
from scipy import stats  # type: ignore[import-untyped]

SPREAD_OF_NORMAL = 1.4826
"""The standard deviation of a normal distribution, in median absolute deviations."""


def indexes(sizes: Sequence[float]) -> tuple[float, ...]:
    """How far below the median each size is, in robust standard deviations of the logarithms.

    Wang et al. (2019, section IV-B) take deviations of the sizes themselves and flag what is beyond 2. Sizes of
    natural triggers are spread over factors, not sums, so logarithms are taken here; and since a third of all clean
    models of ten classes have an index beyond 2 by chance, the index only describes, and `too_small` decides.
    """
    logarithms = _logarithms(sizes)
    deviations = np.median(logarithms) - logarithms
    spread = SPREAD_OF_NORMAL * float(np.median(np.abs(deviations)))
    if spread == 0:
        return tuple(0.0 if deviation == 0 else math.copysign(math.inf, deviation) for deviation in deviations)
    return tuple(float(deviation / spread) for deviation in deviations)


def too_small(sizes: Sequence[float], *, false_alarms: float = 0.05) -> frozenset[int]:
    """The places of sizes that are too small, by a generalised extreme studentized deviate test (Rosner 1983).

    One-sided, on logarithms, for up to a third of the sizes. `false_alarms` is about the probability of any find among
    sizes of one log-normal distribution; for that, the second find and later ones are held to a fifth of it. Fewer
    than five sizes leave no room to tell, and none is found.
    """
    count = len(sizes)
    if count < 5:
        return frozenset()
    values = _logarithms(sizes)
    left = list(range(count))
    found: frozenset[int] = frozenset()
    for finds in range(count // 3):
        remaining = values[left]
        spread = float(remaining.std(ddof=1))
        if spread == 0:
            break
        smallest = int(remaining.argmin())
        deviation = (float(remaining.mean()) - float(remaining[smallest])) / spread
        limit = _limit(len(left), false_alarms / (5 if finds else 1))
        left.pop(smallest)
        if deviation > limit:
            found = frozenset(range(count)) - frozenset(left)
    return found


@functools.cache
def _limit(count: int, false_alarms: float) -> float:
    """What the largest of `count` studentized deviations exceeds by chance (Rosner 1983, equation 2.5, one-sided)."""
    quantile = float(stats.t.ppf(1 - false_alarms / count, count - 2))
    return (count - 1) * quantile / math.sqrt((count - 2 + quantile**2) * count)


def _logarithms(sizes: Sequence[float]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.log(np.maximum(np.asarray(sizes, np.float64), 1e-6))
