"""Links to packages under development."""

from hypothesis import given, settings

from garrison.core.facts import Reference
from tests.support import assert_no_failure, damaged, examine_bytes, facts_of, findings_of

LINK = b"/home/a/work/tools/src\n../"


def test_the_folder_is_stated_and_harmless() -> None:
    found = [fact for fact in facts_of(LINK, "site-packages/tools.egg-link") if type(fact) is Reference]
    assert [(fact.detail, fact.target) for fact in found] == [("tools", "file:///home/a/work/tools/src")]
    assert findings_of(LINK, "site-packages/tools.egg-link") == []


def test_longer_text_is_no_link() -> None:
    assert "egg-link" not in examine_bytes(b"one\ntwo\nthree\n", "x.egg-link")[-1].formats


@settings(max_examples=30, deadline=None)
@given(data=damaged(LINK))
def test_damage_never_breaks_the_reader(data: bytes) -> None:
    assert_no_failure(data, "x.egg-link")
