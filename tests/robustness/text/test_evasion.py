"""What the attack returns keeps its rules, within its queries; a clean-up is measured by who knows of it."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from garrison.core.errors import UsageError
from garrison.robustness.classifier import QueriesSpent
from garrison.robustness.data import Data
from garrison.robustness.text.classifier import TextClassifier
from garrison.robustness.text.evasion import STOP_WORDS, TextRules, attack
from garrison.robustness.text.words import clusters, split
from tests.robustness.text.conftest import BLAME, fitted, reviews


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 120), st.floats(0.05, 1), st.booleans())
def test_rules_hold_on_every_adversarial(seed: int, queries: int, share: float, decisions: bool) -> None:
    data = reviews(6, seed)
    classifier = TextClassifier(fitted().predict if decisions else fitted().predict_proba, 2)
    if decisions:
        classifier.outputs = "labels"
    rules = TextRules(protected=frozenset({"MOVIE", "terrible"}))
    outcome = attack(classifier, data, queries=queries, words=share, seed=seed, rules=rules)
    assert outcome.adapted is not None
    still_asked = int(outcome.plain.success.sum())
    assert classifier.asked == outcome.plain.queries.sum() + outcome.adapted.queries.sum() + still_asked
    assert outcome.plain.queries.max() <= queries + 1
    after = fitted().predict(outcome.plain.adversarial)
    for row, text in enumerate(data.inputs):
        words, edits = split(text), outcome.plain.edits[row]
        assert outcome.plain.success[row] == (after[row] != data.labels[row]) or not outcome.plain.correct[row]
        assert outcome.plain.adversarial[row] == words.with_words({at: edit.after for at, edit in edits.items()})
        assert len(edits) <= max(1, int(share * len(words.words) + 1e-9))
        for at, edit in edits.items():
            assert edit.before == words.words[at]
            assert edit.before.casefold() not in STOP_WORDS | {"movie", "terrible"}
            assert clusters(edit.after)[-1] == clusters(edit.before)[-1]


def test_single_mistakes_are_undone_and_double_ones_are_not(
    review_data: Data, review_classifier: TextClassifier
) -> None:
    outcome = attack(review_classifier, review_data, queries=150, words=0.4, seed=0)
    assert outcome.outlived is not None
    assert outcome.adapted is not None
    assert outcome.plain.success.mean() > 0.4
    assert outcome.outlived.sum() < 0.2 * outcome.plain.success.sum()
    assert outcome.adapted.success.mean() > 0.4
    plain, adapted = outcome.results()
    assert (plain.settings["defence"], adapted.settings["defence"]) == ("none", "clean-up of the input")


def test_synonyms_are_used_and_named(review_data: Data, review_classifier: TextClassifier) -> None:
    def synonyms(word: str) -> list[str]:
        return ["wonderful"] if word in BLAME else []

    rules = TextRules(kinds=frozenset({"synonym"}), synonyms=synonyms)
    outcome = attack(review_classifier, review_data, queries=100, words=0.5, seed=0, rules=rules)
    blamed = np.asarray(review_data.labels) == 0
    assert outcome.plain.success[blamed].all()
    assert not outcome.plain.success[~blamed].any()
    assert {edit.kind for edits in outcome.plain.edits for edit in edits.values()} == {"synonym"}
    assert outcome.used() == (("synonym", 1.0),)


def test_the_same_seed_gives_the_same(review_data: Data, review_classifier: TextClassifier) -> None:
    state = np.random.get_state()[1].copy()
    one, two = (attack(review_classifier, review_data, queries=60, words=0.3, seed=4) for _ in range(2))
    assert one.plain.adversarial == two.plain.adversarial
    assert np.array_equal(np.random.get_state()[1], state)


def test_texts_of_any_kind_pass(review_classifier: TextClassifier) -> None:
    texts = [
        "",
        "!!!",
        "42",
        "👩\u200d💻",
        "很好看",
        "e\u0301te\u0301",
        "\x00\ud800 wonderful",
        "a" * 5000,
        "\u202eabc",
    ]
    labels = np.zeros(len(texts), dtype=np.int64)
    outcome = attack(review_classifier, Data(texts, labels, "text"), queries=20, words=0.5, seed=0)
    assert len(outcome.plain.adversarial) == len(texts)
    assert not outcome.plain.success[:3].any()


@pytest.mark.parametrize("value", [0.5, float("nan")])
def test_a_model_that_always_says_the_same_is_not_fooled(value: float, review_data: Data) -> None:
    classifier = TextClassifier(lambda texts: np.full((len(texts), 2), value), 2)
    data = Data(review_data.inputs, np.zeros(40, dtype=np.int64), "text")
    outcome = attack(classifier, data, queries=30, words=0.5, seed=0)
    assert not outcome.plain.success.any()
    assert outcome.plain.queries.max() <= 31


@pytest.mark.parametrize("allowed", [10, 300, 1200])
def test_a_budget_that_is_spent_leaves_what_was_found(allowed: int, review_data: Data) -> None:
    left = allowed

    def refusing(texts: list[str]) -> object:
        nonlocal left
        left -= len(texts)
        if left < 0:
            raise QueriesSpent("no queries are left.")
        return fitted().predict_proba(texts)

    outcome = attack(TextClassifier(refusing, 2), review_data, queries=200, words=0.4, seed=0)
    assert outcome.plain.incomplete.startswith("no queries are left.")
    assert outcome.adapted is None
    assert len(outcome.results()) == 1
    wrong = fitted().predict(outcome.plain.adversarial) != np.asarray(review_data.labels)
    assert wrong[outcome.plain.success].all()


def test_after_the_deadline_nothing_is_tried(review_data: Data, review_classifier: TextClassifier) -> None:
    past = time.monotonic() - 1
    over = attack(review_classifier, review_data, queries=50, words=0.3, seed=0, deadline=past)
    assert over.plain.incomplete.startswith("The time is over.")
    assert over.adapted is None
    assert review_classifier.asked == 40


def test_progress_ends_at_one(review_data: Data, review_classifier: TextClassifier) -> None:
    told: list[float] = []
    attack(review_classifier, review_data, queries=20, words=0.2, seed=0, progress=told.append)
    assert told == sorted(told)
    assert told[-1] == 1


def test_what_cannot_be_attacked_is_refused(review_data: Data, review_classifier: TextClassifier) -> None:
    with pytest.raises(UsageError, match="no texts"):
        table = Data(np.zeros((2, 2), dtype=np.float32), np.zeros(2, dtype=np.int64), "table")
        attack(review_classifier, table, queries=9, words=0.1, seed=0)
    for labels in (review_data.labels + 1, review_data.labels[:3]):
        with pytest.raises(UsageError, match="labels must be"):
            attack(review_classifier, Data(review_data.inputs, labels, "text"), queries=9, words=0.1, seed=0)
    with pytest.raises(UsageError, match="queries"):
        attack(review_classifier, review_data, queries=0, words=0.1, seed=0)
    for share in (0, 1.5, float("nan")):
        with pytest.raises(UsageError, match="share"):
            attack(review_classifier, review_data, queries=9, words=share, seed=0)
