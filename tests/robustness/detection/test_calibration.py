"""The threshold keeps its budget, and says what it takes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from garrison.core.errors import UsageError
from garrison.robustness.detection.calibration import calibrated, flagged, needed, p_values


def test_the_threshold_is_the_order_statistic() -> None:
    scores = np.random.default_rng(0).permutation(np.arange(1.0, 100.0))
    assert calibrated(scores, 0.01).threshold == 99
    assert calibrated(scores, 0.05).threshold == 95
    assert calibrated(scores, 0.5).threshold == 50


@pytest.mark.parametrize("budget", [0.01, 0.05, 0.1])
def test_benign_inputs_are_flagged_within_the_budget_on_average(budget: float) -> None:
    random = np.random.default_rng(1)
    shares = []
    within = []
    for _ in range(400):
        found = calibrated(random.exponential(size=299), budget)
        share = float(np.exp(-found.threshold))  # what the distribution itself has beyond it
        shares.append(share)
        within.append(share <= found.bound)
    assert np.mean(shares) == pytest.approx(budget, rel=0.1)
    assert 0.92 <= np.mean(within) <= 0.98


@given(st.lists(st.floats(-5, 5), min_size=20, max_size=60), st.sampled_from([0.05, 0.1, 0.3]))
@settings(max_examples=50, deadline=None)
def test_ties_do_not_break_the_budget(scores: list[float], budget: float) -> None:
    found = calibrated(np.array(scores), budget)
    assert flagged(np.array(scores), found.threshold).sum() <= budget * (len(scores) + 1)


def test_too_few_benign_inputs_are_said_to_be_so() -> None:
    assert needed(0.01) == 99
    with pytest.raises(UsageError, match="99 at the least, 1 more"):
        calibrated(np.arange(98.0), 0.01)
    calibrated(np.arange(99.0), 0.01)
    with pytest.raises(UsageError, match="at the least"):
        calibrated(np.empty(0), 0.5)


@pytest.mark.parametrize("budget", [0, 1, -0.1, 2, float("nan")])
def test_what_is_no_budget_is_refused(budget: float) -> None:
    with pytest.raises(UsageError, match="no share"):
        calibrated(np.arange(10.0), budget)


def test_scores_that_are_not_finite_calibrate_nothing_and_are_flagged() -> None:
    with pytest.raises(UsageError, match="not finite"):
        calibrated(np.array([0.0, np.nan] * 100), 0.05)
    assert flagged(np.array([np.nan, np.inf, 0.0]), 1.0).tolist() == [True, True, False]


def test_p_values_are_uniform_for_benign_inputs_and_smallest_for_what_is_no_number() -> None:
    benign = np.sort(np.random.default_rng(2).normal(size=999))
    found = p_values(np.random.default_rng(3).normal(size=4000), benign)
    assert np.mean(found <= 0.1) == pytest.approx(0.1, abs=0.03)
    assert p_values(np.array([np.nan, 9.0, benign[0]]), benign).tolist() == [1 / 1000, 1 / 1000, 1.0]
