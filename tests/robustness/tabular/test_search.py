"""The search finds what is known to be the cheapest change."""

import itertools

import numpy as np
import pytest
import torch
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier

from garrison.robustness.classifier import Classifier, of_function
from garrison.robustness.data import Data
from garrison.robustness.tabular.constraints import Constraints, parse
from garrison.robustness.tabular.evasion import attack
from tests.robustness.tabular.conftest import of_torch

UNITS = np.asarray([1.0, 0.5, 2.0, 1.0, 3.0])
WEIGHTS = np.asarray([2.0, -1.0, 0.5, -3.0, 1.0])
PRICED = "\n".join(
    f"[features.x{column}]\nminimum = 0\nmaximum = 1\ncost = {price}" for column, price in enumerate(UNITS)
)


def cheapest(row: np.ndarray, lead: float) -> float:
    """The least cost at which a linear model's lead falls to nothing: a continuous knapsack, solved exactly."""
    reach = np.where(np.sign(lead) * WEIGHTS > 0, row, 1 - row) * np.abs(WEIGHTS)
    left, cost = abs(lead), 0.0
    for column in np.argsort(-np.abs(WEIGHTS) / UNITS):
        taken = min(left, reach[column])
        left, cost = left - taken, cost + taken / abs(WEIGHTS[column]) * UNITS[column]
    return float(cost) if left <= 1e-9 else np.inf


@pytest.mark.parametrize(("access", "slack"), [("gradients", 1.01), ("scores", 1.03), ("labels", 1.2)])
def test_a_linear_model_at_its_exact_cost(access: str, slack: float) -> None:
    rows = np.random.default_rng(0).random((25, 5)).astype(np.float32)
    bias = -float((rows @ WEIGHTS).mean())
    lead = rows @ WEIGHTS + bias
    data = Data(rows, (lead > 0).astype(np.int64), "table")
    classifier = of_torch(WEIGHTS, bias)
    if access != "gradients":
        classifier = Classifier(classifier.forward, 2, differentiable=False)
    if access == "labels":
        asked = classifier.forward
        one_hot = torch.nn.functional.one_hot
        classifier = Classifier(
            lambda rows: one_hot(asked(rows).argmax(1), 2).float(), 2, differentiable=False, outputs="labels"
        )
    outcome = attack(classifier, data, Constraints(parse(PRICED), data), queries=600, seed=0)
    exact = np.asarray([cheapest(row, value) for row, value in zip(rows.astype(float), lead, strict=True)])
    assert outcome.access == access
    assert outcome.success.all()
    assert np.isfinite(exact).all()
    ratios = outcome.costs / exact
    assert ratios.min() > 1 - 1e-4
    assert np.median(ratios) < slack
    if access == "gradients":
        assert ratios.max() < slack


def test_what_is_out_of_reach_is_not_found() -> None:
    rows = np.random.default_rng(0).random((25, 5)).astype(np.float32)
    lead = rows @ WEIGHTS - float((rows @ WEIGHTS).mean())
    exact = np.asarray([cheapest(row, value) for row, value in zip(rows.astype(float), lead, strict=True)])
    budget = float(np.median(exact))
    data = Data(rows, (lead > 0).astype(np.int64), "table")
    constraints = Constraints(parse(f"cost_budget = {budget * 1.0001}\n{PRICED}"), data)
    outcome = attack(of_torch(WEIGHTS, -float((rows @ WEIGHTS).mean())), data, constraints, queries=400, seed=0)
    assert (outcome.success == (exact <= budget)).all()


@pytest.mark.parametrize("forest", [True, False])
def test_trees_at_the_cost_that_trying_everything_finds(forest: bool) -> None:
    random = np.random.default_rng(1)
    rows = random.random((300, 3)).astype(np.float32)
    labels = ((rows[:, 0] + rows[:, 1] * rows[:, 2] + 0.1 * random.normal(size=300)) > 0.8).astype(np.int64)
    fitted = RandomForestClassifier(4, max_depth=3, random_state=0)
    if not forest:
        fitted = GradientBoostingClassifier(n_estimators=8, max_depth=2, random_state=0)
    fitted.fit(rows, labels)
    trees = np.asarray(fitted.estimators_, dtype=object).ravel()
    prices = np.asarray([1.0, 2.0, 1.5])
    cuts = [
        np.unique(np.concatenate([tree.tree_.threshold[tree.tree_.feature == column] for tree in trees]))
        for column in range(3)
    ]
    # Every cell between thresholds, by a point on each side of each: `x <= threshold` goes left.
    sides = [np.concatenate([[0.0], cut, np.nextafter(cut.astype(np.float32), 2), [1.0]]) for cut in cuts]
    below = [np.nextafter(side.astype(np.float32), -1) for side in sides]
    values = [
        np.unique(np.clip(np.concatenate([a, b]), 0, 1)).astype(np.float32) for a, b in zip(sides, below, strict=True)
    ]
    data = Data(rows[:20], fitted.predict(rows[:20]), "table")
    exact = []
    for row, label in zip(rows[:20], np.asarray(data.labels), strict=True):
        grid = np.asarray(list(itertools.product(*(np.append(v, x) for v, x in zip(values, row, strict=True)))))
        wrong = grid[fitted.predict(grid.astype(np.float32)) != label]
        exact.append((np.abs(wrong.astype(float) - row) @ prices).min())
    text = "".join(f"[features.x{c}]\nminimum = 0\nmaximum = 1\ncost = {p}\n" for c, p in enumerate(prices))
    classifier = of_function(fitted.predict_proba, 2, outputs="probabilities")
    outcome = attack(classifier, data, Constraints(parse(text), data), queries=500, seed=0)
    assert outcome.success.all()
    ratios = outcome.costs / np.asarray(exact)
    assert ratios.min() > 0.999
    assert np.median(ratios) < 1.02
    assert (ratios < 1.1).mean() >= 0.8
