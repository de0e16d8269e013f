"""A multivariate exponentially weighted moving average (Lowry, Woodall, Champ and Rigdon 1992, Technometrics 34).

It runs over first and second moments together, so that it sees means and variances move. Rows are taken in by the
batch, and what comes out is what one row after the other would give.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

BATCH = 64
"""Rows that are taken in at once."""


class Chart:
    """One memory: the weighted mean of the last rows, and how far it is from where it should be."""

    def __init__(self, memory: float, covariance: NDArray[np.floating], centre: NDArray[np.floating]) -> None:
        """`memory` is in rows: that of a mean over as many. `covariance` and `centre` are those of rows."""
        self.weight = 2 / (memory + 1)
        self._centre = np.asarray(centre, np.float32)
        # Of the mean, once it has forgotten its beginning. A little is added, where a column hardly varies.
        spread = np.asarray(covariance, np.float64) * self.weight / (2 - self.weight)
        spread += np.eye(len(spread)) * max(1e-4 * float(np.trace(spread)) / len(spread), 1e-12)
        self._root = np.linalg.cholesky(np.linalg.inv(spread)).astype(np.float32)
        self.mean = np.zeros(len(spread), np.float32)
        ages = np.arange(BATCH)
        later = ages[:, None] - ages
        self._weights = np.where(later >= 0, self.weight * (1 - self.weight) ** np.maximum(later, 0), 0).astype(
            np.float32
        )
        self._fading = ((1 - self.weight) ** (ages + 1)).astype(np.float32)[:, None]

    def add(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Take in rows (n, numbers). Returns Hotelling's T² (n,) of the mean after each."""
        found = np.empty(len(rows), np.float32)
        for start in range(0, len(rows), BATCH):
            part = rows[start : start + BATCH] - self._centre
            count = len(part)
            means = self._weights[:count, :count] @ part
            means += self._fading[:count] * self.mean
            self.mean = means[-1].copy()
            turned = means @ self._root
            found[start : start + count] = np.einsum("ij,ij->i", turned, turned)
        return found

    def clear(self) -> None:
        """Forget all rows."""
        self.mean[:] = 0


class Tracked:
    """The moving mean and mean square of every feature: what moved, once a chart says that something has."""

    def __init__(self, memory: float, features: int) -> None:
        self._memory = memory
        self._keep = 1 - 2 / (memory + 1)
        self.mean = np.zeros(features, np.float32)
        self.square = np.ones(features, np.float32)

    def add(self, standard: NDArray[np.float32]) -> None:
        """Take in rows (n, features) of standardised features."""
        weights = ((1 - self._keep) * self._keep ** np.arange(len(standard) - 1, -1, -1)).astype(np.float32)
        fading = np.float32(self._keep ** len(standard))
        self.mean = fading * self.mean + weights @ standard
        self.square = fading * self.square + weights @ np.square(standard)

    def moved(self, names: tuple[str, ...], most: int = 5) -> list[dict[str, Any]]:
        """The features that moved most: by how many of their deviations the mean, and the variance as a multiple."""
        variance = np.maximum(self.square - np.square(self.mean), 0)
        # In standard errors, so that both are on one scale.
        size = np.maximum(np.abs(self.mean), np.abs(variance - 1) / 2**0.5)
        order = np.argsort(-size)[:most]
        return [
            {"feature": names[at], "mean": round(float(self.mean[at]), 3), "variance": round(float(variance[at]), 3)}
            for at in order
        ]
