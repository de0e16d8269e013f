"""Requirements that stand in a comment of a script."""

from textwrap import dedent

import pytest
from hypothesis import given

from garrison.core.facts import Anomaly, Reference, Requirement
from tests.support import assert_no_failure, damaged, examine_bytes, facts_of

SCRIPT = dedent(
    """\
    #!/usr/bin/env -S uv run
    # /// script
    # requires-python = ">=3.11"
    # dependencies = [
    #   "requests<3",
    #   "rich",
    # ]
    #
    # [[tool.uv.index]]
    # url = "http://packages.example.org/simple"
    # ///
    import requests
    """
)


@pytest.mark.parametrize("text", [SCRIPT, SCRIPT.replace("\n", "\r\n")])
def test_what_is_installed_before_it_runs(text: str) -> None:
    found = facts_of(text.encode(), "run.py")
    assert [(f.name, f.specifier) for f in found if type(f) is Requirement] == [("requests", "<3"), ("rich", "")]
    assert [f.target for f in found if type(f) is Reference and f.role == "package-index"] == [
        "http://packages.example.org/simple"
    ]
    without_interpreter = text.partition("\n")[2].encode()
    assert examine_bytes(without_interpreter, "run.py")[-1].formats == ["script-metadata", "python"]


@pytest.mark.parametrize("text", ["# /// script\n# a = \n# ///\n", "# /// script\n# a = 1\n# ///\n" * 2])
def test_what_tools_refuse_is_said(text: str) -> None:
    assert any(type(fact) is Anomaly for fact in facts_of(text.encode(), "run.py"))


def test_scripts_without_it_ask_for_nothing() -> None:
    assert [f for f in facts_of(b"x = '# /// script'\n", "run.py") if type(f) is Requirement] == []
    assert [f for f in facts_of(b"# /// script\n# a = 1\nx = 1\n", "run.py") if type(f) is Requirement] == []


@pytest.mark.parametrize("comment", [b"# /// script\n" + b"#\n" * 100_000, b"# /// script\n# ///\n" * 10_000])
def test_long_comments_without_an_end_ask_for_nothing(comment: bytes) -> None:
    assert [f for f in facts_of(comment, "run.py") if type(f) is Requirement] == []


@given(damaged(SCRIPT.encode()))
def test_damage_ends_in_a_state(data: bytes) -> None:
    assert_no_failure(data, "run.py")
