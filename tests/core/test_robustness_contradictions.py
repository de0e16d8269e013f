"""Cards that were edited by hand: whatever does not follow from the counts is found."""

import msgspec
import pytest

from garrison.core.robustness_card import Estimate, Inference, Rate, rate
from garrison.core.robustness_contradictions import contradictions
from tests.robustness.samples import card, evasion, full_card


def test_sound_cards_have_none() -> None:
    assert list(contradictions(card())) == []
    assert list(contradictions(full_card())) == []


def forged(**changes: object) -> Rate:
    return msgspec.structs.replace(rate(410, 1000), **changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"value": 0.9},
        {"low": 0.40},
        {"high": 0.99},
        {"count": 900},
        {"of": 100_000},
        {"count": -1, "of": 10},
        {"count": 11, "of": 10},
        {"of": 1 << 70},
        {"low": float("nan")},
    ],
)
def test_a_share_follows_from_its_counts(changes: dict[str, object]) -> None:
    one = evasion(410, 1000)
    row = msgspec.structs.replace(one.attacks[0], robust_accuracy=forged(**changes))
    told = msgspec.structs.replace(one, robust_accuracy=row.robust_accuracy, attacks=(row,))
    assert list(contradictions(card(evasion=(told,))))


def test_what_is_told_of_all_attacks_is_what_the_last_one_left() -> None:
    told = msgspec.structs.replace(evasion(410, 1000), robust_accuracy=rate(900, 1000))
    assert any("last attack" in one for one in contradictions(card(evasion=(told,))))
    assert list(contradictions(card(evasion=(msgspec.structs.replace(told, attacks=()),))))


def test_no_attack_makes_inputs_robust_again() -> None:
    low, high = evasion(410, 1000), evasion(900, 1000)
    told = msgspec.structs.replace(high, attacks=(*low.attacks, *high.attacks))
    assert any("more inputs robust" in one for one in contradictions(card(evasion=(told,))))


def test_budgets_are_those_of_their_attacks() -> None:
    told = msgspec.structs.replace(evasion(410, 1000, epsilon=0.001), budget=evasion(1, 2, epsilon=0.3).budget)
    assert any("budget" in one for one in contradictions(card(evasion=(told,))))


def test_no_more_inputs_are_attacked_than_there_are() -> None:
    assert list(contradictions(card(evasion=(evasion(4100, 10_000),))))
    assert list(contradictions(card(clean_accuracy=rate(9, 10))))


@pytest.mark.parametrize(
    "found",
    [
        {"auc": Estimate(value=0.5, low=0.6, high=0.7)},
        {"auc": Estimate(value=float("inf"))},
        {"true_positives": {"often": Estimate(value=0.1)}},
        {"true_positives": {"nan": Estimate(value=0.1)}},
    ],
)
def test_estimates_lie_within_their_intervals(found: dict[str, object]) -> None:
    inference = Inference(attack="lira", target="membership", samples=10, seconds=1.0, **found)  # type: ignore[arg-type]
    assert list(contradictions(card(inference=(inference,))))
