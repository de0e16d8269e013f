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

    def add(self, sketch: NDArray[np.float32], nearness: Nearness) -> tuple[float, float]:
        """Take in a query. Returns the score of the chain that it continues, and the distance to its parent."""
        memory = len(self.norms)
        norm = float(sketch @ sketch)
        known = min(self.seen, memory)
        score, distance = 0.0, float("inf")
        if known:
            squares = self.norms - 2 * (self.sketches @ sketch)
            parent = int(squares.argmin())
            # What is left of the difference of nearly equal numbers is rounding.
            square = max(float(squares[parent]) + norm, 1e-6 * norm, 0.0)
            distance = square**0.5
            surprise = nearness.surprise(square, known)
            if surprise > ALLOWANCE:
                score = min(float(self.scores[parent]) + surprise - ALLOWANCE, _MOST)
        place = self.seen % memory
        self.sketches[place], self.norms[place], self.scores[place] = sketch, norm, score
        self.seen += 1
        return score, distance
