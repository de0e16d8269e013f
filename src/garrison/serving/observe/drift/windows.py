"""The last window beside the reference, feature by feature, for people to read: it raises no alarms.

The population stability index is that of credit scoring (Siddiqi 2006), the distance Kolmogorov and Smirnov's.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

BINS = 10
SHOWN = 64
"""Columns that are compared; of more, those that are spread evenly over them."""
_KEPT = 512
"""Rows of a window that are kept; of more, the first."""


def edges_of(sample: NDArray[np.float32], categories: list[int]) -> NDArray[np.float32]:
    """Inner bounds (columns, BINS - 1) of bins with equal shares of a sample (n, columns); codes of categories have
    bins of their own as far as they go."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # columns that are all missing
        edges = np.nanquantile(sample, np.arange(1, BINS) / BINS, axis=0).T.astype(np.float32)
    for at in categories:
        edges[at] = np.arange(BINS - 1) - 0.5
    return np.nan_to_num(edges)


def compared(
    window: NDArray[np.float32], sample: NDArray[np.float32], edges: NDArray[np.float32], names: tuple[str, ...]
) -> list[dict[str, Any]]:
    """For each column: `psi`, `ks` and the share of rows where it is `missing`, the largest index first."""
    rows = []
    for at, name in enumerate(names):
        now, before = (part[:, at][np.isfinite(part[:, at])] for part in (window, sample))
        missing = round(1 - len(now) / max(len(window), 1), 4)
        if not len(now) or not len(before):
            rows.append({"feature": name, "psi": None, "ks": None, "missing": missing})
            continue
        shares = [
            (np.bincount(np.searchsorted(edges[at], part, "left"), minlength=BINS) + 0.5) / (len(part) + BINS / 2)
            for part in (now, before)
        ]
        psi = float(((shares[0] - shares[1]) * np.log(shares[0] / shares[1])).sum())
        now, before = np.sort(now), np.sort(before)
        both = np.concatenate([now, before])
        gaps = np.searchsorted(now, both, "right") / len(now) - np.searchsorted(before, both, "right") / len(before)
        rows.append(
            {"feature": name, "psi": round(psi, 4), "ks": round(float(np.abs(gaps).max()), 4), "missing": missing}
        )
    return sorted(rows, key=lambda row: -(row["psi"] or 0.0))


class Windows:
    """Keeps rows of the window that runs, and those of the last one that was full or had its time."""

    def __init__(self, rows: int, seconds: float, clock: Callable[[], float]) -> None:
        self._rows, self._seconds, self._clock = rows, seconds, clock
        self._parts: list[NDArray[np.float32]] = []
        self._kept = self.seen = 0
        self._began = clock()
        self.last: NDArray[np.float32] | None = None
        self.last_seen = 0

    def add(self, rows: NDArray[np.float32]) -> None:
        """Take in rows (n, columns)."""
        now = self._clock()
        if self.seen and (self.seen >= self._rows or now - self._began >= self._seconds):
            self.last, self.last_seen = self.current(), self.seen
            self._parts, self._kept, self.seen = [], 0, 0
        if not self.seen:
            self._began = now
        self.seen += len(rows)
        if self._kept < _KEPT:
            part = rows[: _KEPT - self._kept].copy()
            self._parts.append(part)
            self._kept += len(part)

    def current(self) -> NDArray[np.float32] | None:
        """What is kept of the window that runs."""
        return np.concatenate(self._parts) if self._parts else None
