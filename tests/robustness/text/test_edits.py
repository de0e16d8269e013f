"""Edits change little, keep what they promise and hide nothing from a report."""

import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from garrison.robustness.text.edits import FILLERS, HOMOGLYPHS, KINDS, ZERO_WIDTH, Edit, edits
from garrison.robustness.text.words import clusters


def one(word: str, kind: str, seed: int = 0, **settings: object) -> str | None:
    options = {"keep_ends": True, **settings}
    found = edits(word, frozenset({kind}), np.random.default_rng(seed), **options)
    return found[0].after if found else None


def test_each_kind_does_what_it_says() -> None:
    for seed in range(20):
        swapped = one("wonder", "swap", seed)
        assert sorted(swapped) == sorted("wonder")
        assert swapped != "wonder"
        assert len(one("wonder", "delete", seed)) == 5
        assert len(one("wonder", "insert", seed)) == 7
        alike = one("wonder", "homoglyph", seed)
        assert sum(a != b for a, b in zip(alike, "wonder", strict=True)) == 1
        unseen = one("wonder", "zero-width", seed)
        assert "".join(letter for letter in unseen if letter not in ZERO_WIDTH) == "wonder"
        assert one("wonder", "repeat", seed) == "wonder wonder"
        assert one("wonder", "filler", seed).split() == [one("wonder", "filler", seed).split()[0], "wonder"]


@given(st.text(min_size=1, max_size=12), st.integers(0, 99), st.integers(1, 3))
def test_ends_stay(word: str, seed: int, letters: int) -> None:
    kinds = frozenset({"swap", "delete", "insert", "homoglyph"})
    for edit in edits(word, kinds, np.random.default_rng(seed), keep_ends=True, letters=letters):
        before, after = clusters(edit.before), clusters(edit.after)
        assert (before[0], before[-1]) == (after[0], after[-1])
        assert edit.before == word != edit.after


@pytest.mark.parametrize(
    ("word", "kinds"),
    [
        ("a", {"repeat", "filler"}),
        ("is", {"repeat", "filler", "zero-width"}),
        ("aaaa", set(KINDS) - {"swap", "synonym"}),
    ],
)
def test_short_words_take_few(word: str, kinds: set[str]) -> None:
    found = {edit.kind for edit in edits(word, frozenset(KINDS), np.random.default_rng(0), keep_ends=True)}
    assert found == kinds


def test_two_letters_at_once() -> None:
    assert len(one("wonderful", "delete", letters=2)) == 7
    assert one("wonderful", "repeat", letters=2) == "wonderful wonderful"


def test_marks_move_with_their_letters() -> None:
    for seed in range(10):
        assert sorted(clusters(one("re\u0301sume\u0301s", "swap", seed))) == sorted(clusters("re\u0301sume\u0301s"))


def test_look_alikes_are_single_letters_of_other_scripts() -> None:
    for letter, other in HOMOGLYPHS.items():
        assert letter.isascii()
        assert not other.isascii()
        assert unicodedata.normalize("NFKC", other) == other
        assert len(letter) == len(other) == 1
    assert len(set(HOMOGLYPHS.values())) == len(HOMOGLYPHS)
    assert all(unicodedata.category(character) == "Cf" for character in ZERO_WIDTH)
    assert all(word.isalpha() for word in FILLERS)


def test_what_deceives_the_eye_is_shown_as_code_points() -> None:
    assert str(Edit("homoglyph", "movie", "m\u043evie")) == "movie → m[U+043E]vie (homoglyph)"
    assert str(Edit("zero-width", "movie", "mo\u200bvie")) == "movie → mo[U+200B]vie (zero-width)"
