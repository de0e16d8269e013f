"""What holds for every renderer, whatever the input is called and says."""

import json
import xml.etree.ElementTree as ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from garrison.core.findings import Severity
from garrison.core.report import Item
from garrison.reporting import RENDERERS, renderer

from . import reports

TEXT = st.text(st.characters(), max_size=40)
SUBJECT = st.lists(TEXT, min_size=1, max_size=3).map("!/".join)


@pytest.mark.parametrize("name", RENDERERS)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_text_is_rendered_and_nothing_unprintable_comes_out(name: str, data: st.DataObject) -> None:
    draw = data.draw
    found = [
        reports.finding(
            draw(SUBJECT),
            place=draw(TEXT),
            message=draw(TEXT),
            fix=draw(TEXT),
            severity=draw(st.sampled_from(Severity)),
        )
        for _ in range(draw(st.integers(0, 3)))
    ]
    report = reports.report(
        *found,
        gaps=((draw(SUBJECT), draw(st.sampled_from(["failed", "partial", "skipped", "not-understood"])), draw(TEXT)),),
        inventory=(Item(subject=draw(SUBJECT), formats=(draw(TEXT),)),),
        notes=(draw(TEXT),),
    )
    text = renderer(name)(report)
    markdown_breaks = "\u200b" if name == "markdown" else ""
    assert text.replace("\n", "").replace(markdown_breaks, "").isprintable()
    text.encode()
    if name in ("json", "sarif", "cyclonedx"):
        json.loads(text)
    if name == "junit":
        ElementTree.fromstring(text.encode())


@pytest.mark.parametrize("name", RENDERERS)
def test_rendering_is_deterministic(name: str) -> None:
    assert renderer(name)(reports.typical()) == renderer(name)(reports.typical())


@pytest.mark.parametrize("name", RENDERERS)
def test_an_empty_report(name: str) -> None:
    assert renderer(name)(reports.report(inventory=()))
