"""The page is complete in itself, runs nothing that a hostile name brings, and holds all that was found."""

import base64
import hashlib
import re
from html.parser import HTMLParser
from typing import Any

import pytest

from garrison.reporting.html import render

from . import reports

VOID = {"meta", "input", "br"}
ELEMENTS = {
    *("html", "head", "meta", "title", "style", "body", "header", "main", "footer", "section", "form", "script"),
    *("p", "b", "span", "div", "h1", "h2", "h3", "dl", "dt", "dd", "ul", "li", "a", "code", "details", "summary"),
    *("table", "thead", "tbody", "tr", "th", "td", "input", "label"),
}


class Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text: list[str] = []
        self.raw: dict[str, str] = {}
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("style", "script"):
            self.raw[self.open[-1]] = data
        else:
            self.text.append(data)


@pytest.mark.parametrize("make", [reports.report, reports.typical, reports.hostile, lambda: reports.large(100)])
def test_well_formed_and_only_of_our_own_elements(make: Any) -> None:
    page = Page(render(make()))
    assert page.open == []
    assert {tag for tag, _ in page.elements} <= ELEMENTS
    for _, attributes in page.elements:
        assert not any(name.startswith("on") or name in ("src", "style", "srcset") for name in attributes)


def test_it_loads_nothing_and_runs_only_what_its_policy_hashes() -> None:
    page = Page(render(reports.large(100)))
    policy = next(a["content"] for tag, a in page.elements if tag == "meta" and "http-equiv" in a) or ""
    assert "default-src 'none'" in policy and "unsafe" not in policy
    for name in ("style", "script"):
        digest = base64.b64encode(hashlib.sha256(page.raw[name].encode()).digest()).decode()
        assert f"{name}-src 'sha256-{digest}'" in policy
    assert not re.search(r"url\(|@import|fetch|XMLHttp", page.raw["style"] + page.raw["script"])


def test_links_lead_to_rules_on_the_page_or_to_the_catalogues_references() -> None:
    page = Page(render(reports.typical()))
    ids = {a["id"] for _, a in page.elements if "id" in a}
    for tag, attributes in page.elements:
        if tag == "a":
            target = attributes["href"] or ""
            assert target.startswith("https://") or target.removeprefix("#") in ids


def test_hostile_text_is_shown_as_text() -> None:
    page = Page(render(reports.hostile()))
    shown = "".join(page.text)
    assert "\\x1b[2J" in shown and "<script>alert(1)</script>" in shown and "{{ 7*7 }}" in shown
    assert shown.replace("\n", "").isprintable()
    assert "script" not in page.raw


def test_all_is_there() -> None:
    shown = "".join(Page(render(reports.typical())).text)
    for part in ("Denied", "dangerous-import", "@ 0x2f", "Seen 43.", "noise.bin", "ada@example.org", "expired"):
        assert part in shown
    assert "No findings." in "".join(Page(render(reports.report())).text)


def test_thousands_of_findings_make_a_page_of_a_few_megabytes() -> None:
    assert len(render(reports.large(5000))) < 4_000_000
