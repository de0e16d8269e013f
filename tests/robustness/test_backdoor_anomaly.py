"""What is too small, and how often chance makes it so."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from garrison.robustness.backdoor.anomaly import indexes, too_small

SIZES = st.lists(st.floats(0.1, 1e4), min_size=1, max_size=30)


@pytest.mark.parametrize("classes", [5, 10, 43])
def test_chance_rarely_makes_a_size_too_small(classes: int) -> None:
    random = np.random.default_rng(0)
    stocks = np.exp(random.normal(3, 0.5, (1000, classes)))
    alarms = sum(bool(too_small(list(stock), false_alarms=0.05)) for stock in stocks)
    assert 20 < alarms < 80
    # The usual rule, an index beyond 2, is wrong far more often.
    assert sum(max(indexes(list(stock))) > 2 for stock in stocks) > 200


def test_one_and_two_small_ones_are_found() -> None:
    sizes = [33.0, 42, 45, 47, 60, 61, 67, 99, 101, 105]
    assert too_small(sizes) == frozenset()
    assert too_small([3.0, *sizes[1:]]) == {0}
    assert too_small([3.0, 2.5, *sizes[2:]]) == {0, 1}


def test_a_large_one_is_not_too_small() -> None:
    assert too_small([50, 51, 52, 49, 48, 50, 5000]) == frozenset()


def test_the_unit_of_sizes_does_not_matter() -> None:
    sizes = [3.0, 40.0, 50.0, 61.0, 75.0, 99.0]
    assert indexes([size / 784 for size in sizes]) == pytest.approx(indexes(sizes))
    assert too_small([size / 784 for size in sizes]) == too_small(sizes) == {0}


@given(SIZES)
def test_what_is_found_is_smaller_than_the_rest(sizes: list[float]) -> None:
    found = too_small(sizes)
    rest = [size for place, size in enumerate(sizes) if place not in found]
    assert all(sizes[place] <= min(rest) for place in found)
    assert len(found) <= len(sizes) // 3


def test_equal_sizes_have_no_index() -> None:
    assert indexes([7.0] * 6) == (0.0,) * 6
    assert indexes([7.0] * 5 + [1.0])[-1] == float("inf")
    assert too_small([7.0] * 6) == frozenset()
