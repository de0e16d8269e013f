"""A text as words and what stands between them, without loss."""

import unicodedata
from dataclasses import dataclass
from functools import cached_property

_JOINERS = "\u200c\u200d"
"""Zero-width characters that belong to the spelling of words in some scripts."""


@dataclass(frozen=True)
class Words:
    """A text in pieces that join to it again.

    A word is a run of letters, digits and the marks on them, with apostrophes inside. In languages that are written
    without spaces a whole run between punctuation counts as one word.
    """

    pieces: tuple[str, ...]
    positions: tuple[int, ...]
    """Which pieces are words with a letter in them. Numbers are not: another number means another thing."""

    @cached_property
    def words(self) -> tuple[str, ...]:
        """The words, in the order of `positions`."""
        return tuple(self.pieces[position] for position in self.positions)

    def with_words(self, changed: dict[int, str]) -> str:
        """The text with other words, by their number from 0."""
        pieces = list(self.pieces)
        for number, word in changed.items():
            pieces[self.positions[number]] = word
        return "".join(pieces)


def split(text: str) -> Words:
    """The words of a text."""
    pieces: list[str] = []
    positions: list[int] = []
    start = 0
    while start < len(text):
        end, inside = start + 1, _in_word(text, start)
        while end < len(text) and _in_word(text, end) == inside:
            end += 1
        if inside and any(character.isalpha() for character in text[start:end]):
            positions.append(len(pieces))
        pieces.append(text[start:end])
        start = end
    return Words(tuple(pieces), tuple(positions))


def clusters(word: str) -> list[str]:
    """The letters of a word as a reader counts them: each with the marks and joiners that follow it."""
    found: list[str] = []
    for character in word:
        if found and (_is_mark(character) or character in _JOINERS or found[-1][-1] == "\u200d"):
            found[-1] += character
        else:
            found.append(character)
    return found


def _in_word(text: str, at: int) -> bool:
    character = text[at]
    if character.isalnum() or _is_mark(character):
        return True
    between = 0 < at < len(text) - 1 and _is_letter(text[at - 1]) and _is_letter(text[at + 1])
    return between and character in "'’" + _JOINERS


def _is_letter(character: str) -> bool:
    return character.isalnum() or _is_mark(character)


def _is_mark(character: str) -> bool:
    return unicodedata.category(character).startswith("M")
