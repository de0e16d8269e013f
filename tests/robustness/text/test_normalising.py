"""The clean-up undoes single edits of known words, and leaves everything else alone."""

import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from garrison.robustness.text.edits import edits
from garrison.robustness.text.normalising import Normaliser
from tests.robustness.text.conftest import BLAME, PRAISE, texts

KNOWN = Normaliser(texts(400, 0)[0])


@pytest.mark.parametrize("kind", ["swap", "delete", "insert", "homoglyph", "zero-width", "repeat"])
@pytest.mark.parametrize("word", ["terrible", "wonderful", "memorable", "awful"])
def test_single_edits_of_known_words_are_undone(kind: str, word: str) -> None:
    for seed in range(10):
        (edit,) = edits(word, frozenset({kind}), np.random.default_rng(seed), keep_ends=True)
        assert KNOWN(f"It was {edit.after}!") == f"It was {word}!"


def test_clean_texts_stay_as_they_are() -> None:
    found = texts(60, 7)[0]
    assert [KNOWN(text) for text in found] == found


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Это был прекрасный фильм",
        "می\u200cخواهم رفت",
        "👩\u200d💻 very good",
        "an unknown unknowable xyzzy 2000",
        "Ωmega μ",
    ],
)
def test_other_scripts_and_unknown_words_stay(text: str) -> None:
    assert KNOWN(text) == unicodedata.normalize("NFKC", text)


def test_a_word_that_is_all_look_alikes_is_folded_if_it_is_known() -> None:
    assert Normaliser(["a nice cope"])("\u0441\u043e\u0440\u0435") == "cope"
    assert Normaliser(["else"])("\u0441\u043e\u0440\u0435") == "\u0441\u043e\u0440\u0435"


def test_the_most_frequent_word_is_meant() -> None:
    assert Normaliser(["bored bored cored"])("fored") == "bored"


@given(st.text(max_size=60))
def test_any_text_is_cleaned_up_and_twice_is_once_where_nothing_is_known(text: str) -> None:
    assert isinstance(KNOWN(text), str)
    assert Normaliser([])(text).count("\u200b") == 0


def test_words_of_the_world_are_more_than_one_edit_apart() -> None:
    """Else the tests above would test luck."""
    assert len(set(PRAISE + BLAME)) == 20
