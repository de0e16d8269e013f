"""From which earlier query each query comes, and how surprising the whole chain is.

The idea is Query Provenance Analysis (Li et al. 2024, arXiv 2405.20641): not the single query tells an attack, which
one can space out (OARS, Feng et al. 2023), but the sequence that it continues. Here every query has as its parent
the nearest earlier one of its principal, and adds to the parent's score how surprising that nearness is among benign
inputs, less an allowance (Page 1954, CUSUM). What is no nearer than the allowance begins a chain of its own, and two
benign inputs that happen to be alike make one of a single link.
"""

import numpy as np
from numpy.typing import NDArray

from garrison.robustness.detection.sequences.sketches import Nearness

ALLOWANCE = 3.0
"""In nats: nearness that one benign query in twenty has adds nothing."""
_MOST = 1e6


class Provenance:
    """The last queries of one principal, with their chains' scores, in memory that does not grow."""

    def __init__(self, memory: int, length: int) -> None:
        self.sketches = np.zeros((memory, length), dtype=np.float32)
        self.norms = np.full(memory, np.inf, dtype=np.float32)
        """Of what is empty, such that it is near to nothing."""
        self.scores = np.zeros(memory, dtype=np.float64)
        self.seen = 0

    def add(self, sketches: NDArray[np.float32], nearness: Nearness) -> tuple[list[float], list[float]]:
        """Take in queries (n, length), no more than are remembered, the earliest first.

        Returns the scores of the chains that they continue, and the distances to their parents, infinite without one.
        """
        count, memory = len(sketches), len(self.norms)
        norms = np.square(sketches).sum(1)
        squares = self.norms - 2 * (sketches @ self.sketches.T)
        places = (self.seen + np.arange(count)) % memory
        # A query finds in the place of one just before it what that one has put there.
        within = norms - 2 * (sketches @ sketches.T)
        squares[:, places] = np.where(np.tri(count, k=-1, dtype=bool), within, squares[:, places])
        parents = squares.argmin(1)
        # What is left of the difference of nearly equal numbers is rounding.
        nearest = np.maximum(squares[np.arange(count), parents] + norms, np.maximum(1e-6 * norms, 0.0))
        known = np.minimum(self.seen + np.arange(count), memory)
        surprises = np.where(known > 0, nearness.surprises(nearest, np.maximum(known, 1)), 0.0)
        distances = np.where(known > 0, np.sqrt(nearest), np.inf).tolist()
        scores = []
        for place, parent, surprise in zip(places.tolist(), parents.tolist(), surprises.tolist(), strict=True):
            continues = surprise > ALLOWANCE
            score = min(float(self.scores[parent]) + surprise - ALLOWANCE, _MOST) if continues else 0.0
            self.scores[place] = score
            scores.append(score)
        self.sketches[places], self.norms[places] = sketches, norms
        self.seen += count
        return scores, distances
