"""A draft reads back, and the data that it was made from keep it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from garrison.core.errors import UsageError
from garrison.robustness.data import Data
from garrison.robustness.tabular.constraints import Constraints, parse
from garrison.robustness.tabular.drafting import draft
from tests.robustness.tabular.conftest import FEATURES


def test_a_draft_says_what_the_data_say(loan_data: Data) -> None:
    document = parse(draft(loan_data))
    rows = np.asarray(loan_data.inputs)
    assert document.groups["home"].features == ("home=rent", "home=own", "home=none")
    assert not {"home=rent", "home=own", "home=none"} & document.features.keys()
    age = document.features["age"]
    assert (age.minimum, age.maximum, age.step) == (rows[:, 0].min(), rows[:, 0].max(), 1)
    assert age.cost == pytest.approx(1 / rows[:, 0].std(), rel=0.01)
    assert document.features["income"].step is None
    assert set(document.features) == set(FEATURES) - {"home=rent", "home=own", "home=none"}


def test_what_never_differs_is_immutable_and_two_values_are_a_list() -> None:
    rows = np.asarray([[1, 0, 5], [1, 1, 5]], dtype=np.float32)
    document = parse(draft(Data(rows, np.zeros(2, dtype=np.int64), "table", features=("a", "b", "c"))))
    assert document.features["a"].immutable
    assert document.features["b"].values == (0, 1)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.lists(st.floats(width=32, allow_subnormal=False), min_size=3, max_size=3), min_size=1, max_size=6),
    st.lists(st.text(min_size=1, max_size=6), min_size=3, max_size=3, unique=True),
    st.text(max_size=10),
)
def test_any_table_drafts_to_constraints_that_its_finite_rows_keep(
    rows: list[list[float]], names: list[str], name: str
) -> None:
    inputs = np.asarray(rows, dtype=np.float32)
    data = Data(inputs, np.zeros(len(inputs), dtype=np.int64), "table", name, features=tuple(names))
    constraints = Constraints(parse(draft(data)), data)
    broken, breaks = constraints.broken(data)
    assert not breaks[np.isfinite(inputs).all(axis=1)].any(), broken


def test_categories_are_drafted_as_values() -> None:
    rows = np.asarray([[0, 1], [1, 3]], dtype=np.float32)
    names = {"a": ("x\n[features.b]", "y", "z")}
    text = draft(Data(rows, np.zeros(2, dtype=np.int64), "table", features=("a", "b"), categories=names))
    assert parse(text).features["a"].values == (0, 1, 2)
    assert parse(text).features["b"].values == (1, 3)


def test_what_is_no_table_is_refused() -> None:
    with pytest.raises(UsageError):
        draft(Data(["text"], np.zeros(1, dtype=np.int64), "text"))
