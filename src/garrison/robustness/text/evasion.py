"""The attack on a classifier of texts, and the same against one whose input is cleaned up first."""

import dataclasses
import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from garrison.core.errors import UsageError
from garrison.core.robustness_card import Access
from garrison.robustness.attacks.attack import Progress
from garrison.robustness.classifier import QueriesSpent
from garrison.robustness.data import Data
from garrison.robustness.searching import BATCH, Running, margins_of, together
from garrison.robustness.text.classifier import TextClassifier
from garrison.robustness.text.edits import KINDS, Edit, Kind, edits
from garrison.robustness.text.normalising import Normaliser
from garrison.robustness.text.outcome import Found, TextOutcome
from garrison.robustness.text.search import Asking, Scores, TextSearch
from garrison.robustness.text.synonyms import Synonyms, in_case_of
from garrison.robustness.text.words import Words, split

STOP_WORDS: frozenset[str] = frozenset(
    json.loads(files(__package__).joinpath("stop_words.json").read_text("utf-8"))["english"]
)


@dataclass(frozen=True)
class TextRules:
    """What an attacker leaves alone."""

    kinds: frozenset[Kind] = frozenset(KINDS)
    """Of edits that are tried."""
    keep_ends: bool = True
    """The first and the last letter of a word stay, as readers lean on them most."""
    letters: int = 1
    """How many edits of letters a word takes at once."""
    keep: frozenset[str] = STOP_WORDS
    """Words that say little, in any case; a change of them would say little too."""
    protected: frozenset[str] = frozenset()
    """Words that must stay, in any case, such as the names of the classes or of products."""
    synonyms: Synonyms | None = field(default=None, compare=False)
    """Where words of like meaning come from; without it there are none."""
    most_synonyms: int = 8

    def allowed(self, words: Words) -> list[int]:
        """The words that may change, by number."""
        fixed = {word.casefold() for word in self.keep | self.protected}
        return [number for number, word in enumerate(words.words) if word.casefold() not in fixed]

    def proposals(self, word: str, random: np.random.Generator) -> list[Edit]:
        """The edits that a word may take."""
        found = edits(word, self.kinds, random, keep_ends=self.keep_ends, letters=self.letters)
        if self.synonyms is not None and "synonym" in self.kinds:
            others = [in_case_of(word, other) for other in self.synonyms(word)[: self.most_synonyms]]
            found += [Edit("synonym", word, other) for other in others if other != word]
        return found


def attack(
    classifier: TextClassifier,
    data: Data,
    *,
    queries: int,
    words: float,
    seed: int,
    rules: TextRules | None = None,
    progress: Progress | None = None,
    deadline: float | None = None,
) -> TextOutcome:
    """Change few words of each text of `data` until the model decides otherwise.

    At most a share `words` of a text's words changes, but one may always. Each text may cost `queries` passes beside
    that of the unchanged one. Then the same is done to the model behind a `Normaliser` that knows the words of the
    data, with as many queries again. When the classifier's own budget of queries is spent, or after `deadline` (of
    `time.monotonic`), the outcome holds what was found until then. Raises `UsageError` for data that are no texts.
    """
    texts, labels = _checked(classifier, data, queries, words)
    rules = rules or TextRules()
    plain = _attacked(classifier, texts, labels, queries, words, seed, rules, _half(progress, 0), deadline)
    clean_up = Normaliser(texts)
    defended = classifier.behind(clean_up)
    outlived = None
    adapted = None
    if not plain.incomplete:
        outlived, plain.incomplete = _still_wrong(defended, plain, labels)
        # Spelling is corrected where one letter is wrong: who knows that makes two mistakes in a word.
        twice = dataclasses.replace(rules, letters=max(2, rules.letters))
        adapted = _attacked(defended, texts, labels, queries, words, seed, twice, _half(progress, 1), deadline)
    return TextOutcome(data, _access(classifier), plain, outlived, adapted, queries=queries, words=words, seed=seed)


def _half(progress: Progress | None, which: int) -> Progress | None:
    """Progress of the first or the second half of the work."""
    return None if progress is None else lambda share: progress((which + share) / 2)


def _access(classifier: TextClassifier) -> Access:
    return "labels" if classifier.outputs == "labels" else "scores"


def _checked(classifier: TextClassifier, data: Data, queries: int, words: float) -> tuple[list[str], NDArray[np.int64]]:
    texts, labels = list(data.inputs), np.asarray(data.labels)
    if data.kind != "text" or not texts or not all(isinstance(text, str) for text in texts):
        raise UsageError(f"{data.name or 'the data'}: no texts")
    if len(labels) != len(texts) or labels.min() < 0 or labels.max() >= classifier.classes:
        raise UsageError(f"labels must be {len(texts)} whole numbers from 0 to {classifier.classes - 1}")
    if queries < 1:
        raise UsageError(f"{queries} queries: a text needs at least one")
    if not 0 < words <= 1:
        raise UsageError(f"a share of {words:g} of the words: it must be above 0 and at most 1")
    return [str(text) for text in texts], labels


def _attacked(
    classifier: TextClassifier,
    texts: Sequence[str],
    labels: NDArray[np.int64],
    queries: int,
    words: float,
    seed: int,
    rules: TextRules,
    progress: Progress | None,
    deadline: float | None,
) -> Found:
    started = time.perf_counter()
    clean, incomplete = _scores(classifier, texts)
    found = Found(texts, labels, clean, incomplete)
    searches: dict[int, TextSearch] = {}

    def start(index: int) -> Asking:
        parts, label = split(texts[index]), int(labels[index])
        searches[index] = TextSearch(
            parts,
            label,
            float(margins_of(clean[index][None], label)[0][0]),
            rules.allowed(parts),
            rules.proposals,
            most=max(1, math.floor(words * len(parts.words) + 1e-9)),
            scored=classifier.outputs != "labels",
            queries=queries,
            random=np.random.default_rng([seed, index]),
        )
        return searches[index].run()

    def answers(batch: Sequence[Running[Sequence[str], Scores]]) -> list[Scores]:
        scores = classifier([text for one in batch for text in one.question])
        return np.split(scores, np.cumsum([len(one.question) for one in batch])[:-1])

    def ended(index: int) -> None:
        found.keep(index, searches.pop(index))

    if not incomplete:
        indices = [int(index) for index in np.flatnonzero(found.correct)]
        found.incomplete = together(indices, start, answers, len, ended, progress, deadline)
    found.seconds = time.perf_counter() - started
    return found


def _scores(classifier: TextClassifier, texts: Sequence[str]) -> tuple[Scores, str]:
    """Scores (n, classes) of texts, NaN for those that were not answered, and why not."""
    scores = np.full((len(texts), classifier.classes), np.nan)
    try:
        for start in range(0, len(texts), BATCH):
            scores[start : start + BATCH] = classifier(texts[start : start + BATCH])
    except QueriesSpent as error:
        return scores, f"{error} Not even the unchanged texts were all asked about."
    return scores, ""


def _still_wrong(
    defended: TextClassifier, plain: Found, labels: NDArray[np.int64]
) -> tuple[NDArray[np.bool_] | None, str]:
    """(n,): whether what was found still is decided wrongly after a clean-up, and why that is not known."""
    wrong = plain.success.copy()
    indices = np.flatnonzero(plain.success)
    scores, incomplete = _scores(defended, [plain.adversarial[index] for index in indices])
    if incomplete:
        return None, incomplete
    wrong[indices] = scores.argmax(axis=1) != labels[indices]
    return wrong, ""
