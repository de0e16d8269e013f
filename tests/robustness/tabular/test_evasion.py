"""What the attack returns can be done, within its queries, whatever the model and the constraints."""

import time

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from garrison.core.errors import UsageError
from garrison.robustness.classifier import Classifier, QueriesSpent, of_function
from garrison.robustness.data import Data
from garrison.robustness.tabular.constraints import Constraints, parse
from garrison.robustness.tabular.evasion import attack
from garrison.robustness.tabular.outcome import TabularOutcome
from tests.robustness.tabular.conftest import FEATURES, LOANS, WEIGHTS, loans, of_torch, scores


def rough(rows: np.ndarray) -> np.ndarray:
    """Scores (n, 3) of a model that jumps, as trees do."""
    corner = (
        (rows[:, 1] > 60).astype(float) + (rows[:, 3] < 0.5) + 0.5 * (rows[:, 7] == 1) + 0.2 * np.floor(rows[:, 0] / 20)
    )
    return np.column_stack([np.full(len(rows), 1.2), corner, np.full(len(rows), 1.9)])


def classifier(kind: str) -> Classifier:
    if kind == "gradients":
        return of_torch(WEIGHTS, -0.4)
    if kind == "scores":
        return of_function(rough, 3, outputs="logits")
    return of_function(lambda rows: scores(rows).argmax(axis=1), 2, outputs="labels")


def keeps(before: np.ndarray, after: np.ndarray) -> None:
    """All of `LOANS`, written again."""
    one, two = (dict(zip(FEATURES, row.astype(float), strict=True)) for row in (before, after))
    assert two["age"] >= one["age"]
    assert two["age"] <= 90
    assert (two["age"] - one["age"]) % 1 == 0
    assert 10 <= two["income"] <= 200
    assert 0 <= two["debt"] <= one["debt"]
    assert two["debt_ratio"] == pytest.approx(two["debt"] / two["income"], rel=1e-5)
    assert two["children"] in range(6)
    assert two["grade"] in (1, 2, 4)
    homes = [[row[name] for name in ("home=none", "home=rent", "home=own")] for row in (one, two)]
    assert sorted(homes[1]) == [0, 0, 1]
    assert homes[1].index(1) >= homes[0].index(1)
    assert two["region"] == one["region"]
    assert two["debt"] <= 2 * two["income"] * 1.00001
    assert two["children"] == 0 or two["age"] >= 18


def price(before: np.ndarray, after: np.ndarray) -> float:
    one, two = (dict(zip(FEATURES, row.astype(float), strict=True)) for row in (before, after))
    total = 0.1 * abs(two["age"] - one["age"]) + 0.05 * abs(two["income"] - one["income"])
    total += 0.05 * abs(two["debt"] - one["debt"]) + 2 * (two["grade"] != one["grade"])
    total += (two["children"] != one["children"]) + 1.5 * any(
        two[f] != one[f] for f in FEATURES if f.startswith("home")
    )
    return total


@settings(max_examples=10, deadline=None)
@given(
    st.integers(0, 10**6),
    st.sampled_from(["gradients", "scores", "labels"]),
    st.floats(0.3, 8),
    st.integers(1, 150),
)
def test_all_constraints_hold_on_every_adversarial(seed: int, kind: str, budget: float, queries: int) -> None:
    rows, model = loans(8, seed), classifier(kind)
    labels = model.labels(torch.from_numpy(rows)).numpy()
    labels[0] = 1 - min(labels[0], 1)
    data = Data(rows, labels, "table", features=FEATURES)
    constraints = Constraints(parse(LOANS.replace("6.0", str(budget))), data)
    model.asked = 0
    outcome = attack(model, data, constraints, queries=queries, seed=seed)
    assert model.asked == outcome.queries.sum()
    assert outcome.queries.max() <= queries + 1
    after = model.labels(torch.from_numpy(outcome.adversarial)).numpy()
    for row in range(len(rows)):
        if outcome.success[row]:
            keeps(rows[row], outcome.adversarial[row])
            assert outcome.costs[row] == pytest.approx(price(rows[row], outcome.adversarial[row]), rel=1e-4)
            assert outcome.costs[row] <= budget
            assert after[row] != labels[row]
            assert outcome.after[row].argmax() == after[row]
            assert 1 <= outcome.found_after[row] <= queries
        else:
            assert np.array_equal(outcome.adversarial[row], rows[row])
    assert not outcome.success[0]


def attacked(data: Data, constraints: Constraints, kind: str = "scores", seed: int = 3) -> TabularOutcome:
    model, rows = classifier(kind), np.asarray(data.inputs)[:20]
    labels = model.labels(torch.from_numpy(rows)).numpy()
    named = Data(rows, labels, "table", features=FEATURES)
    return attack(model, named, constraints, queries=80, seed=seed)


def test_the_same_seed_gives_the_same(loan_data: Data, loan_constraints: Constraints) -> None:
    state = np.random.get_state()[1].copy()
    one, two = (attacked(loan_data, loan_constraints) for _ in range(2))
    assert np.array_equal(one.adversarial, two.adversarial)
    assert np.array_equal(one.queries, two.queries)
    assert np.array_equal(np.random.get_state()[1], state)


def test_rows_that_break_constraints_are_not_attacked(loan_constraints: Constraints) -> None:
    rows = loans()
    rows[2, 3] = 7
    data = Data(rows, scores(rows).argmax(axis=1), "table", features=FEATURES)
    outcome = attack(classifier("gradients"), data, loan_constraints, queries=30, seed=0)
    assert not outcome.attacked[2]
    assert outcome.attacked.sum() == len(rows) - 1
    assert outcome.queries[2] == 1
    assert [str(one) for one in outcome.broken] == ["features.debt_ratio: debt / income: 1 rows, the first is row 2"]


def test_missing_values_stay_missing() -> None:
    rows = np.random.default_rng(0).random((10, 3)).astype(np.float32)
    rows[:, 1] = np.nan
    model = of_function(lambda rows: np.column_stack([rows[:, 0], 1 - rows[:, 0]]), 2, outputs="probabilities")
    data = Data(rows, (rows[:, 0] < 0.5).astype(np.int64), "table")
    outcome = attack(model, data, Constraints(parse(""), data), queries=50, seed=0)
    assert outcome.success.all()
    assert np.isnan(outcome.adversarial[:, 1]).all()
    assert (outcome.costs == 1).all()


@pytest.mark.parametrize("value", [0.5, float("nan"), float("inf")])
def test_a_model_that_always_says_the_same_is_not_fooled(value: float, loan_data: Data) -> None:
    model = of_function(lambda rows: np.full((len(rows), 2), value), 2, outputs="logits")
    data = Data(loan_data.inputs, np.zeros(60, dtype=np.int64), "table", features=FEATURES)
    outcome = attack(model, data, Constraints(parse(LOANS), data), queries=20, seed=0)
    assert not outcome.success.any()
    assert outcome.queries.max() <= 21


@pytest.mark.parametrize("allowed", [10, 200, 1500])
def test_a_budget_that_is_spent_leaves_what_was_found(
    allowed: int, loan_data: Data, loan_constraints: Constraints
) -> None:
    answer = classifier("gradients")
    left = allowed

    def refusing(rows: torch.Tensor) -> torch.Tensor:
        nonlocal left
        left -= len(rows)
        if left < 0:
            raise QueriesSpent("the budget of queries is spent.")
        return answer(rows)

    outcome = attack(Classifier(refusing, 2, differentiable=False), loan_data, loan_constraints, queries=100, seed=0)
    assert outcome.incomplete.startswith("the budget of queries is spent.")
    assert outcome.results()[0].incomplete == outcome.incomplete
    assert outcome.success.any() == (allowed == 1500)
    after = answer.labels(torch.from_numpy(outcome.adversarial)).numpy()
    assert (after[outcome.success] != np.asarray(loan_data.labels)[outcome.success]).all()


def test_what_was_found_before_the_deadline_is_kept(loan_data: Data, loan_constraints: Constraints) -> None:
    model = classifier("gradients")
    over = attack(model, loan_data, loan_constraints, queries=50, seed=0, deadline=time.monotonic() - 1)
    assert over.incomplete == "The time is over. 60 of 60 inputs were not attacked to the end."
    assert not over.success.any()
    assert over.clean.shape == (60, 2)


def test_progress_ends_at_one(loan_data: Data, loan_constraints: Constraints) -> None:
    told: list[float] = []
    attack(classifier("gradients"), loan_data, loan_constraints, queries=20, seed=0, progress=told.append)
    assert told == sorted(told)
    assert told[-1] == 1


def test_what_cannot_be_attacked_is_refused(loan_data: Data, loan_constraints: Constraints) -> None:
    model, rows = classifier("gradients"), np.asarray(loan_data.inputs)
    with pytest.raises(UsageError, match="queries"):
        attack(model, loan_data, loan_constraints, queries=0, seed=0)
    with pytest.raises(UsageError, match="other features"):
        attack(model, Data(rows, loan_data.labels, "table"), loan_constraints, queries=9, seed=0)
    for labels in (loan_data.labels + 1, loan_data.labels - 1, loan_data.labels[:5]):
        with pytest.raises(UsageError, match="labels must be"):
            attack(model, Data(rows, labels, "table", features=FEATURES), loan_constraints, queries=9, seed=0)
    broken = rows.copy()
    broken[:, 3] = 7
    with pytest.raises(UsageError, match="debt_ratio"):
        attack(model, Data(broken, loan_data.labels, "table", features=FEATURES), loan_constraints, queries=9, seed=0)


def test_art_breaks_what_this_attack_keeps(loan_data: Data, loan_constraints: Constraints) -> None:
    """HopSkipJump of the Adversarial Robustness Toolbox, at the same queries, knows of no constraints."""
    blackbox = pytest.importorskip("art.attacks.evasion")
    estimators = pytest.importorskip("art.estimators.classification")
    rows = np.asarray(loan_data.inputs)[:4]
    state = np.random.get_state()
    np.random.seed(0)
    try:
        peer = estimators.BlackBoxClassifier(scores, (10,), 2, clip_values=(0, 200))
        theirs = blackbox.HopSkipJump(peer, max_iter=2, max_eval=60, init_eval=10, init_size=10, verbose=False)
        found = theirs.generate(rows).astype(np.float32)
    finally:
        np.random.set_state(state)
    fooled = scores(found).argmax(axis=1) != scores(rows).argmax(axis=1)
    assert fooled.any()
    assert not loan_constraints.permits(rows, found)[fooled].any()
    assert attacked(loan_data, loan_constraints, "labels").success.any()
