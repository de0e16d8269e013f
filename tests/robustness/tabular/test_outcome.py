"""What the card is told agrees with what was found."""

import dataclasses

import numpy as np
import pytest

from garrison.robustness.classifier import of_function
from garrison.robustness.data import Data
from garrison.robustness.tabular.constraints import Constraints, parse
from garrison.robustness.tabular.evasion import attack
from garrison.robustness.tabular.outcome import TabularOutcome
from tests.robustness.tabular.conftest import LOANS, WEIGHTS, loan_table, of_torch


@pytest.fixture(scope="module")
def outcome() -> TabularOutcome:
    loan_data = loan_table()
    labels = loan_data.labels.copy()
    labels[:6] = 1 - labels[:6]
    data = dataclasses.replace(loan_data, labels=labels)
    constraints = Constraints(parse(LOANS.replace("6.0", "2.0")), data)
    return attack(of_torch(WEIGHTS, -0.4), data, constraints, queries=60, seed=0)


def test_result(outcome: TabularOutcome) -> None:
    (result,) = outcome.results()
    found = int(outcome.success.sum())
    assert 0 < found < 54
    assert (result.success.count, result.success.of) == (found, 54)
    assert (result.robust_accuracy.count, result.robust_accuracy.of) == (54 - found, 60)
    assert result.budget is None
    assert result.access == "gradients"
    assert result.queries == outcome.queries.sum()
    assert result.gradients == outcome.gradients.sum() > 0
    assert result.settings["cost_budget"] == 2
    assert 0 < result.settings["median_cost"] <= 2
    assert result.seconds > 0


def test_curves_rise_to_the_success(outcome: TabularOutcome) -> None:
    (result,) = outcome.results()
    for curve in outcome.curves():
        heights = [point.y for point in curve.points]
        assert heights == sorted(heights)
        assert heights[-1] == result.success.value
        assert all(point.low <= point.y <= point.high for point in curve.points)
    cost, queries = outcome.curves()
    assert cost.points[-1].x <= 2
    assert queries.points[0].x >= 1


def test_pictures_say_what_changed(outcome: TabularOutcome) -> None:
    pictures = outcome.pictures(3)
    assert len(pictures) == 3
    row = int(np.nanargmin(outcome.costs))
    first, changes = pictures[0], outcome.changes(row)
    assert first.perturbation == ", ".join(f"{one.feature} {one.before} → {one.after}" for one in changes)
    assert first.label in ("refused", "granted")
    assert first.before.startswith(first.label)
    assert not first.after.startswith(first.label)
    assert first.media == "text/plain"
    assert len(outcome.pictures(1000)) == outcome.success.sum()


def test_changes_name_groups_and_what_follows(outcome: TabularOutcome) -> None:
    row = int(np.flatnonzero(np.asarray(outcome.data.inputs)[:, 6] == 1)[0])
    adversarial = np.asarray(outcome.data.inputs).copy()
    adversarial[row, 6:8] = (0, 1)
    adversarial[row, 3] = 0.25
    found = dataclasses.replace(outcome, adversarial=adversarial).changes(row)
    changes = {one.feature: (one.before, one.after) for one in found}
    assert changes["home"] == ("home=rent", "home=own")
    assert changes["debt_ratio"][1] == "0.25"


def test_categories_are_named() -> None:
    rows = np.asarray([[0, 5], [1, 5], [2, 6]], dtype=np.float32)
    data = Data(
        rows, np.asarray([0, 1, 1]), "table", features=("job", "x"), categories={"job": ("none", "clerk", "cook")}
    )
    model = of_function(lambda rows: np.column_stack([rows[:, 0] == 0, rows[:, 0] > 0]), 2, outputs="probabilities")
    found = attack(model, data, Constraints(parse("[features.x]\nimmutable = true"), data), queries=20, seed=0)
    assert [str(change) for row in range(3) for change in found.changes(row)][1:] == [
        "job clerk → none",
        "job cook → none",
    ]
    assert set(found.adversarial[:, 0]) <= {0, 1, 2}


def test_the_most_used_features_are_shares_of_the_successes(outcome: TabularOutcome) -> None:
    used = dict(outcome.used())
    assert "region" not in used
    before = np.asarray(outcome.data.inputs)[outcome.success]
    after = outcome.adversarial[outcome.success]
    assert used["income"] == pytest.approx((before[:, 1] != after[:, 1]).mean())
    assert outcome.notes()[0].startswith("Features that successful attacks changed most: ")


def test_slices_cover_each_group(outcome: TabularOutcome) -> None:
    slices = outcome.slices()
    assert {one.name for one in slices} == {f"region = {name}" for name in ("north", "south", "east", "west", "isle")}
    assert sum(one.clean.count for one in slices) == 54
    assert sum(one.robust.count for one in slices if one.robust) == 54 - outcome.success.sum()
    heights = [one.robust.value for one in slices if one.robust]
    assert heights == sorted(heights)
