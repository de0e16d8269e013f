"""Pipelines that take texts as they are."""

import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import MultinomialNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from garrison.core.errors import UsageError
from garrison.robustness.models.text_estimators import of_text_estimator

TEXTS = ["win a prize now", "free money now", "see you at home", "lunch tomorrow", "click and win", "call me at home"]
LABELS = ["spam", "spam", "ham", "ham", "spam", "ham"]
MORE = [*TEXTS, "win lunch", "", "money at home"]


@pytest.mark.parametrize(
    ("last", "outputs"),
    [(LogisticRegression(), "probabilities"), (MultinomialNB(), "probabilities"), (LinearSVC(), "logits")],
)
def test_a_pipeline_decides_as_it_does(last: object, outputs: str) -> None:
    pipeline = make_pipeline(TfidfVectorizer(), last).fit(TEXTS, LABELS)
    made = of_text_estimator(pipeline, TEXTS)
    assert made.outputs == outputs and made.class_names == ("ham", "spam")
    assert made(MORE).shape == (len(MORE), 2)
    assert [made.class_names[label] for label in made(MORE).argmax(1)] == pipeline.predict(MORE).tolist()


def test_scores_that_contradict_decisions_are_not_used() -> None:
    pipeline = make_pipeline(CountVectorizer(), LogisticRegression()).fit(TEXTS, LABELS)
    pipeline.predict = lambda texts: np.array(["ham"] * len(texts))
    made = of_text_estimator(pipeline, TEXTS)
    assert made.outputs == "labels" and made(MORE).argmax(1).tolist() == [0] * len(MORE)


def test_a_pipeline_of_numbers_does_not_take_texts() -> None:
    pipeline = make_pipeline(StandardScaler(), LogisticRegression()).fit(np.eye(4), [0, 1, 0, 1])
    with pytest.raises(UsageError, match="does not take texts"):
        of_text_estimator(pipeline, TEXTS)
    with pytest.raises(UsageError, match="no classifier"):
        of_text_estimator(TfidfVectorizer().fit(TEXTS), TEXTS)
