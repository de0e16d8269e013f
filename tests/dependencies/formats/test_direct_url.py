"""Recorded origins of installed packages."""

import json

import pytest
from hypothesis import given, settings

from garrison.core.facts import Reference
from tests.support import assert_no_failure, damaged, facts_of, findings_of, worst

NAME = "site-packages/acme_tools-1.0.dist-info/direct_url.json"
PINNED = {
    "url": "https://github.com/acme/tools.git",
    "vcs_info": {"vcs": "git", "commit_id": "ee33ee1cd9e90ad8b18b9c0d7e1b0d1f8f5e1d3c", "requested_revision": "main"},
}
ARCHIVE = {"url": "https://files.example.org/acme_tools-1.0.whl", "archive_info": {"hash": "sha256=" + "ab" * 32}}


def encoded(document: object) -> bytes:
    return json.dumps(document).encode()


def origin(document: object) -> str:
    found = [fact for fact in facts_of(encoded(document), NAME) if type(fact) is Reference]
    assert [fact.detail for fact in found] == ["acme_tools"]
    return found[0].target


def test_the_revision_and_the_digest_are_part_of_the_origin() -> None:
    assert origin(PINNED) == f"git+https://github.com/acme/tools.git@{PINNED['vcs_info']['commit_id']}"  # type: ignore[index]
    assert origin(ARCHIVE) == f"https://files.example.org/acme_tools-1.0.whl#sha256={'ab' * 32}"


def test_pinned_sources_and_packages_under_development_are_no_finding() -> None:
    assert findings_of(encoded(PINNED), NAME) == []
    assert findings_of(encoded({"url": "file:///home/a/tools", "dir_info": {"editable": True}}), NAME) == []


def test_an_origin_that_anyone_on_the_way_can_alter_is_high() -> None:
    found = findings_of(encoded({"url": "http://example.org/acme_tools-1.0.tar.gz", "archive_info": {}}), NAME)
    assert [item.rule for item in found] == ["package-source"] and worst(found) == "high"


@pytest.mark.parametrize("text", [b"{", b"[]", b'{"url": 1}', b"{}"])
def test_other_documents_are_malformed(text: bytes) -> None:
    assert {item.rule for item in findings_of(text, NAME)} == {"malformed"}


@settings(max_examples=40, deadline=None)
@given(data=damaged(encoded(PINNED), encoded(ARCHIVE)))
def test_damage_never_breaks_the_reader(data: bytes) -> None:
    assert_no_failure(data, NAME)
