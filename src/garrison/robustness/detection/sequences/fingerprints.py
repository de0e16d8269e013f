"""Fingerprints, of which those of nearly equal inputs share most (Blacklight; Li et al. 2022, USENIX Security).

Numbers are put into coarse levels, and groups of them hashed; an input that shares many hashes with one earlier query
is nearly the same. The paper hashes every window of neighbouring pixels, and so takes images with the same background
for the same; here the groups are drawn at random over the whole input, once, with a secret seed, which is also why
there need not be many.
"""

import numpy as np
from numpy.typing import NDArray

GROUPS = 32
_GROUP = 16
_LEVELS = 5
_FEW = 8
"""Queries up to which one after the other is cheaper than all at once."""


class Hasher:
    """The hashes of inputs of `size` numbers from `low` to `high`."""

    def __init__(self, size: int, low: float, high: float, seed: int) -> None:
        random = np.random.default_rng(seed)
        self._places = random.integers(0, size, (GROUPS, _GROUP))
        self._factors = random.integers(1, 2**62, (GROUPS, _GROUP), dtype=np.int64) | 1
        # Levels start at different heights, so that no small change crosses all of them at once.
        self._offset = (random.random((GROUPS, 1)) - low / max(high - low, 1e-12) * _LEVELS).astype(np.float32)
        self._scale = np.float32(_LEVELS / max(high - low, 1e-12))

    def __call__(self, inputs: NDArray[np.float32]) -> NDArray[np.uint32]:
        """The hashes (..., GROUPS) of inputs (..., size), none of them 0."""
        levels = (inputs[..., self._places] * self._scale + self._offset).astype(np.int64)
        mixed = (levels * self._factors).sum(-1)  # wraps around, as hashes may
        hashes: NDArray[np.uint32] = (mixed >> 31).astype(np.uint32) | np.uint32(1)
        return hashes


class Fingerprints:
    """The fingerprints of one principal's last queries, in memory that does not grow."""

    def __init__(self, memory: int) -> None:
        self.hashes = np.zeros((GROUPS, memory), dtype=np.uint32)
        """A column for each query; 0 where there was none."""
        self.seen = 0

    def add(self, hashes: NDArray[np.uint32]) -> NDArray[np.uint8]:
        """Take in queries (n, GROUPS), no more than are remembered, the earliest first.

        Returns for each how many hashes it shares with the earlier query that shares most.
        """
        count, memory = len(hashes), self.hashes.shape[1]
        if count <= _FEW:
            return np.array([self._added(one) for one in hashes], dtype=np.uint8)
        columns = np.ascontiguousarray(hashes.T)
        shared = np.zeros((count, memory), dtype=np.uint8)
        within = np.zeros((count, count), dtype=np.uint8)
        same = np.empty((count, memory), dtype=bool)
        same_bytes = same.view(np.uint8)  # numbers of one type are added faster than truths to numbers
        for known, new in zip(self.hashes, columns, strict=True):
            np.equal(known, new[:, np.newaxis], out=same)
            shared += same_bytes
            within += (new == new[:, np.newaxis]).view(np.uint8)
        places = (self.seen + np.arange(count)) % memory
        # A query finds in the place of one just before it what that one has put there.
        shared[:, places] = np.where(np.tri(count, k=-1, dtype=bool), within, shared[:, places])
        self.hashes[:, places] = columns
        self.seen += count
        most: NDArray[np.uint8] = shared.max(1)
        return most

    def _added(self, hashes: NDArray[np.uint32]) -> int:
        """The same for one query (GROUPS,)."""
        same = (self.hashes == hashes[:, np.newaxis]).view(np.uint8)
        shared = int(np.add.reduce(same, axis=0, dtype=np.uint8).max())
        self.hashes[:, self.seen % self.hashes.shape[1]] = hashes
        self.seen += 1
        return shared
