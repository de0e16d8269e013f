"""The card in a terminal, as JSON and as a page."""

import re

import msgspec
import pytest

from garrison.core.robustness_card import Card, Check, Estimate, Extraction, Inference, Model, rate
from garrison.core.robustness_verdicts import Bound, Judged
from garrison.reporting.card import html, json_card, table
from tests.robustness.samples import card, full_card

JUDGED = (
    Judged(
        bound=Bound(name="accuracy", limit=0.5, side="under"), answer="inconclusive", reason="12 more needed", more=12
    ),
)


@pytest.mark.parametrize("one", [card(), full_card(), card(evasion=(), clean_accuracy=rate(0, 0))])
def test_json_is_read_back_as_it_was(one: Card) -> None:
    assert msgspec.json.decode(json_card.render(one), type=Card) == one


def test_a_card_of_a_later_minor_version_is_read() -> None:
    data = msgspec.json.decode(json_card.render(card()))
    later = msgspec.json.encode({**data, "card_version": "1.9", "new_part": [1]})
    assert msgspec.json.decode(later, type=Card).model == card().model
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(msgspec.json.encode({**data, "card_version": "2.0"}), type=Card)


def test_the_terminal_shows_every_part() -> None:
    text = table.render(full_card(), JUDGED, width=100)
    for word in (
        "at most 41.0 %",
        "linf 8/255",
        "apgd-ce",
        "lira-offline",
        "Attribute sex",
        "1,000 queries",
        "gaussian-noise 5",
        "suspected for 7",
        "Detector knn",
        "class 6",
        "zero-gradients",
        "Train against it",
        "no training data were given",
        "12 more needed",
    ):
        assert word in text
    assert max(map(len, text.splitlines())) <= 100
    assert "\x1b" not in text
    assert "\x1b[1;31m" in table.render(full_card(), JUDGED, color=True)


def test_hostile_names_reach_neither_terminal_nor_page() -> None:
    name = "evil\x1b]0;title\x07\u202e<script>alert(1)</script>"
    hostile = full_card(
        model=Model(name=name, format=name, classes=2, access="scores", outputs="labels"), notes=(name,)
    )
    text = table.render(hostile)
    assert "\x1b" not in text
    assert "\u202e" not in text
    page = html.render(hostile)
    assert "<script" not in page
    assert "\u202e" not in page


def test_the_page_stands_alone() -> None:
    page = html.render(full_card(), JUDGED)
    assert not re.findall(r"(?:src|href)=\"(?!data:|#)", page)
    assert "default-src 'none'" in page
    assert page.count("<img") == 5
    assert "<polyline" in page
    assert "a &lt;b&gt;fine&lt;/b&gt; film" in page


def test_an_empty_card_is_a_page_too() -> None:
    page = html.render(card(evasion=(), clean_accuracy=rate(0, 0)))
    assert "not attacked" in page


def test_attacks_on_membership_are_summed_up_under_the_strongest() -> None:
    def attack(name: str, found: float) -> Inference:
        return Inference(
            attack=name,
            target="membership",
            auc=Estimate(value=0.6),
            true_positives={"0.01": Estimate(value=2 * found), "0.001": Estimate(value=found)},
            samples=2000,
            seconds=1.0,
            checks=(Check(name="leak", verdict="unknown", seen="too few"),),
        )

    several = full_card(inference=(attack("loss", 0.001), attack("lira-offline", 0.02)))
    assert html.render(several).count("leak: too few") == 1
    text = table.render(several)
    assert "Membership              lira-offline: AUC 0.600, 4.00 % of members at 1 % false positives" in text
    assert "weaker                loss 0.10 % of members at 0.1 % false positives" in text
    assert text.count("leak unknown: too few") == 1


def test_of_each_strategy_and_defence_the_terminal_has_the_best_copy_only() -> None:
    def copy(strategy: str, defence: str, queries: int, count: int) -> Extraction:
        return Extraction(
            strategy=strategy,
            defence=defence,
            queries=queries,
            fidelity=rate(count, 100),
            accuracy=rate(count, 100),
            served_accuracy=rate(77, 100) if defence != "none" else None,
        )

    several = full_card(
        extraction=(
            copy("random", "none", 100, 40),
            copy("random", "none", 500, 80),
            copy("noise", "none", 500, 20),
            copy("random, answers", "rounding 1 digit", 500, 79),
        )
    )
    text = table.render(several)
    assert text.count("buy a copy") == 3
    assert "by random: 500 queries buy a copy that agrees on 80.0 %" in text
    assert "behind rounding 1 digit: 500 queries" in text
    assert "77.0 % right" in html.render(several)


def test_a_check_that_passed_under_several_norms_is_named_once() -> None:
    passed = Check(name="planted-weakness", verdict="passed", seen="found")
    assert table.render(card(checks=(passed, passed))).count("planted-weakness") == 1
