"""Files of requirements are known by their names, or by their lines."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from garrison.core.facts import Anomaly, Requirement
from tests.support import assert_no_failure, examine_bytes, facts_of, findings_of, worst

LINES = b"# what the model needs\nnumpy==1.26.4\ntorch>=2.0,<3 ; python_version > '3.8'\n"


def test_what_is_asked_for_goes_to_the_inventory() -> None:
    assert worst(findings_of(LINES, "needs")) in ("none", "info")
    assert examine_bytes(LINES, "needs")[-1].formats == ["requirement-lines"]
    assert [fact.name for fact in facts_of(LINES, "needs") if isinstance(fact, Requirement)] == ["numpy", "torch"]


@pytest.mark.parametrize(
    "name",
    [
        "requirements.txt",
        "dev-requirements.txt",
        "requirements_versions.txt",
        "constraints.txt",
        "requirements/dev.txt",
    ],
)
def test_words_alone_are_requirements_only_by_name(name: str) -> None:
    words = b"numpy\ntorch\n"
    assert examine_bytes(words, "vocabulary.txt")[-1].formats == ["text"]
    assert "requirements" in examine_bytes(words, name)[-1].formats


def test_a_list_of_links_asks_for_no_packages() -> None:
    assert findings_of(b"https://accounts.example.org\n", "issuer") == []
    for line in (b"https://example.org/a-1.0-py3-none-any.whl\n", b"git+https://example.org/a\n"):
        assert "requirement-lines" in examine_bytes(line, "list")[-1].formats


def test_no_dress_hides_requirements_from_their_reader() -> None:
    text = b"# {% raw %} {{ x }}\n--extra-index-url http://example.org/simple\nnumpy==1\n"
    assert worst(findings_of(text, "requirements.txt")) == "high"


def test_constraints_limit_and_do_not_ask() -> None:
    found = [fact for fact in facts_of(b"numpy==1\n", "constraints.txt") if type(fact) is Requirement]
    assert [fact.constraint for fact in found] == [True]


@pytest.mark.parametrize("data", [b"\x80\x04\x95garbage\x00\xff" * 99, b"\x00" * 100, b"a\x00b==1\n", b"? ? ?\n" * 9])
def test_garbage_is_said(data: bytes) -> None:
    entry = examine_bytes(data, "requirements.txt")[-1]
    assert entry.state != "examined" or any(type(fact) is Anomaly for fact in entry.facts)


def test_a_large_file_ends_at_a_limit() -> None:
    entry = examine_bytes(b"package==1.0\n" * 1_000_000, "requirements.txt")[-1]
    assert entry.state == "partial" and len(entry.facts) <= 20_010
    assert examine_bytes(b"# only a comment\n" * 500_000, "requirements.txt")[-1].state == "examined"


@given(st.text(alphabet="ab=<>[]-@#;:/. \\\n\u2028\x00'\"${}", max_size=60))
def test_any_lines_end_in_a_state(lines: str) -> None:
    assert_no_failure(LINES + lines.encode(), "requirements.txt")
