"""What a feature or group of one row can be set to: values that the data hold, within what is permitted."""

import numpy as np
from numpy.typing import NDArray

from garrison.robustness.tabular.constraints import Constraints, Group, Matrix, Numeric, Variable

Row = NDArray[np.float32]
FEW_VALUES = 24
"""A feature with no more values than this in the data is tried with each of them."""
QUANTILES = 17
"""Of others, so many quantiles are tried; a tree's thresholds lie between values of its training data."""


class Moves:
    """Settings of the variables of `constraints`. A setting is a number, or a position in a group."""

    def __init__(self, constraints: Constraints, rows: Matrix) -> None:
        """`rows` (n, features) are where values are taken from."""
        self.constraints = constraints
        self.variables = constraints.variables
        self._ladders = [_ladder(variable, rows) for variable in self.variables]

    def setting(self, which: int, row: Row) -> float:
        """What the variable is in `row` (features,)."""
        variable = self.variables[which]
        if isinstance(variable, Group):
            return float(row[variable.columns].argmax())
        return float(row[variable.column])

    def put(self, which: int, row: Row, setting: float) -> None:
        """Set the variable in `row` (features,), in place."""
        variable = self.variables[which]
        if isinstance(variable, Group):
            row[variable.columns] = 0
            row[variable.columns[int(setting)]] = 1
        else:
            row[variable.column] = setting

    def options(self, which: int, origin: Row) -> NDArray[np.float32]:
        """Permitted settings (k,) to try, ascending, the furthest among them, without the origin's own."""
        own = self.setting(which, origin)
        if np.isnan(own):
            return np.empty(0, dtype=np.float32)
        found = np.unique(self._permitted(which, own, self._ladders[which]))
        return np.asarray(found[found != np.float32(own)])

    def nearest(self, which: int, origin: Row, setting: float) -> float:
        """The permitted setting that is nearest to `setting`; the origin's own where there is no other."""
        own = self.setting(which, origin)
        if np.isnan(own) or np.isnan(setting):
            return own
        permitted = self._permitted(which, own, np.asarray([setting], dtype=np.float32))
        return float(permitted[0]) if len(permitted) else own

    def _permitted(self, which: int, own: float, targets: NDArray[np.float32]) -> NDArray[np.float32]:
        variable = self.variables[which]
        if isinstance(variable, Group) or variable.values:
            return _along(variable, own, targets)
        lower = max(variable.lower, own) if variable.direction == "up" else variable.lower
        upper = min(variable.upper, own) if variable.direction == "down" else variable.upper
        if lower > upper:
            return np.empty(0, dtype=np.float32)
        reached = np.clip(targets.astype(np.float64), lower, upper)
        if variable.step is not None:
            fewest = np.ceil((lower - own) / variable.step - 1e-6)
            furthest = np.floor((upper - own) / variable.step + 1e-6)
            if fewest > furthest:
                return np.empty(0, dtype=np.float32)
            steps = np.clip(np.rint((reached - own) / variable.step), fewest, furthest)
            reached = np.clip(own + steps * variable.step, lower, upper)
        return reached.astype(np.float32)


def _along(variable: Variable, own: float, targets: NDArray[np.float32]) -> NDArray[np.float32]:
    """Those of the settings that are permitted, of a variable that has a list of them."""
    if isinstance(variable, Numeric):
        targets = targets[np.isin(targets, np.asarray(variable.values, dtype=np.float32))]
    if variable.direction is None:
        return targets
    return targets[targets >= own] if variable.direction == "up" else targets[targets <= own]


def _ladder(variable: Variable, rows: Matrix) -> NDArray[np.float32]:
    """Settings (k,) to try, before it is known for which row."""
    if isinstance(variable, Group):
        return np.arange(len(variable.columns), dtype=np.float32)
    if variable.values:
        return np.asarray(variable.values, dtype=np.float32)
    column = rows[:, variable.column]
    column = column[np.isfinite(column)]
    found = np.unique(column)
    if len(found) > FEW_VALUES:
        found = np.quantile(column, np.linspace(0, 1, QUANTILES), method="nearest")
    return np.unique(np.concatenate([found, np.asarray([variable.lower, variable.upper], dtype=np.float32)]))
