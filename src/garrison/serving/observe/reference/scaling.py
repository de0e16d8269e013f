"""From rows of features to a few numbers that are uncorrelated and of variance one where all is well."""

from typing import Self

import numpy as np
from numpy.typing import NDArray

from garrison.serving.observe.reference.columns import Column

COMPONENTS = 16
_FAR = 8.0
"""Deviations beyond which a feature counts as this far: one broken number shall not outweigh all others."""
_FAR_WHITE = 5.0

Array = NDArray[np.float32]


class Scaling:
    """Standardises features, and turns them to their principal axes."""

    def __init__(self, columns: tuple[Column, ...], arrays: dict[str, Array]) -> None:
        """`arrays` are `means` and `scales` (features,), `axes` (features, components), `rest` (2,)."""
        self._numbers = np.array([at for at, one in enumerate(columns) if one.kind != "category"], dtype=np.intp)
        self._categories = [(at, len(one.levels)) for at, one in enumerate(columns) if one.kind == "category"]
        self.means, self.scales, self.axes = arrays["means"], arrays["scales"], arrays["axes"]
        self._rest = arrays["rest"]
        self._all_numbers = not self._categories
        self._inverse = np.float32(1) / self.scales
        self.names = _names(columns)

    @classmethod
    def fit(cls, columns: tuple[Column, ...], rows: Array) -> Self:
        """From rows (n, columns), of which some features may be NaN."""
        plain = cls(columns, {"means": np.zeros(0, np.float32), "scales": np.ones(0, np.float32),
                              "axes": np.zeros((0, 0), np.float32), "rest": np.array([0, 1], np.float32)})  # fmt: skip
        features = plain.features(rows).astype(np.float64)
        seen = np.isfinite(features)
        count = np.maximum(seen.sum(0), 1)
        means = np.where(seen, features, 0).sum(0) / count
        scales = np.sqrt(np.where(seen, (features - means) ** 2, 0).sum(0) / count)
        # What never changes in the reference counts as changing a little, so that a change of it is seen.
        usual = float(np.median(scales[scales > 0])) if (scales > 0).any() else 1.0
        scales = np.maximum(scales, 0.05 * usual)
        standard = np.clip(np.where(seen, (features - means) / scales, 0), -_FAR, _FAR)
        values, vectors = np.linalg.eigh(standard.T @ standard / len(standard))
        order = np.argsort(-values)[: min(COMPONENTS, len(rows) // 10 + 1)]
        order = order[values[order] > 1e-6 * max(values.max(), 1e-12)]
        axes = vectors[:, order] / np.sqrt(values[order])
        arrays = {"means": means, "scales": scales, "axes": axes, "rest": np.array([0, 1])}
        found = cls(columns, {name: np.ascontiguousarray(array, np.float32) for name, array in arrays.items()})
        rest = found._left_over(standard.astype(np.float32), standard.astype(np.float32) @ found.axes)
        found._rest = np.array([rest.mean(), max(float(rest.std()), 1e-3)], np.float32)
        return found

    def arrays(self) -> dict[str, Array]:
        return {"means": self.means, "scales": self.scales, "axes": self.axes, "rest": self._rest}

    def features(self, rows: Array) -> Array:
        """Rows (n, features): numbers as they are, categories as one of each level's 0 and 1."""
        if self._all_numbers:
            return rows
        parts = [rows[:, self._numbers]] if len(self._numbers) else []
        parts += [(rows[:, at, None] == np.arange(levels, dtype=np.float32)).astype(np.float32)
                  for at, levels in self._categories]  # fmt: skip
        return np.concatenate(parts, axis=1)

    def standard(self, rows: Array) -> tuple[Array, Array]:
        """Features (n, features) in deviations from their means, what is missing at the mean; and the share (n,) of
        features that are missing."""
        with np.errstate(over="ignore", invalid="ignore"):
            scaled = (self.features(rows) - self.means) * self._inverse
            broken = not np.isfinite(scaled.sum())
        missing = np.zeros(len(rows), np.float32)
        if broken:
            absent = np.isnan(scaled)
            missing = absent.mean(1, dtype=np.float32)
            scaled[absent] = 0
        return np.clip(scaled, -_FAR, _FAR, out=scaled), missing

    def moments(self, standard: Array, missing: Array) -> Array:
        """What charts watch (n, 2 * components + 2): the principal components, their squares less one, how much the
        components leave over, and what is missing."""
        white = standard @ self.axes
        left = (self._left_over(standard, white) - self._rest[0]) / self._rest[1]
        np.clip(white, -_FAR_WHITE, _FAR_WHITE, out=white)
        count = white.shape[1]
        moments = np.empty((len(white), 2 * count + 2), np.float32)
        moments[:, :count] = white
        np.square(white, out=moments[:, count : 2 * count])
        moments[:, count : 2 * count] -= 1
        moments[:, 2 * count] = np.clip(left, -_FAR_WHITE, _FAR_WHITE)
        moments[:, 2 * count + 1] = missing
        return moments

    def _left_over(self, standard: Array, white: Array) -> Array:
        """The log of the squared length that lies beside the principal axes."""
        whole = np.einsum("ij,ij->i", standard, standard)
        along = np.square(white) @ (1 / np.maximum(np.square(self.axes).sum(0), 1e-12))
        return np.asarray(np.log1p(np.maximum(whole - along, 0)), np.float32)


def _names(columns: tuple[Column, ...]) -> tuple[str, ...]:
    numbers = [one.name for one in columns if one.kind != "category"]
    levels = [f"{one.name} = {level}" for one in columns if one.kind == "category" for level in one.levels]
    return tuple(numbers + levels)
