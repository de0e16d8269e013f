"""A short vector for each input, in which distances are as between inputs."""

import numpy as np
from numpy.typing import NDArray

PLACES = 1024
"""At most so many numbers of an input are looked at, so that the cost does not grow with it."""


class Sketcher:
    """Random projections (Johnson and Lindenstrauss 1984) of places that are drawn once, with a secret seed."""

    def __init__(self, size: int, length: int, seed: int) -> None:
        """For inputs of `size` numbers, sketches of `length`."""
        random = np.random.default_rng(seed)
        self._whole = size <= PLACES
        self._places = np.arange(size) if self._whole else np.sort(random.choice(size, PLACES, replace=False))
        count = len(self._places)
        # Divided so that the square of a distance is, on average, that of the whole inputs.
        scale = np.sqrt(size / count / length)
        self._projection = (random.standard_normal((count, length)) * scale).astype(np.float32)

    def __call__(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Sketches (n, length) of inputs (n, size), or one of one."""
        seen = inputs if self._whole else inputs[..., self._places]
        sketches: NDArray[np.float32] = seen @ self._projection
        return sketches


class Nearness:
    """How probable it is that the nearest of k unrelated benign inputs is as near as that.

    From the distances of pairs of benign inputs: where a share p of pairs is as near, then among k inputs one is with
    probability 1 - (1 - p)^k.
    """

    def __init__(self, squares: NDArray[np.float64], shares: NDArray[np.float64]) -> None:
        """Squared distances, ascending, and the shares of pairs that are as near."""
        self.squares = squares
        self.shares = shares

    @classmethod
    def of(cls, sketches: NDArray[np.float32]) -> "Nearness":
        """From sketches (n, length) of benign inputs."""
        norms = np.square(sketches).sum(1)
        squares = norms[:, None] + norms - 2 * sketches @ sketches.T
        pairs = np.sort(np.maximum(squares[np.triu_indices(len(sketches), 1)], 0)).astype(np.float64)
        # Every pair at the near end, which is what matters, and fewer the farther.
        ranks = np.unique(np.geomspace(1, len(pairs), 512).astype(np.int64))
        return cls(pairs[ranks - 1], ranks / (len(pairs) + 1))

    def surprises(self, squares: NDArray[np.floating], among: NDArray[np.int64]) -> NDArray[np.float64]:
        """Minus the logs of those probabilities, for squared distances (n,) to the nearest among so many (n,)."""
        known, shares = self.squares, self.shares
        index = known.searchsorted(squares, "right")
        # Nearer than every benign pair: the share falls with the square of the distance, as in two dimensions at least.
        nearer = shares[0] * np.clip(squares / (known[0] + 1e-12), 1e-9, 1.0)
        share = np.minimum(np.where(index > 0, shares[index - 1], nearer), 1 - 1e-12)
        return np.asarray(-np.log(np.minimum(1.0, -np.expm1(among * np.log1p(-share)) + 1e-300)))
