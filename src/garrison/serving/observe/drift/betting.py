"""Whether a mean has risen above what it may be, at any time, by betting against that it has not.

Each row multiplies a stake by 1 + f (x / m - 1), a fair or a losing bet while the mean of x is at most m, whatever its
distribution on [0, 1] (Waudby-Smith and Ramdas 2024, arXiv 2010.09686). A new stake is put up with every row, and
their sum is watched: an e-detector of Shiryaev and Roberts' kind (Shin, Ramdas and Rinaldo 2022, arXiv 2203.03532,
section 2), which passes a level c once in c rows at the most, on average. Several f are mixed.
"""

_BETS = (0.02, 0.05, 0.1, 0.2, 0.4)
_MOST = 1e300


class Betting:
    """Watches that the mean of numbers from 0 to 1 stays at or below `mean`."""

    def __init__(self, mean: float, run_length: float) -> None:
        self._mean = min(max(mean, 1e-3), 1.0)
        self.limit = run_length
        self._sums = [0.0] * len(_BETS)

    def add(self, value: float) -> bool:
        """Take in one number from 0 to 1. Returns whether the mean is held to have risen."""
        gain = value / self._mean - 1
        self._sums = [min((1 + total) * (1 + bet * gain), _MOST) for total, bet in zip(self._sums, _BETS, strict=True)]
        return self.evidence() >= self.limit

    def evidence(self) -> float:
        """What is watched; the limit is `limit`."""
        return sum(self._sums) / len(self._sums)

    def clear(self) -> None:
        """Begin anew."""
        self._sums = [0.0] * len(_BETS)
