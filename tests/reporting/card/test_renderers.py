"""The card in a terminal, as JSON and as a page."""

import re

import msgspec
import pytest

from garrison.core.robustness_card import Card, Model, rate
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
