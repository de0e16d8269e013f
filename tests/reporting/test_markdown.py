"""A comment in which nothing from the input is markup."""

import re

from hypothesis import given
from hypothesis import strategies as st

from garrison.reporting.markdown import code, prose, render

from . import reports


def test_it_tells_the_verdict_first_and_then_the_findings() -> None:
    text = render(reports.typical())
    assert text.startswith("## ❌ garrison: denied")
    assert "### `models/model.pt`" in text
    assert "… and 41 more" in text
    assert "`noise.bin`: not understood" in text
    assert "Waived: `dangerous-import`" in text


def test_it_fits_into_a_comment() -> None:
    assert len(render(reports.large(5000))) < 65_536


@given(st.text(st.characters()))
def test_a_code_span_holds_the_text_and_ends(text: str) -> None:
    span = code(text)
    ticks = re.match("`+", span)
    assert ticks is not None and span.endswith(ticks[0])
    inside = span[len(ticks[0]) : -len(ticks[0])]
    assert ticks[0] not in re.findall("`+", inside)
    assert "\n" not in span


@given(st.text(st.characters()))
def test_prose_holds_no_markup(text: str) -> None:
    shown = prose(text)
    assert not re.search(r"(?<!\\)(?:\\\\)*[*_<>\[\]`!&|]", shown)
    assert not re.search(r"@(?!\u200b)", shown)
    assert "\n" not in shown


def test_hostile_text_stays_inside_code_spans() -> None:
    text = render(reports.hostile())
    outside = re.sub(r"\\[^\w\s]", "", text)
    outside = re.sub(r"(?<!`)(`+)(?!`)(.*?)(?<!`)\1(?!`)", "", outside)
    assert "<script" not in outside and "](http" not in outside and "@everyone" not in outside
