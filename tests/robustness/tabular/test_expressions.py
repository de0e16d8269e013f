"""Expressions mean what they say, and nothing that is written in one runs."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from garrison.core.errors import GarrisonError, UsageError
from garrison.robustness.tabular.expressions import parsed

COLUMNS = {
    "a": np.asarray([1.0, 2.0, 0.0]),
    "b": np.asarray([3.0, 2.0, 5.0]),
    "hours-per-week": np.asarray([40.0, 10.0, 1.0]),
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a + b * 2", [7, 6, 10]),
        ("(a + b) * 2", [8, 8, 10]),
        ("b - a - 1", [1, -1, 4]),
        ("-a + 1e1", [9, 8, 10]),
        ("b / 2 / 2", [0.75, 0.5, 1.25]),
        ("`hours-per-week` / 10", [4, 1, 0.1]),
        ("min(a, b, 1.5)", [1, 1.5, 0]),
        ("max(a, b)", [3, 2, 5]),
        ("round(b / 4, 1)", [0.8, 0.5, 1.2]),
        ("floor(b / 4) + ceil(b / 4) + abs(-a) + round(0.4)", [2, 3, 3]),
        ("sqrt(a * a) + log(exp(b))", [4, 4, 5]),
        ("a <= b", [1, 1, 1]),
        ("a < b", [1, 0, 1]),
        ("a == b or a > 0 and b != 3", [0, 1, 0]),
        ("not a == b", [1, 0, 1]),
        ("0 < a <= b < 3", [0, 1, 0]),
        ("(a > 1) or (b > 4)", [0, 1, 1]),
    ],
)
def test_values(text: str, expected: list[float]) -> None:
    assert parsed(text)(COLUMNS) == pytest.approx(expected)


@pytest.mark.parametrize(
    "text",
    (
        *("", "a +", "(a", "a b", "a = b", "a; b", "__import__('os')", "a.b", "a[0]", "a ** b", "lambda: 1", "🙂"),
        *(
            "a > b + (a > b)",
            "min(a)",
            "round(a, 1, 2)",
            "open(a)",
            "a and b",
            "not a",
            "and",
            "``",
            "1 2",
            "a > (b > 1)",
        ),
    ),
)
def test_what_is_no_expression_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parsed(text)


def test_what_is_endless_is_refused() -> None:
    for text in ("(" * 5000, "-" * 1000 + "a", "a" + "+a" * 1500, "not " * 900 + "a > 1", "a" * 5000, "min(" * 60):
        with pytest.raises(UsageError):
            parsed(text)


def test_no_comparison_holds_of_what_cannot_be_computed() -> None:
    for comparison in ("<", "<=", ">", ">=", "==", "!="):
        assert not parsed(f"a / 0 * 0 {comparison} b")(COLUMNS).any()
    assert not parsed("1 / (a * 0) <= b")(COLUMNS).any()


def test_names_are_the_features_that_it_reads() -> None:
    assert parsed("min(a, `b c`) > log(max)").names == {"a", "b c", "max"}
    assert parsed("a > 1").condition
    assert not parsed("a + 1").condition


def test_equal_allows_for_the_rounding_of_float32() -> None:
    columns = {"a": np.float64(np.asarray([0.1, 1e6 + 0.1], dtype=np.float32)), "b": np.asarray([0.1, 1e6 + 0.1])}
    for comparison in ("==", "<=", ">="):
        assert parsed(f"a {comparison} b")(columns).all()


@given(st.text(alphabet="ab1. +-*/()<>=!`,andortimx", max_size=40))
def test_any_text_is_an_expression_or_refused(text: str) -> None:
    try:
        expression = parsed(text)
    except GarrisonError:
        return
    if expression.names <= COLUMNS.keys():
        assert expression(COLUMNS).shape == (3,)
