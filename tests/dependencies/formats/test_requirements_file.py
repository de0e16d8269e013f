"""Files of requirements are known by their lines, whatever they are called."""

from hypothesis import given
from hypothesis import strategies as st

from garrison.core.facts import Requirement
from tests.support import assert_no_failure, examine_bytes, facts_of, findings_of

LINES = b"# what the model needs\nnumpy==1.26.4\ntorch>=2.0 ; python_version > '3.8'\n"


def test_what_is_asked_for_goes_to_the_inventory() -> None:
    assert findings_of(LINES, "needs") == []
    assert examine_bytes(LINES, "needs")[-1].formats == ["requirements"]
    assert [fact.name for fact in facts_of(LINES, "needs") if isinstance(fact, Requirement)] == ["numpy", "torch"]


def test_words_alone_are_requirements_only_by_name() -> None:
    words = b"numpy\ntorch\n"
    assert examine_bytes(words, "vocabulary.txt")[-1].formats == ["text"]
    assert examine_bytes(words, "requirements.txt")[-1].formats == ["requirements"]


def test_a_list_of_links_asks_for_no_packages() -> None:
    assert findings_of(b"https://accounts.example.org\n", "issuer") == []
    assert "requirements" in examine_bytes(b"https://example.org/a-1.0-py3-none-any.whl\n", "list")[-1].formats
    assert "requirements" in examine_bytes(b"git+https://example.org/a\n", "list")[-1].formats


@given(st.text(alphabet="ab=<>[]-@#;:/. \\\n", max_size=60))
def test_any_lines_end_in_a_state(lines: str) -> None:
    assert_no_failure(LINES + lines.encode(), "requirements.txt")
