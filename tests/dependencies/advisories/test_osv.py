"""Advisories in OSV's schema, as publishers write them and as nobody should."""

import datetime
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from garrison.dependencies.advisories.advisory import Advisory, Affected, Range
from garrison.dependencies.advisories.osv import BrokenEntry, from_json, from_value, head, yaml_head
from garrison.dependencies.advisories.yaml_values import yaml_value
from tests.dependencies.advisories.samples import document


def read(**more: Any) -> tuple[Advisory, tuple[Affected, ...]]:
    return from_json(json.dumps(document(**more)).encode())


def test_the_whole_of_an_advisory() -> None:
    advisory, affected = read(
        published="2024-04-01T00:00:00.123456789Z",
        modified="2024-05-01T02:00:00+02:00",
        aliases=["CVE-2024-1000", "GHSA-aaaa-bbbb-cccc", "CVE-2024-1000"],
        upstream=["CVE-2024-2000"],
        related=["CVE-2024-3000"],
        severity=[{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}],
        references=[
            {"type": "FIX", "url": "https://example.org/fix"},
            {"type": "WEB", "url": "javascript:alert(1)"},
            {"type": "WEB", "url": "https://example.org/\u202egpj.exe"},
        ],
        credits=[{"name": "somebody"}],
    )
    assert advisory.published == datetime.datetime(2024, 4, 1, 0, 0, 0, 123456, datetime.UTC)
    assert advisory.modified == datetime.datetime(2024, 5, 1, tzinfo=datetime.UTC)
    assert advisory.cves == ("CVE-2024-1000", "CVE-2024-2000")
    assert (advisory.score, advisory.rating) == (9.8, "critical")
    assert [reference.url for reference in advisory.references] == ["https://example.org/fix"]
    assert advisory.packages == (("PyPI", "example"),)
    assert not advisory.malicious and advisory.withdrawn is None
    assert affected[0].versions == ("1.0", "1.4")


def test_every_kind_of_range() -> None:
    package = {"ecosystem": "npm", "name": "@scope/name"}
    _, (affected,) = read(
        affected=[
            {
                "package": package,
                "ranges": [
                    {"type": "SEMVER", "events": [{"introduced": "1.0.0"}, {"last_affected": "1.2.0"}]},
                    {"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"limit": "2"}, {"odd": "x"}]},
                    {
                        "type": "GIT",
                        "repo": "https://example.org/r",
                        "events": [{"introduced": "0"}, {"fixed": "c0ffee"}],
                    },
                    {"type": "ECOSYSTEM", "events": [{"introduced": "3", "fixed": "3.1"}]},
                ],
            }
        ]
    )
    assert affected.ranges == (
        Range("SEMVER", (("introduced", "1.0.0"), ("last_affected", "1.2.0"))),
        Range("ECOSYSTEM", (("introduced", "0"), ("limit", "2"))),
        Range("GIT"),
        Range("ECOSYSTEM", (("introduced", "3"), ("fixed", "3.1"))),
    )


def test_ranges_that_nobody_can_order_are_kept_for_who_judges() -> None:
    affected = read(fixed="2.6.0-NA")[1][0]
    assert affected.ranges[0].events[-1] == ("fixed", "2.6.0-NA")


def test_nulls_are_nothing() -> None:
    advisory, affected = read(aliases=None, affected=None, severity=None, references=None, summary=None, details=None)
    assert (advisory.aliases, affected, advisory.rating, advisory.summary) == ((), (), "", "")


@pytest.mark.parametrize("id", ["MAL-2025-1", "GHSA-mmmm-mmmm-mmmm"])
def test_malicious_packages(id: str) -> None:
    assert read(id=id, aliases=["MAL-2025-1"])[0].malicious


@pytest.mark.parametrize(
    ("more", "rating"),
    [
        ({"database_specific": {"severity": "MODERATE"}}, "medium"),
        ({"database_specific": {"severity": "IMPORTANT"}}, "high"),
        ({"severity": [{"type": "Ubuntu", "score": "negligible"}]}, "low"),
        ({"database_specific": {"severity": ["odd"]}}, ""),
        ({"database_specific": "odd"}, ""),
        ({"severity": [{"type": "CVSS_V3", "score": "odd"}]}, ""),
    ],
)
def test_words_of_publishers_where_there_is_no_score(more: dict[str, Any], rating: str) -> None:
    advisory, _ = read(**more)
    assert (advisory.score, advisory.rating) == (None, rating)


def test_severities_and_urgencies_of_single_packages() -> None:
    affected = document()["affected"][0]
    vector = "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N"
    assert read(affected=[{**affected, "severity": [{"type": "CVSS_V4", "score": vector}]}])[0].score == 9.3
    assert read(affected=[{**affected, "ecosystem_specific": {"urgency": "unimportant"}}])[0].rating == "low"


def test_a_summary_is_one_line() -> None:
    details = "### Impact\n\nA *long*\nstory.\n\nMore."
    assert read(summary=None, details=details)[0].summary == "A *long* story."
    assert read(summary="two\nlines")[0].summary == "two lines"
    assert len(read(summary="word " * 1000)[0].summary) < 310


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'{"id": "X-1"}',
        b'{"id": "X-1", "modified": "yesterday"}',
        b'{"id": "X-1", "modified": 5}',
        b'{"id": "", "modified": "2024-01-01T00:00:00Z"}',
        b'{"id": "a\\u001b[2J", "modified": "2024-01-01T00:00:00Z"}',
        b'{"id": "../../x\\n", "modified": "2024-01-01T00:00:00Z"}',
        b'{"id": "X-1", "modified": "2024-01-01T00:00:00Z", "affected": {}}',
        b'{"id": "X-1", "modified": "2024-01-01T00:00:00Z", "affected": [{"package": {"name": "x"}}]}',
        b'{"id": "X-1", "modified": "2024-01-01", "affected": [{"package": {"ecosystem": "PyPI", "name": "\\n"}}]}',
        b'{"id": "X-1", "modified": "2024-01-01T00:00:00Z", "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"id": "X-1", "modified": "9999-12-31T23:59:59-23:00"}',
        b'\xff{"id": "X-1"}',
    ],
)
def test_what_is_no_advisory_is_broken(data: bytes) -> None:
    with pytest.raises(BrokenEntry):
        from_json(data)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
    )
)
def test_odd_values_anywhere_never_raise_anything_else(value: Any) -> None:
    for key in (
        "affected",
        "severity",
        "aliases",
        "references",
        "database_specific",
        "summary",
        "withdrawn",
        "modified",
    ):
        try:
            from_value({**document(), key: value})
        except BrokenEntry:
            continue


YAML = b"""\
id: PYSEC-2021-76
modified: "2021-04-01T00:00:00Z"
details: |
  Long text.

  id: not this one
affected:
- package: {name: example, ecosystem: PyPI}
  ranges:
  - type: ECOSYSTEM
    events:
    - introduced: "0"
    - fixed: 1.10
  versions:
  - 1.1
  - 1.20
  - 2021-01-01
  - no
published: 2021-02-03 04:05:06
aliases: ~
"""


def test_yaml_keeps_versions_as_they_are_written() -> None:
    advisory, (affected,) = from_value(yaml_value(YAML))
    assert affected.ranges[0].events == (("introduced", "0"), ("fixed", "1.10"))
    assert affected.versions == ("1.1", "1.20", "2021-01-01", "no")
    assert advisory.published == datetime.datetime(2021, 2, 3, 4, 5, 6, tzinfo=datetime.UTC)
    assert advisory.summary == "Long text."


def test_the_head_of_an_entry_is_told_without_the_rest() -> None:
    expected = ("PYSEC-2021-76", datetime.datetime(2021, 4, 1, tzinfo=datetime.UTC))
    assert yaml_head(YAML) == expected
    assert yaml_head(b"{id: X-1, modified: 2021-04-01}") is None
    assert head(b'{"id": "PYSEC-2021-76", "modified": "2021-04-01T00:00:00Z", "affected": 5}') == expected


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"a: &x 1\nb: *x\n", "aliases"),
        (b"a: 1\n---\nb: 1\n", "more than one"),
        (b"a: 1\na: 2\n", "twice"),
        (b"[a, b]: 1\n", "no text"),
        (b"a: [1\n", "not valid YAML"),
        (b"\x00\xff", "not valid YAML"),
        (b"[" * 500 + b"]" * 500, "too deeply"),
        (b"[" * 50_000, "too deeply|not valid YAML"),
    ],
)
def test_yaml_that_is_refused(data: bytes, said: str) -> None:
    with pytest.raises(BrokenEntry, match=said):
        yaml_value(data)


def test_tags_construct_nothing() -> None:
    assert yaml_value(b"a: !!python/object/apply:os.system ['id']") == {"a": ["id"]}
    assert yaml_value(b"") is None
