"""Bounds: the interval decides, and what it can't decide is said."""

import math
from typing import Any

import msgspec.structs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from garrison.core.errors import UsageError
from garrison.core.robustness_card import Check, Estimate, Inference, rate
from garrison.robustness.budgets import parsed
from garrison.robustness.evaluation.gate import bound, judge, needed, require
from garrison.robustness.evaluation.request import Request
from tests.robustness.samples import card, evasion, full_card


def answer(text: str, robust: int, of: int, **changes: object) -> str:
    return judge(card(evasion=(evasion(robust, of),), **changes), [bound(text, "under")])[0].answer


@pytest.mark.parametrize(
    ("robust", "of", "expected"),
    [
        (500, 1000, "kept"),
        (300, 1000, "broken"),
        (410, 1000, "inconclusive"),
        (4, 10, "inconclusive"),
        (0, 5, "inconclusive"),
    ],
)
def test_the_interval_decides(robust: int, of: int, expected: str) -> None:
    assert answer("robust_accuracy=0.4@linf:8/255", robust, of) == expected


def test_inconclusive_says_how_many_inputs_would_decide() -> None:
    judged = judge(card(evasion=(evasion(45, 100),)), [bound("robust_accuracy=0.4@linf:8/255", "under")])[0]
    assert judged.more is not None
    assert str(f"{judged.more:,}") in judged.reason


@given(st.integers(0, 300), st.integers(1, 300), st.floats(0.01, 0.99))
def test_so_many_more_inputs_do_decide(count: int, of: int, limit: float) -> None:
    share = rate(min(count, of), of)
    measured = next(one for one in _measured(card(evasion=(), clean_accuracy=share)) if one.name == "accuracy")
    more = needed(measured, limit)
    if more is None or more > 10**7 or not share.low <= limit <= share.high:
        return
    every = of + more
    away = math.ceil(share.value * every) if share.value > limit else math.floor(share.value * every)
    grown = rate(min(max(away, 0), every), every)
    assert not grown.low <= limit <= grown.high


def _measured(one):  # type: ignore[no-untyped-def]
    from garrison.core.robustness_measurements import measurements

    return measurements(one)


def test_a_bound_may_also_be_from_above() -> None:
    leaky = full_card(inference=(msgspec.structs.replace(full_card().inference[0], checks=()),))
    assert judge(leaky, [bound("membership-tpr-at-0.001=0.01", "over")])[0].answer == "broken"
    assert judge(leaky, [bound("membership-tpr-at-0.001=0.05", "over")])[0].answer == "kept"
    assert judge(leaky, [bound("membership_tpr_at_0.001=0.03", "over")])[0].answer == "inconclusive"


def test_what_the_card_doubts_keeps_no_bound() -> None:
    doubted = (Check(name="zero-gradients", verdict="failed", seen="all are zero"),)
    assert answer("robust_accuracy=0.4", 900, 1000, checks=doubted) == "inconclusive"
    assert answer("robust_accuracy=0.95", 900, 1000, checks=doubted) == "broken"
    assert answer("robust_accuracy=0.4", 900, 1000, complete=False) == "inconclusive"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("robust_accuracy", "no bound"),
        ("=0.4", "no bound"),
        ("robust_accuracy=much", "no bound"),
        ("robust_accuracy=0.4@", "no budget"),
        ("robustness=0.4", "the card has no robustness"),
        ("robust_accuracy=0.4@l2:1", "no robust-accuracy at l2:1"),
    ],
)
def test_bounds_that_mean_nothing_are_refused(text: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        judge(card(), [bound(text, "under")])


def test_which_budget_is_meant_has_to_be_clear() -> None:
    both = card(evasion=(evasion(500, 1000), evasion(400, 1000, epsilon=0.1)))
    with pytest.raises(UsageError, match="which robust-accuracy"):
        judge(both, [bound("robust_accuracy=0.4", "under")])
    assert judge(both, [bound("robust_accuracy=0.45@linf:0.1", "under")])[0].answer == "broken"


def test_a_membership_number_that_its_own_checks_doubt_is_not_kept() -> None:
    doubted = full_card()
    sound = msgspec.structs.replace(doubted, inference=(msgspec.structs.replace(doubted.inference[0], checks=()),))
    limit = [bound("membership_tpr_at_0.001=0.5", "over")]
    assert judge(sound, limit)[0].answer == "kept"
    assert judge(doubted, limit)[0].answer == "inconclusive"


def test_a_number_without_a_norm_is_doubted_too() -> None:
    one = evasion(900, 1000)
    row = msgspec.structs.replace(one.attacks[0], budget=None)
    doubted = full_card(evasion=(msgspec.structs.replace(one, budget=None, attacks=(row,)),))
    assert judge(doubted, [bound("robust_accuracy=0.1", "under")])[0].answer == "inconclusive"


def test_what_was_to_be_measured_and_was_not_is_inconclusive() -> None:
    judged = judge(card(evasion=()), [bound("robust_accuracy=0.1", "under")], required=True)[0]
    assert judged.answer == "inconclusive"
    assert "not measured" in judged.reason


def test_attributes_have_the_names_of_their_columns() -> None:
    found = Inference(
        attack="a", target="Marital_Status", auc=Estimate(value=0.5, low=0.4, high=0.6), samples=9, seconds=1.0
    )
    assert judge(card(inference=(found,)), [bound("Marital_Status_auc=0.9", "over")])[0].answer == "kept"


@pytest.mark.parametrize(
    ("text", "kind", "changes"),
    [
        ("accuracy=0.5", "image", {}),
        ("robust_accuracy=0.5@linf:8/255", "image", {}),
        ("robust_accuracy=0.5", "image", {"budgets": (parsed("l2:1"),)}),
        ("robust_accuracy=0.5", "table", {}),
        ("robust_accuracy=0.5", "text", {}),
        ("corruption_accuracy=0.5", "image", {}),
        ("trigger_anomaly_index=2", "image", {}),
        ("extraction_fidelity_after_500=0.9", "table", {}),
        ("Marital_Status_auc=0.9", "table", {"attribute": "Marital_Status"}),
        ("attribute_marital_status_advantage=0.1", "table", {"attribute": "Marital_Status"}),
    ],
)
def test_what_will_be_measured_may_be_required(text: str, kind: Any, changes: dict[str, Any]) -> None:
    require([bound(text, "under")], Request(**changes), kind)


@pytest.mark.parametrize(
    ("text", "kind", "changes"),
    [
        ("robst_accuracy=0.5", "image", {}),
        ("robust_accuracy=0.5", "image", {}),
        ("robust_accuracy=0.5@linf:0.7", "image", {}),
        ("robust_accuracy=0.5@linf:8/255", "image", {"parts": frozenset({"queries"})}),
        ("robust_accuracy=0.5@linf:8/255", "table", {}),
        ("membership_auc=0.5", "image", {}),
        ("corruption_accuracy=0.5", "table", {}),
        ("extraction_fidelity_after_500=0.9", "text", {}),
    ],
)
def test_what_will_not_be_measured_is_refused_before(text: str, kind: Any, changes: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        require([bound(text, "under")], Request(**changes), kind)
