"""A plain clean-up of the input: a defence that costs little, to be measured under attack like any other."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable

from garrison.robustness.text.edits import HOMOGLYPHS
from garrison.robustness.text.words import split

_FOLDS = {other: letter for letter, other in HOMOGLYPHS.items()}
SHORTEST = 4
"""Letters of a word that spelling is corrected in: of shorter ones, too many lie one edit apart."""
_REPEATED = re.compile(r"\b(\w+)(?:\s+\1\b)+")


class Normaliser:
    """Compatibility forms (NFKC), invisible characters, look-alike letters, spelling, repeated words: in this order."""

    def __init__(self, texts: Iterable[str]) -> None:
        """`texts` are what words are known from; best those that the model was trained on."""
        counts = Counter(word.casefold() for text in texts for word in split(text).words)
        self._known = counts
        self._deletions: dict[str, str] = {}
        for word, _ in sorted(counts.items(), key=lambda one: (one[1], one[0])):
            if len(word) >= SHORTEST:
                self._deletions |= dict.fromkeys(_shorter(word), word)

    def __call__(self, text: str) -> str:
        """The text as a careful reader might type it again."""
        text = unicodedata.normalize("NFKC", text)
        text = "".join(character for at, character in enumerate(text) if not _invisible(text, at))
        words = split(text)
        changed = {number: self._word(word) for number, word in enumerate(words.words)}
        return _REPEATED.sub(r"\1", words.with_words(changed))

    def _word(self, word: str) -> str:
        folded = "".join(_FOLDS.get(character, character) for character in word)
        if folded != word and (any(character.isascii() for character in word) or folded.casefold() in self._known):
            word = folded
        plain = word.casefold()
        if len(plain) < SHORTEST or plain in self._known or not plain.isascii():
            return word
        return self._deletions.get(plain) or self._respelt(plain) or word

    def _respelt(self, word: str) -> str | None:
        """The most frequent known word from which one deletion, insertion, exchange or swap leads to `word`."""
        shorter = _shorter(word)
        found = {self._deletions[one] for one in shorter if one in self._deletions}
        found |= {one for one in shorter if one in self._known}
        found = {one for one in found if _one_apart(one, word)}
        return max(found, key=lambda one: (self._known[one], one), default=None)


def _shorter(word: str) -> set[str]:
    return {word[:at] + word[at + 1 :] for at in range(len(word))}


def _one_apart(one: str, other: str) -> bool:
    """Whether one deletion, insertion, exchange of a letter or swap of neighbours makes one word the other."""
    if abs(len(one) - len(other)) > 1:
        return False
    start = 0
    while start < min(len(one), len(other)) and one[start] == other[start]:
        start += 1
    rest, other_rest = one[start:], other[start:]
    if len(one) == len(other):
        return rest[1:] == other_rest[1:] or (rest[:2] == other_rest[1::-1] and rest[2:] == other_rest[2:])
    return rest[1:] == other_rest if len(one) > len(other) else rest == other_rest[1:]


def _invisible(text: str, at: int) -> bool:
    """A character of no width, unless it spells a word of another script or an emoji."""
    character = text[at]
    if unicodedata.category(character) != "Cf":
        return False
    if character not in "\u200c\u200d":
        return True
    neighbours = text[max(0, at - 1) : at] + text[at + 1 : at + 2]
    return not neighbours or any(one.isascii() for one in neighbours)
