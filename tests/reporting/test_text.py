"""Whatever a name or a message holds, a terminal shows it and does not act on it."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from garrison.reporting.text import cells, counted, listed, printable, shortened, without_commands, wrap

ANYTHING = st.text(st.characters())


@given(ANYTHING)
def test_nothing_that_acts_or_hides_is_left(text: str) -> None:
    shown = printable(text)
    assert not any(unicodedata.category(char)[0] == "C" or char in "\u2028\u2029\n" for char in shown)
    shown.encode()


@given(st.text(st.characters(categories=("L", "N", "P", "S"))))
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert printable(text) == text


def test_what_is_written_out_can_be_read() -> None:
    assert printable("a\x1b[31m\u202eb\n\ud800") == "a\\x1b[31m\\u202eb\\n\\ud800"


@given(ANYTHING, st.integers(min_value=10, max_value=80))
def test_lines_fit_unless_a_word_does_not(text: str, width: int) -> None:
    shown = printable(text)
    lines = wrap(shown, width)
    assert all(cells(line) <= width or " " not in line for line in lines)
    assert " ".join(lines) == " ".join(shown.split())


def test_wide_characters_take_two_columns() -> None:
    assert cells("漢字") == 4
    assert wrap("漢字 漢字", 5) == ["漢字", "漢字"]


def test_lists_and_counts() -> None:
    assert counted(1, "file") == "1 file" and counted(0, "file") == "0 files"
    assert listed("abcde", 2) == "a, b … and 3 more"
    assert listed("ab", 2) == "a, b"
    assert shortened("abcdef", 4) == "abc…"


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("      ::stop-commands::x", r"      \x3a:stop-commands::x"),
        ("::error::x", r"\x3a:error::x"),
        ("a ##[add-mask]b", r"a #\x23[add-mask]b"),
        ("##vso[task.setvariable]x", r"#\x23vso[task.setvariable]x"),
        ("###teamcity[x]", r"##\x23teamcity[x]"),
        ("conda-forge::jinja2 ## x [y]", "conda-forge::jinja2 ## x [y]"),
    ],
)
def test_a_build_server_finds_no_command(line: str, shown: str) -> None:
    assert without_commands(line) == shown
