"""Maximum mean discrepancy by random Fourier features (Gretton et al. 2012; Rahimi and Recht 2007).

It sees what means and variances do not: features that keep their own distributions and change how they go together.
The mean of a window's features beside that of the reference is a vector of fixed length, whatever the kernel sees.
"""

import numpy as np
from numpy.typing import NDArray

FEATURES = 128
_SIMULATED = 2_000
_EXCURSIONS = 50


class Window:
    """Adds up rows until a window is full, and then says how far it is from the reference."""

    def __init__(
        self, frequencies: NDArray[np.float32], phases: NDArray[np.float32], mean: NDArray[np.float32], rows: int
    ) -> None:
        """Frequencies (numbers, FEATURES), phases and the reference's mean (FEATURES,); `rows` make a window."""
        self._frequencies, self._phases, self._mean, self.rows = frequencies, phases, mean, rows
        self._sum = np.zeros(len(phases), np.float64)
        self._count = 0

    def add(self, white: NDArray[np.float32]) -> list[tuple[int, float]]:
        """Take in rows (n, numbers). Returns for each window that they fill the row that does, and the discrepancy."""
        found = []
        start = 0
        while start < len(white):
            part = white[start : start + self.rows - self._count]
            self._sum += features(part, self._frequencies, self._phases).sum(0)
            self._count += len(part)
            start += len(part)
            if self._count == self.rows:
                found.append((start - 1, discrepancy(self._sum / self.rows, self._mean)))
                self._sum[:] = 0
                self._count = 0
        return found


def features(
    white: NDArray[np.float32], frequencies: NDArray[np.float32], phases: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Cosines (n, FEATURES) of rows (n, numbers)."""
    return np.asarray(np.cos(white @ frequencies + phases))


def discrepancy(one: NDArray[np.floating], other: NDArray[np.floating]) -> float:
    """The squared discrepancy of two mean vectors of features."""
    return float(2 * np.square(one - other).mean())


def drawn(white: NDArray[np.float32], seed: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Frequencies and phases for a Gaussian kernel as wide as the median distance of rows (n, numbers)."""
    random = np.random.default_rng(seed)
    some = white[random.integers(0, len(white), (2, 500))]
    width = max(float(np.median(np.linalg.norm(some[0] - some[1], axis=1))), 1e-3)
    frequencies = random.standard_normal((white.shape[1], FEATURES)) / width
    return frequencies.astype(np.float32), random.uniform(0, 2 * np.pi, FEATURES).astype(np.float32)


def limit(values: NDArray[np.float32], mean: NDArray[np.float32], rows: int, share: float, seed: int) -> float:
    """What a share of windows of so many rows exceeds, drawn from features (n, FEATURES) that the mean does not know.

    Beyond what the simulation reaches, the tail goes on exponentially, as that of a weighted sum of squares does; two
    standard errors are added.
    """
    random = np.random.default_rng(seed)
    found = np.empty(_SIMULATED)
    for number in range(_SIMULATED):
        found[number] = discrepancy(values[random.integers(0, len(values), rows)].mean(0), mean)
    found = np.sort(found)[::-1]
    beyond = float((found[:_EXCURSIONS] - found[_EXCURSIONS]).mean()) * (1 + 2 / _EXCURSIONS**0.5)
    return float(found[_EXCURSIONS] + beyond * max(np.log(_EXCURSIONS / _SIMULATED / share), 0.0))
