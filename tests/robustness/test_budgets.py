"""Budgets as people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from garrison.core.errors import UsageError
from garrison.core.robustness_card import Budget, rate
from garrison.robustness.budgets import NORMS, parsed


@pytest.mark.parametrize(
    ("written", "norm", "epsilon"),
    [("linf:8/255", "linf", 8 / 255), ("l2:0.5", "l2", 0.5), (" L1:12 ", "l1", 12.0), ("l0:5", "l0", 5.0)],
)
def test_budgets_are_read(written: str, norm: str, epsilon: float) -> None:
    assert parsed(written) == Budget(norm=norm, epsilon=epsilon)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "written", ["", "linf", "linf:", "l3:1", "linf:-1", "linf:0", "linf:nan", "linf:1/0", "l2:inf"]
)
def test_what_is_no_budget_is_refused(written: str) -> None:
    with pytest.raises(UsageError):
        parsed(written)


@given(st.sampled_from(NORMS), st.floats(1e-4, 1e4))
def test_budgets_survive_being_written(norm: str, epsilon: float) -> None:
    again = parsed(str(Budget(norm=norm, epsilon=epsilon)))  # type: ignore[arg-type]
    assert again.norm == norm
    assert again.epsilon == pytest.approx(epsilon, rel=1e-5)


@given(st.integers(0, 500), st.integers(1, 500))
def test_an_interval_holds_its_share(count: int, more: int) -> None:
    share = rate(min(count, more), more)
    assert 0 <= share.low <= share.value <= share.high <= 1


def test_wilsons_interval_is_as_published() -> None:
    # Newcombe 1998, table I, method 3: 81 of 263.
    share = rate(81, 263)
    assert (round(share.low, 4), round(share.high, 4)) == (0.2553, 0.3662)
