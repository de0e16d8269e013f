"""What the card is told agrees with what was found."""

import numpy as np
import pytest

from garrison.robustness.text.classifier import TextClassifier
from garrison.robustness.text.evasion import attack
from garrison.robustness.text.outcome import TextOutcome
from garrison.robustness.text.words import split
from tests.robustness.text.conftest import fitted, reviews


@pytest.fixture(scope="module")
def outcome() -> TextOutcome:
    return attack(TextClassifier(fitted().predict_proba, 2), reviews(), queries=120, words=0.3, seed=0)


def test_results(outcome: TextOutcome) -> None:
    plain, adapted = outcome.results()
    found = int(outcome.plain.success.sum())
    assert 0 < found < 40
    assert (plain.success.count, plain.success.of) == (found, int(outcome.plain.correct.sum()))
    assert plain.robust_accuracy.count == outcome.plain.correct.sum() - found
    assert plain.robust_accuracy.of == 40
    assert plain.queries == outcome.plain.queries.sum()
    assert plain.access == "scores"
    assert plain.settings["median_words_changed"] >= 1
    assert adapted.success.count == outcome.adapted.success.sum()


def test_curves_rise_to_the_success(outcome: TextOutcome) -> None:
    words, queries, adapted = outcome.curves()
    plain, through = outcome.results()
    for curve, result in ((words, plain), (queries, plain), (adapted, through)):
        heights = [point.y for point in curve.points]
        assert heights == sorted(heights)
        assert heights[-1] == result.success.value


def test_pictures_mark_what_changed(outcome: TextOutcome) -> None:
    pictures = outcome.pictures(4)
    assert len(pictures) == 4
    assert len(outcome.pictures(10**6)) == outcome.plain.success.sum()
    row = next(row for row in np.flatnonzero(outcome.plain.success))
    fewest = min(len(outcome.plain.edits[row]) for row in np.flatnonzero(outcome.plain.success))
    first = pictures[0]
    assert first.original.count("⟦") == first.adversarial.count("⟦") == fewest
    assert first.original.replace("⟦", "").replace("⟧", "") in outcome.data.inputs
    assert first.perturbation.count("→") == fewest
    assert first.budget == f"{fewest} of {len(split(first.original).words)} words"
    assert first.before.startswith(first.label)
    assert not first.after.startswith(first.label)
    assert first.media == "text/plain"
    assert outcome.plain.adversarial[row] != outcome.data.inputs[row]


def test_slices_and_notes(outcome: TextOutcome) -> None:
    slices = outcome.slices()
    assert {one.name for one in slices} == {"length = long", "length = short"}
    assert sum(one.robust.count for one in slices if one.robust) == outcome.results()[0].robust_accuracy.count
    edits, clean_up = outcome.notes()
    assert edits.startswith("Edits in successful attacks")
    undone = 1 - outcome.outlived.sum() / outcome.plain.success.sum()
    assert f"undoes {undone:.0%} of" in clean_up
