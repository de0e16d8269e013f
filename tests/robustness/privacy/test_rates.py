"""Areas and true-positive rates: known answers, and intervals that hold."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from garrison.robustness.privacy.rates import allowed, area, auc, deviation, true_positives

scores = st.lists(st.integers(-5, 5).map(float), min_size=1, max_size=30).map(np.array)


@given(scores, scores)
def test_the_area_is_scikit_learns(positives: np.ndarray, negatives: np.ndarray) -> None:
    truth = np.repeat([1, 0], [len(positives), len(negatives)])
    assert area(positives, negatives) == pytest.approx(roc_auc_score(truth, np.concatenate([positives, negatives])))


@given(scores, scores)
def test_intervals_hold_their_value(positives: np.ndarray, negatives: np.ndarray) -> None:
    for found in (auc(positives, negatives), true_positives(positives, negatives, 0.2)):
        assert found.low is not None and found.high is not None
        assert 0 <= found.low <= found.value + 1e-9
        assert found.value - 1e-9 <= found.high <= 1


def test_a_perfect_score_is_not_certain() -> None:
    few = auc(np.arange(5.0) + 10, np.arange(5.0))
    many = auc(np.arange(500.0) + 1000, np.arange(500.0))
    assert few.value == many.value == few.high == 1
    assert few.low is not None and many.low is not None
    assert few.low < 0.8 < 0.98 < many.low < 1


def test_constant_scores_are_chance() -> None:
    found = auc(np.zeros(50), np.zeros(50))
    assert found.value == 0.5
    assert found.low is not None and found.high is not None
    assert found.low < 0.45 and found.high > 0.55
    assert true_positives(np.zeros(50), np.zeros(50), 0.1).value == 0


def test_the_threshold_lets_no_more_false_positives_pass() -> None:
    negatives = np.arange(1000.0)
    assert allowed(0.01, 1000) == 10
    # Ten negatives lie above 989: half of these positives do.
    assert true_positives(np.array([989.0, 989.5]), negatives, 0.01).value == 0.5


@pytest.mark.parametrize("at", [0.01, 0.1])
def test_the_interval_covers_the_true_rate(at: float) -> None:
    random = np.random.default_rng(0)
    # Positives are normal around 1: beyond the true threshold lies this share.
    from scipy.stats import norm

    truth = norm.sf(norm.isf(at) - 1)
    found = [true_positives(random.normal(1, 1, 300), random.normal(0, 1, 400), at) for _ in range(300)]
    assert np.mean([(each.low or 0) <= truth <= (each.high or 1) for each in found]) >= 0.95


def test_the_area_interval_covers_the_true_area() -> None:
    random = np.random.default_rng(0)
    from scipy.stats import norm

    found = [auc(random.normal(1, 1, 60), random.normal(0, 1, 80)) for _ in range(300)]
    assert np.mean([(each.low or 0) <= norm.cdf(2**-0.5) <= (each.high or 1) for each in found]) >= 0.92


def test_few_negatives_say_nothing_of_a_low_rate() -> None:
    found = true_positives(np.arange(100.0) + 1000, np.arange(100.0), 0.001)
    assert (found.low, found.high) == (0.0, 1.0)


def test_more_examples_are_surer() -> None:
    assert deviation(0.7, 1000, 1000) < deviation(0.7, 100, 100)
