"""Answers are checked before anything is made of them."""

import numpy as np
import pytest

from garrison.core.errors import UsageError
from garrison.robustness.text.classifier import TextClassifier


def test_labels_become_ones() -> None:
    classifier = TextClassifier(lambda texts: np.asarray([len(text) for text in texts]), 3, "labels")
    assert classifier(["a", "", "bb"]).tolist() == [[0, 1, 0], [1, 0, 0], [0, 0, 1]]
    assert classifier.asked == 3


@pytest.mark.parametrize(
    ("answer", "outputs"),
    [
        ([0.5, 0.5], "probabilities"),
        ([[0.5]], "probabilities"),
        ([["a", "b"]], "logits"),
        (None, "logits"),
        ([[1, 0]], "labels"),
        ([2], "labels"),
        ([-1], "labels"),
        ([0.5], "labels"),
    ],
)
def test_answers_of_another_shape_are_refused(answer: object, outputs: str) -> None:
    with pytest.raises(UsageError, match="the classifier gave"):
        TextClassifier(lambda texts: answer, 2, outputs)(["a"])


def test_behind_a_clean_up_it_counts_both() -> None:
    classifier = TextClassifier(lambda texts: [[text.count("A"), 1] for text in texts], 2)
    behind = classifier.behind(str.upper)
    assert behind(["aa", "b"]).tolist() == [[2, 1], [0, 1]]
    assert (behind.asked, classifier.asked) == (2, 2)
