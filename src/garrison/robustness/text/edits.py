"""Changes of one word that people read through (Gao et al. 2018, DeepWordBug; Li et al. 2019, TextBugger)."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from typing import Literal, get_args

import numpy as np

from garrison.robustness.text.words import clusters

Kind = Literal["swap", "delete", "insert", "homoglyph", "zero-width", "synonym", "repeat", "filler"]
KINDS: tuple[Kind, ...] = get_args(Kind)
_KNOWN = json.loads(files(__package__).joinpath("edits.json").read_text("utf-8"))
HOMOGLYPHS: dict[str, str] = _KNOWN["homoglyphs"]
"""Latin letters, and letters of other scripts that look like them (Unicode Technical Standard 39)."""
ZERO_WIDTH: tuple[str, ...] = tuple(_KNOWN["zero_width"])
FILLERS: tuple[str, ...] = tuple(_KNOWN["fillers"])
"""English words that can stand almost anywhere and say little."""


@dataclass(frozen=True)
class Edit:
    """What a word becomes."""

    kind: Kind
    before: str
    after: str

    @property
    def shown(self) -> str:
        """What it becomes, with characters that deceive the eye as code points."""
        return "".join(_visible(character) for character in self.after)

    def __str__(self) -> str:
        return f"{self.before} → {self.shown} ({self.kind})"


def edits(
    word: str, kinds: frozenset[Kind], random: np.random.Generator, *, keep_ends: bool, letters: int = 1
) -> list[Edit]:
    """One edit of each of `kinds` that the word can take, except synonyms, in random order.

    With `keep_ends` the first and the last letter stay as and where they are. Edits of letters are made `letters`
    times over.
    """
    found = []
    for kind, edit in _EDITS.items():
        after = edit(word, keep_ends, random) if kind in kinds else None
        for _ in range(letters - 1 if kind in _OF_LETTERS else 0):
            after = edit(after, keep_ends, random) if after is not None else None
        if after is not None and after != word:
            found.append(Edit(kind, word, after))
    return [found[index] for index in random.permutation(len(found))]


def _pick(places: list[int], random: np.random.Generator) -> int | None:
    return places[int(random.integers(len(places)))] if places else None


def _swap(word: str, keep_ends: bool, random: np.random.Generator) -> str | None:
    letters, first, last = _inner(word, keep_ends)
    pairs = [(at, letters[at : at + 2]) for at in range(first, last - 1)]
    places = [at for at, (one, other) in pairs if one != other and _alphabetic([one, other])]
    if (at := _pick(places, random)) is None:
        return None
    return "".join([*letters[:at], letters[at + 1], letters[at], *letters[at + 2 :]])


def _delete(word: str, keep_ends: bool, random: np.random.Generator) -> str | None:
    letters, first, last = _inner(word, keep_ends)
    places = [at for at in range(first, last) if _alphabetic(letters[at : at + 1])]
    if len(letters) < 4 or (at := _pick(places, random)) is None:
        return None
    return "".join(letters[:at] + letters[at + 1 :])


def _double(word: str, keep_ends: bool, random: np.random.Generator) -> str | None:
    letters, first, last = _inner(word, keep_ends)
    if (at := _pick([at for at in range(first, last) if _alphabetic(letters[at : at + 1])], random)) is None:
        return None
    return "".join(letters[: at + 1] + letters[at:])


def _look_alike(word: str, keep_ends: bool, random: np.random.Generator) -> str | None:
    letters, first, last = _inner(word, keep_ends)
    if (at := _pick([at for at in range(first, last) if letters[at] in HOMOGLYPHS], random)) is None:
        return None
    return "".join([*letters[:at], HOMOGLYPHS[letters[at]], *letters[at + 1 :]])


def _unseen(word: str, keep_ends: bool, random: np.random.Generator) -> str | None:
    letters = clusters(word)
    if len(letters) < 2:
        return None
    at = int(random.integers(1, len(letters)))
    return "".join([*letters[:at], ZERO_WIDTH[int(random.integers(len(ZERO_WIDTH)))], *letters[at:]])


def _repeat(word: str, keep_ends: bool, random: np.random.Generator) -> str | None:
    return f"{word} {word}"


def _filler(word: str, keep_ends: bool, random: np.random.Generator) -> str | None:
    return f"{FILLERS[int(random.integers(len(FILLERS)))]} {word}"


_EDITS: dict[Kind, Callable[[str, bool, np.random.Generator], str | None]] = {
    "swap": _swap,
    "delete": _delete,
    "insert": _double,
    "homoglyph": _look_alike,
    "zero-width": _unseen,
    "repeat": _repeat,
    "filler": _filler,
}


_OF_LETTERS = frozenset({"swap", "delete", "insert", "homoglyph"})


def _inner(word: str, keep_ends: bool) -> tuple[list[str], int, int]:
    """The letters of a word, and from which to before which they may change."""
    letters = clusters(word)
    return (letters, 1, len(letters) - 1) if keep_ends else (letters, 0, len(letters))


def _alphabetic(letters: list[str]) -> bool:
    return all(letter[0].isalpha() for letter in letters)


def _visible(character: str) -> str:
    """The character, or its code point where a reader could not see what it is."""
    if character in ZERO_WIDTH or character in _LOOK_ALIKES:
        return f"[U+{ord(character):04X}]"
    return character


_LOOK_ALIKES = frozenset(HOMOGLYPHS.values())
