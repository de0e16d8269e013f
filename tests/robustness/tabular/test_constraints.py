"""Constraints say no to what cannot be, before an attack and of each of its rows."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from garrison.core.errors import UsageError
from garrison.robustness.data import Data
from garrison.robustness.tabular.constraints import Constraints, parse, read
from tests.robustness.tabular.conftest import FEATURES, loans


def table(rows: object, *features: str) -> Data:
    inputs = np.asarray(rows, dtype=np.float32)
    return Data(inputs, np.zeros(len(inputs), dtype=np.int64), "table", features=features)


def changed(**values: float) -> tuple[np.ndarray, np.ndarray]:
    """A loan, and the same with other values; its ratio follows."""
    row = np.asarray([[30, 50, 20, 0.4, 1, 2, 1, 0, 0, 3]], dtype=np.float32)
    other = row.copy()
    for name, value in values.items():
        other[0, FEATURES.index(name.replace("home_", "home="))] = value
    if "debt_ratio" not in values:
        other[0, 3] = other[0, 2].astype(np.float64) / other[0, 1]
    return row, other


@pytest.mark.parametrize(
    ("values", "permitted"),
    [
        ({}, True),
        ({"age": 31}, True),
        ({"age": 29}, False),  # down
        ({"age": 30.5}, False),  # half a step
        ({"age": 91}, False),  # above the maximum
        ({"income": 60.25}, True),
        ({"income": 5}, False),
        ({"debt": 10}, True),
        ({"debt": 21}, False),
        ({"income": 40, "debt_ratio": 0.5}, True),
        ({"income": 40, "debt_ratio": 0.4}, False),  # does not follow
        ({"debt_ratio": 0.3}, False),
        ({"grade": 4}, True),
        ({"grade": 3}, False),  # no such value
        ({"home_rent": 0, "home_own": 1}, True),
        ({"home_rent": 0, "home_none": 1}, False),  # against the direction
        ({"home_own": 1}, False),  # two at once
        ({"home_rent": 0}, False),  # none
        ({"region": 4}, False),
        ({"income": float("nan"), "debt_ratio": float("nan")}, False),
        ({"income": float("inf"), "debt_ratio": 0}, False),
    ],
)
def test_what_is_permitted(loan_constraints: Constraints, values: dict[str, float], permitted: bool) -> None:
    row, other = changed(**values)
    assert loan_constraints.permits(row, other)[0] == permitted


def test_rules_hold_between_features() -> None:
    data = table([[2, 1], [5, 5]], "limit", "used")
    constraints = Constraints(parse('rules = ["limit >= used"]'), data)
    origins = np.asarray([[2, 1], [5, 5]], dtype=np.float32)
    rows = np.asarray([[2, 2], [1, 5]], dtype=np.float32)
    assert constraints.permits(origins, rows).tolist() == [True, False]


def test_what_follows_is_computed_in_order() -> None:
    text = '[features.c]\nformula = "b + 1"\n[features.b]\nformula = "a * 2"'
    constraints = Constraints(parse(text), table([[1, 2, 3], [4, 8, 9]], "a", "b", "c"))
    assert constraints.repaired(np.asarray([[5, 0, 0]], dtype=np.float32)).tolist() == [[5, 10, 11]]


def test_costs(loan_constraints: Constraints) -> None:
    row, other = changed(age=35, debt=10, grade=1, home_rent=0, home_own=1, children=3)
    assert loan_constraints.costs(row, other)[0] == pytest.approx(0.5 + 0.5 + 2 + 1.5 + 1)
    assert loan_constraints.costs(row, row)[0] == 0


def test_a_feature_that_is_not_mentioned_stays_within_the_data_and_costs_one() -> None:
    constraints = Constraints(parse(""), table([[1, 2.5], [3, 4]], "a", "b"))
    origin = np.asarray([[1, 2.5]] * 4, dtype=np.float32)
    rows = np.asarray([[3, 2.5], [4, 2.5], [2, 3.25], [1.5, 2.5]], dtype=np.float32)
    assert constraints.permits(origin, rows).tolist() == [True, False, True, False]
    assert constraints.costs(origin, rows).tolist() == [1, 1, 2, 1]


def test_categories_are_values() -> None:
    data = dataclasses.replace(
        table([[0, 2], [2, 2]], "job", "x"), categories={"job": ("none", "clerk", "cook", "king")}
    )
    constraints = Constraints(parse(""), data)
    rows = np.asarray([[3, 2], [1, 2], [4, 2], [1.5, 2]], dtype=np.float32)
    assert constraints.permits(np.zeros((4, 1), np.float32) + data.inputs[0], rows).tolist() == [
        True,
        True,
        False,
        False,
    ]
    with pytest.raises(UsageError, match="categories"):
        Constraints(parse("[features.job]\nstep = 1"), data)


def test_a_missing_value_is_left_alone() -> None:
    constraints = Constraints(parse("[features.a]\nminimum = 0\nmaximum = 9"), table([[np.nan, 1], [2, 3]], "a", "b"))
    origin = np.asarray([[np.nan, 1]] * 2, dtype=np.float32)
    assert constraints.permits(origin, np.asarray([[np.nan, 2], [5, 1]], dtype=np.float32)).tolist() == [True, False]
    assert constraints.costs(origin[:1], np.asarray([[np.nan, 2]], dtype=np.float32)).tolist() == [1]


def test_a_decimal_bound_holds_its_own_float32() -> None:
    data = table([[0.1], [0.7]], "a")
    constraints = Constraints(parse("[features.a]\nminimum = 0.1\nmaximum = 0.7"), data)
    assert constraints.permits(np.asarray([[0.3]] * 2, dtype=np.float32), np.asarray(data.inputs)).all()
    assert constraints.broken(data)[0] == ()


def test_rows_that_break_constraints_are_counted(loan_constraints: Constraints, loan_data: Data) -> None:
    rows = loans()
    rows[3, 3] = 9
    rows[5, 3] = 9
    rows[6, 0] = 15
    rows[7, 6:9] = 0
    found, breaks = loan_constraints.broken(Data(rows, loan_data.labels, "table", features=FEATURES))
    assert {(one.constraint.partition(":")[0], one.count, one.row) for one in found} >= {
        ("features.debt_ratio", 2, 3),
        ("features.age", 1, 6),
        ("groups.home", 1, 7),
    }
    assert np.flatnonzero(breaks).tolist() == [3, 5, 6, 7]
    assert loan_constraints.broken(loan_data)[0] == ()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[features.a]\nminimum = 2\nmaximum = 1", "above maximum"),
        ("[features.a]\nimutable = true", "imutable"),
        ("[features.a]\nstep = 0", "step"),
        ("[features.a]\nminimum = nan", "finite"),
        ("[features.a]\ncost = -1", "negative"),
        ("[features.a]\nvalues = [1]\nstep = 1", "values"),
        ('[features.a]\nformula = "b"\nimmutable = true', "formula"),
        ('[features.a]\ndirection = "sideways"', "direction"),
        ("cost_budget = 0", "cost_budget"),
        ("cost_budget = nan", "cost_budget"),
        ('[groups.g]\nfeatures = ["a"]', "two or more"),
        ('[groups.g]\nfeatures = ["a", "b"]\n[features.a]\nstep = 1', "of its own"),
        ('[groups.g]\nfeatures = ["a", "b"]\n[groups.h]\nfeatures = ["b", "c"]', "in group"),
        ("[features.z]\nstep = 1", "features.z"),
        ('[groups.g]\nfeatures = ["a", "z"]', "z"),
        ('rules = ["a + 1"]', "no condition"),
        ('rules = ["a > z"]', "'z'"),
        ('rules = ["a >"]', "rules"),
        ('[features.a]\nformula = "b > 1"', "condition"),
        ('[features.a]\nformula = "b"\n[features.b]\nformula = "a"', "follows from itself"),
        ("a = [", "Invalid value"),
    ],
)
def test_what_contradicts_itself_or_the_data_is_refused(text: str, told: str) -> None:
    with pytest.raises(UsageError, match="(?s).*" + told) as caught:
        Constraints(parse(text), table([[1, 2, 3]], "a", "b", "c"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "data",
    [
        Data(["text"], np.zeros(1, dtype=np.int64), "text"),
        Data(np.zeros((2, 3, 4), dtype=np.float32), np.zeros(2, dtype=np.int64), "table"),
        Data(np.zeros((0, 3), dtype=np.float32), np.zeros(0, dtype=np.int64), "table"),
        Data(np.zeros((1, 2), dtype=np.float32), np.zeros(1, dtype=np.int64), "table", features=("a", "a")),
        Data(np.zeros((1, 2), dtype=np.float32), np.zeros(1, dtype=np.int64), "table", features=("a",)),
    ],
)
def test_what_is_no_table_is_refused(data: Data) -> None:
    with pytest.raises(UsageError):
        Constraints(parse(""), data)


def test_reads_a_file(tmp_path: Path) -> None:
    path = tmp_path / "constraints.toml"
    path.write_text("cost_budget = 2\n[features.a]\nimmutable = true\n")
    document = read(str(path))
    assert document.cost_budget == 2
    assert document.features["a"].immutable
    for content in (b"\xff\xfe", b"x = ", b"cost_budget = -1"):
        path.write_bytes(content)
        with pytest.raises(UsageError, match=r"constraints\.toml"):
            read(str(path))
    with pytest.raises(UsageError, match="nowhere"):
        read(str(tmp_path / "nowhere"))
