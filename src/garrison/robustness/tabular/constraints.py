"""What an attacker may change in a row of a table, and what it costs: a TOML file, and the checks that it stands for.

    cost_budget = 5.0                              # of all changes of one row together; left out: any
    rules = ["max_credit >= used_credit"]          # must hold afterwards

    [features.age]
    minimum = 17                                   # left out: the smallest value in the data
    maximum = 90
    step = 1                                       # changes by whole numbers of it
    direction = "up"                               # or "down"
    cost = 0.1                                     # of a change by 1

    [features.sex]
    immutable = true

    [features.grade]
    values = [0, 1, 2]                             # and no others
    cost_per_change = 2.0                          # of any change

    [features.debt_ratio]
    formula = "debt / income"                      # follows from other features, at no cost of its own

    [groups.education]                             # one-hot: one of them is 1, the others are 0
    features = ["education_basic", "education_high"]
    direction = "up"                               # along this list
    cost_per_change = 3.0

A feature that is not mentioned may change to anything within the data's range, by whole numbers where the data hold
nothing else, one that holds categories to each of them, and a feature or group without a cost costs 1 per change.
Formulas and rules are written as
`garrison.robustness.tabular.expressions` says. A value that is not changed is always permitted, and a missing one
(NaN) is never changed.
"""

import tomllib
from dataclasses import dataclass
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from garrison.core.errors import UsageError
from garrison.core.files import contents
from garrison.robustness.data import Data
from garrison.robustness.tabular.expressions import Columns, Expression, parsed, tolerance

Matrix = NDArray[np.float32]
Direction = Literal["up", "down"]
LARGEST_FILE = 1 << 22
"""Bytes."""
DEFAULT_COST = 1.0
"""Of any change of a feature or group that no cost is given for."""


class _Strict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Refuses what it does not know, so that a misspelt word does not free a feature."""


class FeatureRule(_Strict, frozen=True, kw_only=True):
    """What holds for one feature."""

    immutable: bool = False
    minimum: float | None = None
    maximum: float | None = None
    direction: Direction | None = None
    step: float | None = None
    """A change is a whole number of these, counted from the row's own value."""
    values: tuple[float, ...] = ()
    formula: str = ""
    cost: float | None = None
    """Of a change by 1."""
    cost_per_change: float | None = None
    """Of any change."""


class GroupRule(_Strict, frozen=True, kw_only=True):
    """One-hot columns that are one thing together."""

    features: tuple[str, ...]
    immutable: bool = False
    direction: Direction | None = None
    """Along the list of features."""
    cost_per_change: float = DEFAULT_COST


class Document(_Strict, frozen=True, kw_only=True):
    """A file of constraints, as it is written."""

    cost_budget: float | None = None
    rules: tuple[str, ...] = ()
    features: dict[str, FeatureRule] = {}
    groups: dict[str, GroupRule] = {}


def read(path: str) -> Document:
    """The constraints in a TOML file. Raises `UsageError` for what does not parse or contradicts itself."""
    try:
        return parse(contents(path, LARGEST_FILE).decode())
    except UnicodeDecodeError:
        raise UsageError(f"{path}: not UTF-8") from None
    except UsageError as error:
        raise UsageError(str(error) if str(error).startswith(path) else f"{path}: {error}") from None


def parse(text: str) -> Document:
    """The constraints in TOML `text`. Raises `UsageError` for what does not parse or contradicts itself."""
    try:
        document = msgspec.convert(tomllib.loads(text), Document)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError, RecursionError) as error:
        raise UsageError(str(error)) from None
    _refuse_contradictions(document)
    return document


def _refuse_contradictions(document: Document) -> None:
    if document.cost_budget is not None and not document.cost_budget > 0:
        raise UsageError(f"cost_budget is {document.cost_budget:g}: it must be above 0")
    for name, rule in document.features.items():
        if problem := _contradiction(rule):
            raise UsageError(f"features.{name}: {problem}")
    owners: dict[str, str] = {}
    for name, group in document.groups.items():
        if len(group.features) < 2 or len(set(group.features)) < len(group.features):
            raise UsageError(f"groups.{name}: features must be two or more different names")
        if not group.cost_per_change >= 0:
            raise UsageError(f"groups.{name}: cost_per_change must not be negative")
        for feature in group.features:
            if feature in owners:
                raise UsageError(f"groups.{name}: {feature} is in group {owners[feature]} already")
            if feature in document.features:
                raise UsageError(f"groups.{name}: {feature} has a [features] table of its own; remove one of the two")
            owners[feature] = name


def _contradiction(rule: FeatureRule) -> str:
    """Why one feature's rule can't be, or nothing."""
    numbers = (rule.minimum, rule.maximum, rule.step, rule.cost, rule.cost_per_change, *rule.values)
    if any(number is not None and not np.isfinite(number) for number in numbers):
        return "its numbers must be finite"
    if rule.minimum is not None and rule.maximum is not None and rule.minimum > rule.maximum:
        return f"minimum {rule.minimum:g} is above maximum {rule.maximum:g}"
    if rule.step is not None and not rule.step > 0:
        return "step must be above 0"
    if any(cost is not None and cost < 0 for cost in (rule.cost, rule.cost_per_change)):
        return "a cost must not be negative"
    if rule.values and (rule.step, rule.minimum, rule.maximum) != (None, None, None):
        return "values say it all: remove step, minimum and maximum"
    priced = (rule.cost, rule.cost_per_change) != (None, None)
    if rule.formula and (rule.immutable or rule.step or rule.values or rule.direction or priced):
        return "what follows from a formula may have a minimum and a maximum, and nothing else"
    return ""


@dataclass(frozen=True)
class Broken:
    """A constraint that rows of the data themselves break."""

    constraint: str
    count: int
    row: int
    """The first of them."""

    def __str__(self) -> str:
        return f"{self.constraint}: {self.count:,} rows, the first is row {self.row}"


@dataclass(frozen=True)
class Numeric:
    """A feature that an attacker may set."""

    name: str
    column: int
    lower: float
    upper: float
    direction: Direction | None
    step: float | None
    values: tuple[float, ...]
    cost: float
    cost_per_change: float

    @property
    def columns(self) -> list[int]:
        return [self.column]


@dataclass(frozen=True)
class Group:
    """One-hot columns of which an attacker may choose one."""

    name: str
    columns: list[int]
    members: tuple[str, ...]
    """What the columns are called."""
    direction: Direction | None
    cost_per_change: float


Variable = Numeric | Group


@dataclass(frozen=True)
class _Formula:
    column: int
    expression: Expression


class Constraints:
    """A document of constraints, tied to the features and ranges of data.

    Rows are float32 (n, features). `n` below is their number.
    """

    def __init__(self, document: Document, data: Data) -> None:
        """Raises `UsageError` for features that the data lack and for formulas that follow from themselves."""
        self.features = features_of(data)
        self.categories = data.categories
        self.document = document
        self.budget = np.inf if document.cost_budget is None else document.cost_budget
        self._index = {name: column for column, name in enumerate(self.features)}
        rows = matrix_of(data)
        finite = np.where(np.isfinite(rows), rows, np.nan)
        self._lows, self._highs = _ranges(finite)
        self._whole = (np.isnan(finite) | (finite == np.rint(finite))).all(axis=0)
        self._refuse_unknown()
        self.rules = tuple(self._expression(text, "rules", condition=True) for text in document.rules)
        self._formulas = self._in_order()
        expressions = (*self.rules, *(formula.expression for formula in self._formulas))
        results = {self.features[formula.column] for formula in self._formulas}
        self._read = sorted(results.union(*(expression.names for expression in expressions)))
        self.variables = tuple(self._variables())
        self._fixed = self._fixed_columns()
        self._groups = [variable for variable in self.variables if isinstance(variable, Group)]
        self._prices, self._prices_per_change = np.zeros((2, len(self.features)))
        for variable in self.variables:
            if isinstance(variable, Numeric):
                self._prices[variable.column] = variable.cost
                self._prices_per_change[variable.column] = variable.cost_per_change

    def _refuse_unknown(self) -> None:
        named = [f"features.{name}" for name in self.document.features if name not in self._index]
        for group, rule in self.document.groups.items():
            named += [f"groups.{group}: {name}" for name in rule.features if name not in self._index]
        if named:
            known = ", ".join(self.features[:8]) + (", ..." if len(self.features) > 8 else "")
            raise UsageError(f"{named[0]}: the data have no such feature; they have {known}")

    def _expression(self, text: str, place: str, *, condition: bool) -> Expression:
        try:
            expression = parsed(text)
        except UsageError as error:
            raise UsageError(f"{place}: {error}") from None
        if expression.condition != condition:
            raise UsageError(f"{place}: {text!r} is {'no condition' if condition else 'a condition and no number'}")
        if missing := sorted(expression.names - self._index.keys()):
            raise UsageError(f"{place}: {text!r} names {missing[0]!r}, which is no feature of the data")
        return expression

    def _in_order(self) -> tuple[_Formula, ...]:
        """Formulas, each after those that it reads."""
        waiting = {
            name: self._expression(rule.formula, f"features.{name}", condition=False)
            for name, rule in self.document.features.items()
            if rule.formula
        }
        ordered = []
        while waiting:
            ready = [name for name, expression in waiting.items() if not expression.names & waiting.keys()]
            if not ready:
                raise UsageError(f"features.{min(waiting)}: its formula follows from itself")
            ordered += [_Formula(self._index[name], waiting.pop(name)) for name in ready]
        return tuple(ordered)

    def _variables(self) -> list[Variable]:
        found: list[Variable] = []
        grouped = {name for group in self.document.groups.values() for name in group.features}
        for name, column in self._index.items():
            rule = self.document.features.get(name, FeatureRule())
            if name in grouped or rule.immutable or rule.formula:
                continue
            unpriced = rule.cost is None and rule.cost_per_change is None
            values = rule.values or self._codes(name, rule)
            variable = Numeric(
                name,
                column,
                lower=float(self._lows[column] if rule.minimum is None else np.float32(rule.minimum)),
                upper=float(self._highs[column] if rule.maximum is None else np.float32(rule.maximum)),
                direction=rule.direction,
                step=1.0 if name not in self.document.features and self._whole[column] else rule.step,
                values=tuple(sorted({float(np.float32(value)) for value in values})),
                cost=rule.cost or 0.0,
                cost_per_change=DEFAULT_COST if unpriced else rule.cost_per_change or 0.0,
            )
            found.append(variable)
        for name, group in self.document.groups.items():
            if not group.immutable:
                columns = [self._index[feature] for feature in group.features]
                found.append(Group(name, columns, group.features, group.direction, group.cost_per_change))
        return found

    def _codes(self, name: str, rule: FeatureRule) -> tuple[float, ...]:
        """The numbers of a column's categories; nothing for one that holds none."""
        codes = tuple(float(code) for code in range(len(self.categories.get(name, ()))))
        if codes and (rule.minimum, rule.maximum, rule.step) != (None, None, None):
            raise UsageError(f"features.{name}: it holds categories, so remove step, minimum and maximum")
        return codes

    def _fixed_columns(self) -> list[int]:
        free = {column for variable in self.variables for column in variable.columns}
        return sorted(set(self._index.values()) - free - {formula.column for formula in self._formulas})

    def repaired(self, rows: Matrix) -> Matrix:
        """The rows (n, features), with features that follow from others computed anew where they do not fit."""
        if not self._formulas:
            return rows
        repaired = rows.copy()
        columns = dict(self._columns(repaired))
        for formula in self._formulas:
            computed, present = formula.expression(columns), repaired[:, formula.column]
            apart = ~(np.abs(present - computed) <= tolerance(present.astype(np.float64), computed))
            repaired[apart, formula.column] = computed[apart]
            columns[self.features[formula.column]] = repaired[:, formula.column].astype(np.float64)
        return repaired

    def permits(self, origins: Matrix, rows: Matrix) -> NDArray[np.bool_]:
        """(n,): whether `rows` (n, features) can be made of `origins`, whatever it costs."""
        broken = np.zeros(len(rows), dtype=bool)
        for _, mask in self._broken_changes(origins, rows):
            broken |= mask
        for _, mask in self._broken_states(rows):
            broken |= mask
        return ~broken

    def costs(self, origins: Matrix, rows: Matrix) -> NDArray[np.float64]:
        """(n,): what the change from `origins` to `rows` costs."""
        moved = _differs(origins, rows)
        distances = np.where(moved, np.abs(rows.astype(np.float64) - origins), 0.0)
        total = distances @ self._prices + moved @ self._prices_per_change
        for group in self._groups:
            total += group.cost_per_change * moved[:, group.columns].any(axis=1)
        return np.asarray(total)

    def changed(self, variable: Variable, origins: Matrix, rows: Matrix) -> NDArray[np.bool_]:
        """(n,): whether a feature or group differs."""
        return np.asarray(_differs(origins[:, variable.columns], rows[:, variable.columns]).any(axis=1))

    def broken(self, data: Data) -> tuple[tuple[Broken, ...], NDArray[np.bool_]]:
        """The constraints that rows of the data break as they are, and (n,) which rows break any."""
        rows = matrix_of(data)
        found: list[Broken] = []
        any_broken = np.zeros(len(rows), dtype=bool)
        for name, mask in (*self._broken_states(rows), *self._broken_ranges(rows)):
            if mask.any():
                found.append(Broken(name, int(mask.sum()), int(mask.argmax())))
                any_broken |= mask
        return tuple(found), any_broken

    def _columns(self, rows: Matrix) -> dict[str, NDArray[np.float64]]:
        """Those that formulas and rules speak of."""
        return {name: rows[:, self._index[name]].astype(np.float64) for name in self._read}

    def _broken_states(self, rows: Matrix) -> list[tuple[str, NDArray[np.bool_]]]:
        """What must hold of a row whatever it was made of."""
        found: list[tuple[str, NDArray[np.bool_]]] = [("infinite values", np.asarray(np.isinf(rows).any(axis=1)))]
        for name, group in self.document.groups.items():
            members = rows[:, [self._index[feature] for feature in group.features]]
            one = (members == 1).sum(axis=1) == 1
            found.append((f"groups.{name}", ~(one & ((members == 0) | (members == 1)).all(axis=1))))
        columns: Columns = self._columns(rows)
        for formula in self._formulas:
            name, computed = self.features[formula.column], formula.expression(columns)
            apart = ~(np.abs(columns[name] - computed) <= tolerance(columns[name], computed))
            found.append((f"features.{name}: {formula.expression.text}", apart))
            rule, value = self.document.features[name], rows[:, formula.column]
            if rule.minimum is not None:
                found.append((f"features.{name}: minimum", ~(value >= np.float32(rule.minimum))))
            if rule.maximum is not None:
                found.append((f"features.{name}: maximum", ~(value <= np.float32(rule.maximum))))
        for expression in self.rules:
            found.append((expression.text, ~(expression(columns) > 0)))
        return found

    def _broken_ranges(self, rows: Matrix) -> list[tuple[str, NDArray[np.bool_]]]:
        """Features that are outside what they may be set to. A missing value is outside of nothing."""
        found: list[tuple[str, NDArray[np.bool_]]] = []
        for variable in self.variables:
            if isinstance(variable, Numeric):
                value = rows[:, variable.column]
                found.append((f"features.{variable.name}", ~np.isnan(value) & ~_within(variable, value)))
        return found

    def _broken_changes(self, origins: Matrix, rows: Matrix) -> list[tuple[str, NDArray[np.bool_]]]:
        """What must hold of a change."""
        fixed = np.asarray(_differs(origins[:, self._fixed], rows[:, self._fixed]).any(axis=1))
        found: list[tuple[str, NDArray[np.bool_]]] = [("immutable features", fixed)]
        differs = _differs(origins, rows)
        for variable in self.variables:
            moved = np.asarray(differs[:, variable.columns].any(axis=1))
            if not moved.any():
                continue
            if isinstance(variable, Numeric):
                before, after = origins[:, variable.column], rows[:, variable.column]
                wrong = ~_within(variable, after) | ~_along(variable.direction, before, after)
                wrong |= ~_in_steps(variable.step, before, after) | np.isnan(before)
            else:
                before, after = (one[:, variable.columns].argmax(axis=1) for one in (origins, rows))
                wrong = ~_along(variable.direction, before, after)
            found.append((variable.name, moved & wrong))
        return found


def features_of(data: Data) -> tuple[str, ...]:
    """The names of the columns; `x0`, `x1`, ... where they have none."""
    width = matrix_of(data).shape[1]
    names = data.features or tuple(f"x{column}" for column in range(width))
    if len(names) != width or len(set(names)) < width:
        raise UsageError(f"{data.name or 'the data'}: {len(names)} names for {width} columns, each needs its own")
    return names


def matrix_of(data: Data) -> Matrix:
    """The rows (n, features) of a table. Raises `UsageError` for data that are none."""
    rows = np.asarray(data.inputs)
    if data.kind != "table" or rows.ndim != 2 or rows.dtype.kind not in "fiub":
        raise UsageError(f"{data.name or 'the data'}: no table of numbers, but {data.kind} of shape {rows.shape}")
    if not len(rows):
        raise UsageError(f"{data.name or 'the data'}: a table without rows")
    return rows.astype(np.float32, copy=False)


def _ranges(rows: Matrix) -> tuple[Matrix, Matrix]:
    """The smallest and the largest number in each column; 0 where there is none."""
    empty = np.isnan(rows).all(axis=0)
    low = np.where(empty, 0, np.where(np.isnan(rows), np.inf, rows).min(axis=0))
    high = np.where(empty, 0, np.where(np.isnan(rows), -np.inf, rows).max(axis=0))
    return low.astype(np.float32), high.astype(np.float32)


def _differs(before: Matrix, after: Matrix) -> NDArray[np.bool_]:
    return np.asarray((before != after) & ~(np.isnan(before) & np.isnan(after)))


def _within(variable: Numeric, value: Matrix) -> NDArray[np.bool_]:
    if variable.values:
        return np.isin(value, np.asarray(variable.values, dtype=np.float32))
    return np.asarray((value >= np.float32(variable.lower)) & (value <= np.float32(variable.upper)))


def _along(direction: Direction | None, before: NDArray[np.generic], after: NDArray[np.generic]) -> NDArray[np.bool_]:
    if direction is None:
        return np.ones(len(before), dtype=bool)
    return np.asarray(after >= before if direction == "up" else after <= before)  # type: ignore[operator]


def _in_steps(step: float | None, before: Matrix, after: Matrix) -> NDArray[np.bool_]:
    """Whether a change is a whole number of steps, as near as float32 can say at such values."""
    if step is None:
        return np.ones(len(before), dtype=bool)
    steps = (after.astype(np.float64) - before) / step
    rounding = np.finfo(np.float32).eps * np.maximum(np.abs(before), np.abs(after)) / step
    return np.asarray(np.abs(steps - np.rint(steps)) <= np.maximum(1e-4, 2 * rounding))
