"""Texts come apart and together again, whatever they are written in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from garrison.robustness.text.words import clusters, split


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        ("  ... 42!", []),
        ("Don't stop, it’s mine.", ["Don't", "stop", "it’s", "mine"]),
        ("'quoted' well-known", ["quoted", "well", "known"]),
        ("B2B 1st 2000", ["B2B", "1st"]),
        ("Cafe\u0301 न\u093fर\u094dद\u0947श", ["Cafe\u0301", "न\u093fर\u094dद\u0947श"]),
        ("می\u200cخواهم رفت", ["می\u200cخواهم", "رفت"]),
        ("很好看。真的", ["很好看", "真的"]),
        ("so 👩\u200d💻 good", ["so", "good"]),
    ],
)
def test_words(text: str, words: list[str]) -> None:
    assert list(split(text).words) == words


@given(st.text())
def test_pieces_join_to_the_text(text: str) -> None:
    assert split(text).with_words({}) == text
    assert "".join(clusters(text)) == text


def test_words_change_in_place() -> None:
    assert split("Good, very good!").with_words({0: "Bad", 2: ""}) == "Bad, very !"


def test_marks_stay_with_their_letters() -> None:
    assert clusters("e\u0301te\u0301") == ["e\u0301", "t", "e\u0301"]
