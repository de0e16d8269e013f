"""Which columns of a table an estimator takes, in which order, and as what."""

import contextlib
import importlib.util
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from garrison.core.errors import UsageError
from garrison.robustness.data import Data


@dataclass(frozen=True, eq=False)
class Columns:
    """How inputs are handed to an estimator."""

    order: tuple[int, ...] | None = None
    """Columns of the data, in the estimator's order; `None` for all as they are."""
    names: tuple[str, ...] = ()
    """What the estimator calls them; empty where it was fitted on an array."""
    categories: tuple[tuple[str, ...], ...] = ()
    """Of each column, what its numbers stand for; empty for those that are numbers."""
    notes: tuple[str, ...] = ()

    def selected(self, inputs: Tensor) -> Tensor:
        """The estimator's columns (n, features) of inputs (n, *shape)."""
        flat = inputs.flatten(1)
        return flat if self.order is None else flat[:, list(self.order)]

    def raw(self, inputs: NDArray[np.float32], *, decoded: bool) -> Any:
        """What the estimator was fitted on: an array, or a frame of pandas where columns have names.

        With `decoded` the numbers of categories become the categories themselves.
        """
        if not self.names or importlib.util.find_spec("pandas") is None:
            return inputs
        import pandas  # type: ignore[import-untyped]

        values: dict[str, Any] = {}
        for position, name in enumerate(self.names):
            column: Any = inputs[:, position]
            if decoded and self.categories[position]:
                known = np.array(self.categories[position], dtype=object)
                column = known[np.clip(np.rint(column), 0, len(known) - 1).astype(int)]
            values[name] = column
        return pandas.DataFrame(values)


def columns(estimator: Any, data: Data | None) -> Columns:
    """Of a fitted estimator, for data; raises `UsageError` where the data lacks some."""
    return matched(
        tuple(map(str, getattr(estimator, "feature_names_in_", ()))), getattr(estimator, "n_features_in_", None), data
    )


def matched(expected: tuple[str, ...], count: int | None, data: Data | None) -> Columns:
    """Of a model that takes `count` features, by their names if it has any. Raises `UsageError` where some lack."""
    if data is None or not isinstance(data.inputs, np.ndarray):
        return Columns(names=expected, categories=((),) * len(expected))
    width = int(np.prod(data.inputs.shape[1:]))
    if expected and data.features:
        if missing := [name for name in expected if name not in data.features]:
            if width == len(expected):
                pair = f"it calls the first {expected[0]!r}, and the data {data.features[0]!r}"
                note = f"its columns are taken by position: {pair}"
                return Columns(None, expected, _categories(data, data.features), (note,))
            raise UsageError(f"the data lacks {len(missing)} of the model's columns, such as {missing[0]!r}")
        order = tuple(data.features.index(name) for name in expected)
        in_order = order == tuple(range(width))
        return Columns(None if in_order else order, expected, _categories(data, expected))
    if count is not None and count != width:
        raise UsageError(f"the model takes {count} features, and the data has {width}")
    return Columns(None, expected, ((),) * len(expected))


def _categories(data: Data, names: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    return tuple(data.categories.get(name, ()) for name in names)


@contextlib.contextmanager
def without_feature_name_warnings() -> Iterator[None]:
    """What scikit-learn says when an array has no names is no news here: the columns were matched before."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="X (does not have valid|has) feature names", category=UserWarning)
        yield
