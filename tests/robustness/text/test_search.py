"""The search changes as few words as a model of known weights allows."""

import numpy as np
import pytest

from garrison.robustness.data import Data
from garrison.robustness.text.classifier import TextClassifier
from garrison.robustness.text.evasion import TextRules, attack
from garrison.robustness.text.words import split

WEIGHTS = {
    f"word{letter}": value for letter, value in zip("abcdefghij", (5, -3, 2, 1, 1, -4, 3, 0.5, 2, -1), strict=True)
}


def scores(texts: list[str]) -> np.ndarray:
    lead = np.asarray([sum(WEIGHTS.get(word, 0.0) for word in set(split(text).words)) for text in texts]) - 0.25
    return np.column_stack([-lead, lead])


def fewest(text: str) -> int:
    """Words to make unknown until the sign changes: the heaviest first."""
    values = [WEIGHTS[word] for word in split(text).words]
    lead = sum(values) - 0.25
    for count, value in enumerate(sorted((np.sign(lead) * value for value in values), reverse=True), 1):
        lead -= np.sign(lead) * value
        if lead == 0 or (lead > 0) != (sum(values) - 0.25 > 0):
            return count
    return 99


def sentences(count: int) -> list[str]:
    random = np.random.default_rng(0)
    return [" ".join(random.permutation(list(WEIGHTS))[: random.integers(4, 9)]) for _ in range(count)]


@pytest.mark.parametrize("share", [0.25, 1.0])
def test_the_fewest_words(share: float) -> None:
    texts = sentences(30)
    data = Data(texts, scores(texts).argmax(axis=1), "text")
    outcome = attack(TextClassifier(scores, 2, "logits"), data, queries=400, words=share, seed=0)
    for row, text in enumerate(texts):
        most = max(1, int(share * len(split(text).words)))
        if fewest(text) <= most:
            assert outcome.plain.success[row]
            assert len(outcome.plain.edits[row]) == fewest(text)
        elif outcome.plain.success[row]:  # Repeats and fillers do not change this model.
            pytest.fail(f"{text}: {outcome.plain.edits[row]}")


def test_a_long_text_is_searched_within_its_queries() -> None:
    text = " ".join(["filling"] * 300 + ["worda"] + ["stuffing"] * 300)
    data = Data([text], np.asarray([1]), "text")
    outcome = attack(TextClassifier(scores, 2, "logits"), data, queries=120, words=0.01, seed=0)
    assert outcome.plain.success[0]
    assert [edit.before for edit in outcome.plain.edits[0].values()] == ["worda"]
    assert outcome.plain.queries[0] <= 121


def test_decisions_alone_are_enough() -> None:
    texts = sentences(10)
    labels = scores(texts).argmax(axis=1)
    classifier = TextClassifier(lambda texts: scores(texts).argmax(axis=1), 2, "labels")
    outcome = attack(classifier, Data(texts, labels, "text"), queries=200, words=1.0, seed=0)
    assert outcome.access == "labels"
    assert outcome.plain.success.mean() > 0.5
    wrong = scores(outcome.plain.adversarial).argmax(axis=1) != labels
    assert (wrong == outcome.plain.success).all()


def test_words_against_the_label_are_repeated() -> None:
    """A model that counts: only more of what speaks against the label helps where nothing else may be touched."""

    def counted(texts: list[str]) -> np.ndarray:
        lead = np.asarray([1.5 - split(text).words.count("worst") for text in texts])
        return np.column_stack([-lead, lead])

    rules = TextRules(kinds=frozenset({"repeat", "swap"}))
    data = Data(["a decent thing, at worst"], np.asarray([1]), "text")
    outcome = attack(TextClassifier(counted, 2, "logits"), data, queries=50, words=0.3, seed=0, rules=rules)
    assert [str(edit) for edit in outcome.plain.edits[0].values()] == ["worst → worst worst (repeat)"]
