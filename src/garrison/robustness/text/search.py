"""The search for few changed words that make a model decide wrongly.

1. Rank the words by how far the label's lead falls without each (Jin et al. 2020, TextFooler); in long texts, first
   stretches of words and then the words of the weightiest stretches.
2. Change them in this order with a beam: of all edits of the next word in each kept text, the texts with the smallest
   lead are kept. Where only decisions are known, change as many words as allowed at random.
3. Give back the changes that were not needed.
"""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from garrison.robustness.searching import margins_of
from garrison.robustness.text.edits import Edit
from garrison.robustness.text.words import Words

Scores = NDArray[np.float64]
Asking = Generator[Sequence[str], Scores, None]
Proposals = Callable[[str, np.random.Generator], Sequence[Edit]]
"""The edits that a word may take."""

BEAM = 3
TRIES = 8
"""Texts that are changed at random at a time."""


class _Spent(Exception):
    """No queries are left."""


@dataclass(frozen=True)
class Changed:
    """A text with changed words."""

    edits: dict[int, Edit]
    """By the number of the word."""
    text: str
    margin: float


class TextSearch:
    """One text under attack."""

    def __init__(
        self,
        words: Words,
        label: int,
        margin: float,
        allowed: Sequence[int],
        proposals: Proposals,
        *,
        most: int,
        scored: bool,
        queries: int,
        random: np.random.Generator,
    ) -> None:
        """`allowed` are the words that may change, `most` how many of them at once, `margin` the text's own lead."""
        self._words = words
        self._label = label
        self._origin = Changed({}, words.with_words({}), margin)
        self._free = list(allowed)
        self._proposals = proposals
        self._most = most
        self._scored = scored
        self._queries = queries
        self._random = random
        self.spent = 0
        self.found_after = -1
        self.best: Changed | None = None
        """The one with the fewest changed words."""
        self.scores: Scores | None = None
        """Of it (classes,)."""

    def run(self) -> Asking:
        """Steps 1 to 3, until the queries are spent or nothing is left to try."""
        if not self._free or self._most < 1:
            return
        try:
            if self._scored:
                order = yield from self._ranked()
                yield from self._beam(order)
            else:
                yield from self._guess()
            yield from self._give_back()
        except _Spent:
            return

    def _ask(self, candidates: Sequence[dict[int, Edit]]) -> Generator[Sequence[str], Scores, list[Changed]]:
        """The texts of these changes with their leads; keeps the best that is decided wrongly."""
        texts = [self._words.with_words({at: edit.after for at, edit in edits.items()}) for edits in candidates]
        scores = yield from self._scores_of(texts)
        margins, wrong = margins_of(scores, self._label)
        found = []
        for index, (edits, text) in enumerate(zip(candidates, texts, strict=False)):
            if index == len(scores):
                raise _Spent
            found.append(Changed(edits, text, float(margins[index])))
            if not wrong[index]:
                continue
            if self.found_after < 0:
                self.found_after = self.spent - len(scores) + index + 1
            if self.best is None or len(edits) < len(self.best.edits):
                self.best, self.scores = found[-1], scores[index]
        return found

    def _scores_of(self, texts: Sequence[str]) -> Generator[Sequence[str], Scores, Scores]:
        """Scores of as many of the texts as queries are left for."""
        texts = texts[: self._queries - self.spent]
        if not texts:
            raise _Spent
        scores = yield texts
        self.spent += len(texts)
        return scores

    # Step 1.

    def _ranked(self) -> Generator[Sequence[str], Scores, list[int]]:
        """The words that may change, the weightiest first."""
        share = max(1, self._queries // 4)
        words = self._free
        if len(words) > 2 * share:
            stretches = [list(part) for part in np.array_split(np.asarray(words), share)]
            falls = yield from self._falls(stretches)
            weightiest = (-falls).argsort(kind="stable")
            words = [word for index in weightiest for word in stretches[index]][:share]
        falls = yield from self._falls([[word] for word in words])
        # A word that speaks against the label gains by being repeated: half as urgent as one that speaks for it.
        urgent = np.maximum(falls, -falls / 2)
        return [words[index] for index in (-urgent).argsort(kind="stable")]

    def _falls(self, parts: Sequence[Sequence[int]]) -> Generator[Sequence[str], Scores, NDArray[np.float64]]:
        """By how much the lead falls without each part of the words."""
        texts = [self._words.with_words(dict.fromkeys(part, "")) for part in parts]
        scores = yield from self._scores_of(texts)
        if len(scores) < len(texts):
            raise _Spent
        margins, _ = margins_of(scores, self._label)
        return np.asarray(np.nan_to_num(self._origin.margin - margins))

    # Step 2.

    def _beam(self, order: Sequence[int]) -> Asking:
        beam = [self._origin]
        for word in order:
            edits = self._edits(word)
            candidates = [{**one.edits, word: edit} for one in beam if len(one.edits) < self._most for edit in edits]
            if not candidates:
                continue
            found = yield from self._ask(candidates)
            if self.best is not None:
                return
            beam = sorted([*found, *beam], key=lambda one: one.margin)[:BEAM]
            if all(len(one.edits) == self._most for one in beam):
                return

    def _guess(self) -> Asking:
        while self.best is None:
            yield from self._ask([self._guessed() for _ in range(TRIES)])

    def _guessed(self) -> dict[int, Edit]:
        """As many words as may be, changed at random."""
        found: dict[int, Edit] = {}
        for index in self._random.permutation(len(self._free)):
            edits = self._edits(self._free[index])
            if edits and len(found) < self._most:
                found[self._free[index]] = edits[int(self._random.integers(len(edits)))]
        return found

    def _edits(self, word: int) -> Sequence[Edit]:
        return self._proposals(self._words.words[word], self._random)

    # Step 3.

    def _give_back(self) -> Asking:
        while self.best is not None and len(self.best.edits) > 1:
            edits = self.best.edits
            yield from self._ask([{at: edit for at, edit in edits.items() if at != word} for word in edits])
            if self.best.edits is edits:
                return
