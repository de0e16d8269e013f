"""What an attack on a table found, and how the card shows it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from garrison.core.robustness_card import Access, AttackResult, Curve, Picture, Slice, rate
from garrison.robustness.data import Data
from garrison.robustness.tabular.constraints import Broken, Constraints, Group, Matrix, Variable
from garrison.robustness.without_norms import class_name, curve, decision, slices

NAME = "constrained tabular search"


@dataclass(frozen=True)
class Change:
    """One feature or group, before and after."""

    feature: str
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.feature} {self.before} → {self.after}"


@dataclass(eq=False)
class TabularOutcome:
    """What an attack found, for n rows of d features."""

    data: Data
    constraints: Constraints
    broken: tuple[Broken, ...]
    """Constraints that rows break before anybody changes them."""
    attacked: NDArray[np.bool_]
    """(n,): rows that keep the constraints themselves, and that the model gave finite scores for."""
    clean: NDArray[np.float64]
    """(n, classes): scores of the unchanged rows."""
    after: NDArray[np.float64]
    """(n, classes): scores of the adversarial rows."""
    adversarial: Matrix
    """(n, d): the cheapest found; the row itself where nothing was found."""
    costs: NDArray[np.float64]
    """(n,): NaN where nothing was found."""
    success: NDArray[np.bool_]
    """(n,): rows that were decided rightly before and are not any more, at a cost within the budget."""
    found_after: NDArray[np.int64]
    """(n,): forward passes after the first until something was found, -1 where nothing was."""
    queries: NDArray[np.int64]
    """(n,): forward passes in all."""
    gradients: NDArray[np.int64]
    """(n,): backward passes."""
    access: Access
    queries_per_row: int
    seed: int
    incomplete: str
    seconds: float = 0.0

    @property
    def correct(self) -> NDArray[np.bool_]:
        """(n,): rows that were attacked: decided rightly, within the constraints."""
        right = np.nan_to_num(self.clean, nan=-np.inf).argmax(axis=1) == np.asarray(self.data.labels)
        return np.asarray(right & self.attacked)

    def changes(self, row: int) -> tuple[Change, ...]:
        """What differs in the adversarial row, with the features that follow from others."""
        before, after = np.asarray(self.data.inputs[row], dtype=np.float32), self.adversarial[row]
        found = [
            Change(variable.name, self._shown(variable, before), self._shown(variable, after))
            for variable in self.constraints.variables
            if self.constraints.changed(variable, before[None], after[None])[0]
        ]
        own = {column for variable in self.constraints.variables for column in variable.columns}
        for column in np.flatnonzero((before != after) & ~(np.isnan(before) & np.isnan(after))):
            if column not in own:
                name = self.constraints.features[column]
                found.append(Change(name, _number(before[column]), _number(after[column])))
        return tuple(found)

    def _shown(self, variable: Variable, row: NDArray[np.float32]) -> str:
        if isinstance(variable, Group):
            return variable.members[int(row[variable.columns].argmax())]
        value, names = row[variable.column], self.data.categories.get(variable.name, ())
        return names[int(value)] if value in range(len(names)) else _number(value)

    def used(self) -> tuple[tuple[str, float], ...]:
        """Features and groups that were changed, with the share of the successes that did, the most used first."""
        if not self.success.any():
            return ()
        before = np.asarray(self.data.inputs, dtype=np.float32)[self.success]
        after = self.adversarial[self.success]
        shares = [
            (variable.name, float(self.constraints.changed(variable, before, after).mean()))
            for variable in self.constraints.variables
        ]
        return tuple(sorted((one for one in shares if one[1]), key=lambda one: (-one[1], one[0])))

    def results(self) -> tuple[AttackResult, ...]:
        """The attack, for the card. Rows that break the constraints themselves are not among those counted."""
        found, of = int(self.success.sum()), int(self.correct.sum())
        settings: dict[str, bool | int | float | str] = {"queries_per_row": self.queries_per_row}
        if np.isfinite(self.constraints.budget):
            settings["cost_budget"] = float(self.constraints.budget)
        if found:
            changed = [len(self.changes(int(row))) for row in np.flatnonzero(self.success)]
            settings |= {
                "median_cost": float(np.median(self.costs[self.success])),
                "median_features_changed": float(np.median(changed)),
            }
        return (
            AttackResult(
                attack=NAME,
                access=self.access,
                budget=None,
                robust_accuracy=rate(of - found, int(self.attacked.sum())),
                success=rate(found, of),
                median_queries=float(np.median(self.found_after[self.success])) if found else None,
                queries=int(self.queries.sum()),
                gradients=int(self.gradients.sum()),
                seconds=self.seconds,
                seed=self.seed,
                settings=settings,
                incomplete=self.incomplete,
            ),
        )

    def curves(self) -> tuple[Curve, ...]:
        """The share of rows that are found, over what it costs and over the queries that it takes."""
        costs, queries, of = self.costs[self.success], self.found_after[self.success], int(self.correct.sum())
        return (
            curve("success over cost", "cost of the changes", costs, of, "rows"),
            curve("success over queries", "forward passes for one row", queries, of, "rows"),
        )

    def pictures(self, count: int) -> tuple[Picture, ...]:
        """The `count` cheapest changes, in words."""
        rows = np.flatnonzero(self.success)
        rows = rows[self.costs[rows].argsort(kind="stable")][:count]
        return tuple(self._picture(int(row)) for row in rows)

    def _picture(self, row: int) -> Picture:
        changes, budget = self.changes(row), self.constraints.budget
        return Picture(
            attack=NAME,
            budget=f"cost {self.costs[row]:.4g}" + (f" of {budget:.4g}" if np.isfinite(budget) else ""),
            label=class_name(self.data, int(self.data.labels[row])),
            before=decision(self.data, self.clean[row]),
            after=decision(self.data, self.after[row]),
            original=", ".join(f"{change.feature} {change.before}" for change in changes),
            perturbation=", ".join(map(str, changes)),
            adversarial=", ".join(f"{change.feature} {change.after}" for change in changes),
            media="text/plain",
        )

    def slices(self) -> tuple[Slice, ...]:
        """Accuracy and robust accuracy of each group in the data, the least robust first."""
        return slices(self.data, self.attacked, self.correct, self.success)

    def notes(self) -> tuple[str, ...]:
        """What else there is to say, in sentences."""
        found = []
        if used := self.used():
            most = ", ".join(f"{name} ({share:.0%})" for name, share in used[:5])
            found.append(f"Features that successful attacks changed most: {most}.")
        if self.broken:
            count = int((~self.attacked).sum())
            kinds = "; ".join(map(str, self.broken[:5]))
            found.append(f"{count:,} of {len(self.data):,} rows break the constraints and were not attacked: {kinds}.")
        return tuple(found)


def _number(value: np.float32) -> str:
    return f"{value:.7g}"
