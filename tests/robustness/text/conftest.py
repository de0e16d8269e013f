"""A small world of reviews, and a model that was fitted to them."""

from functools import cache

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline

from garrison.robustness.data import Data
from garrison.robustness.text.classifier import TextClassifier

PRAISE = ("wonderful", "brilliant", "charming", "delightful", "gripping")
PRAISE += ("superb", "touching", "clever", "stunning", "memorable")
BLAME = ("terrible", "boring", "clumsy", "dreadful", "tedious", "awful", "shallow", "stupid", "lifeless", "forgettable")
THINGS = ("movie", "story", "acting", "music", "script", "ending", "dialogue", "camera", "director", "plot", "scenery")
FRAMES = (
    "The {thing} was {word} and the {other} felt {second}.",
    "I thought this {thing} was {word}, with a {second} {other}!",
    "A {word} {thing}; the {other} is {second} from beginning to finish.",
    "My sister called the {thing} {word}, and I found the {other} rather {second}",
)


def texts(count: int, seed: int) -> tuple[list[str], np.ndarray]:
    """Reviews of one or two sentences, and whether they praise."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 2, count)
    found = []
    for label in labels:
        words = PRAISE if label else BLAME
        sentences = [
            str(random.choice(FRAMES)).format(
                thing=random.choice(THINGS),
                other=random.choice(THINGS),
                word=random.choice(words),
                second=random.choice(words),
            )
            for _ in range(int(random.integers(1, 3)))
        ]
        found.append(" ".join(sentences))
    return found, labels.astype(np.int64)


def reviews(count: int = 40, seed: int = 1) -> Data:
    found, labels = texts(count, seed)
    length = np.asarray(["long" if len(text) > 100 else "short" for text in found])
    return Data(found, labels, "text", "reviews", classes=("bad", "good"), groups={"length": length})


@cache
def fitted() -> Pipeline:
    """All but always right."""
    found, labels = texts(400, 0)
    return make_pipeline(TfidfVectorizer(), LogisticRegression(C=10)).fit(found, labels)


@pytest.fixture
def review_data() -> Data:
    return reviews()


@pytest.fixture
def review_classifier() -> TextClassifier:
    return TextClassifier(fitted().predict_proba, 2, name="reviews")
