"""Copies of a model: what they cost, known answers, and what defences change."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import nn

from garrison.core.errors import GarrisonError, UsageError
from garrison.core.robustness_card import Extraction
from garrison.robustness.classifier import Classifier, of_module
from garrison.robustness.data import Data
from garrison.robustness.privacy import defences, extraction, recipes
from tests.robustness.conftest import Digits, network


def linear(features: int = 7, classes: int = 3) -> tuple[Classifier, Data]:
    random = torch.Generator().manual_seed(0)
    weights = torch.randn(features, classes, generator=random, dtype=torch.float64)
    inputs = torch.rand(600, features, generator=random)
    model = Classifier(lambda batch: batch.double() @ weights + 0.1, classes)
    return model, Data(inputs.numpy(), model.labels(inputs).numpy(), "table")


def test_a_linear_model_is_solved_with_one_question_more_than_features() -> None:
    model, data = linear(features=7)
    rows, curves = extraction.measure(
        model, data, queries=(6, 8), by=[extraction.EQUATIONS], behind=[], model=LogisticRegression()
    )
    assert [row.queries for row in rows] == [6, 8]
    assert rows[0].fidelity.value < 1
    assert rows[1].fidelity.value == 1
    assert [point.x for point in curves[0].points] == [6, 8]


@pytest.fixture(scope="module")
def found() -> tuple[list[Extraction], Data]:
    """All strategies on a linear model, the copies logistic regressions."""
    model, data = linear()
    rows, _ = extraction.measure(
        model,
        data,
        queries=(10, 100),
        model=LogisticRegression(C=100, max_iter=500),
        behind=[defences.rounding(0), defences.noise(3.0)],
    )
    return list(rows), data


def test_more_questions_buy_a_better_copy(found: tuple[list[Extraction], Data]) -> None:
    rows = {(row.strategy, row.queries): row for row in found[0] if row.defence == "none"}
    assert {name for name, _ in rows} == {"random", "most uncertain", "noise", "equation solving"}
    assert rows["random", 100].fidelity.value > rows["random", 10].fidelity.value
    assert rows["random", 100].fidelity.value > 0.9
    # These labels are the model's own, so agreement and accuracy are one.
    assert all(row.fidelity == row.accuracy for row in rows.values())


def test_the_cost_of_a_defence_stands_beside_it(found: tuple[list[Extraction], Data]) -> None:
    rows = {row.defence: row for row in found[0]}
    rounded, noisy = rows["rounding 0 digits"], rows["noise 3"]
    assert rounded.served_accuracy is not None and rounded.served_accuracy.value == 1
    assert noisy.served_accuracy is not None and noisy.served_accuracy.value < 0.9
    assert noisy.served_calibration_error is not None and noisy.served_calibration_error > 0
    assert all(row.served_accuracy is None for row in found[0] if row.defence == "none")


def test_an_attacker_who_knows_of_rounding_takes_decisions_or_better(found: tuple[list[Extraction], Data]) -> None:
    model, data = linear()
    rows, _ = extraction.measure(
        model, data, queries=(100,), model=LogisticRegression(C=100, max_iter=500), by=[extraction.RANDOM],
        behind=[defences.labels_only()],
    )  # fmt: skip
    open_, hidden = rows
    assert hidden.fidelity.value >= open_.fidelity.value - 0.02, "decisions were all that this copy takes"


def test_exposure_is_the_best_that_could_be_bought(found: tuple[list[Extraction], Data]) -> None:
    curve = extraction.exposure(found[0])
    values = [point.y for point in curve.points]
    assert [point.x for point in curve.points] == [10, 100]
    assert values == sorted(values)
    assert values[0] == max(row.fidelity.value for row in found[0] if row.queries == 10 and row.defence == "none")
    assert extraction.exposure([]).points == ()


def test_no_more_is_asked_than_is_said(digits: Digits) -> None:
    asked = 0
    module = network()

    def forward(batch: torch.Tensor) -> torch.Tensor:
        nonlocal asked
        asked += len(batch)
        answer: torch.Tensor = module(batch)
        return answer.detach()

    target = Classifier(forward, 10)
    data = Data(digits.test.numpy(), digits.test_labels.numpy(), "image")
    evaluated = len(data) // 2
    rows, _ = extraction.measure(
        target, data, queries=(20, 50), by=[extraction.NOISE], behind=[],
        train=lambda inputs, labels, seed: Classifier(lambda batch: torch.zeros(len(batch), 10), 10),
    )  # fmt: skip
    assert [row.queries for row in rows] == [20, 50]
    # What is beyond the questions is the comparison, once for each row.
    assert asked == 50 + 2 * evaluated


def test_networks_are_copied_and_the_same_seed_gives_the_same(digits: Digits, digits_network: nn.Module) -> None:
    target = of_module(digits_network, 10)
    data = Data(digits.train.numpy(), digits.train_labels.numpy(), "image")
    train = recipes.of_architecture(network(), 10, epochs=15, rate=3e-3)
    told: list[float] = []
    first, second = (
        extraction.measure(
            target, data, queries=(40, 300), by=[extraction.UNCERTAIN, extraction.JACOBIAN], behind=[], train=train,
            seed=5, progress=told.append,
        )
        for _ in range(2)
    )  # fmt: skip
    assert first == second
    assert told == [0.5, 1.0] * 2
    best = {row.strategy: row for row in first[0]}
    assert best["most uncertain"].fidelity.value > 0.6
    assert best["Jacobian augmentation"].queries == 300


def test_a_pool_that_ends_ends_the_curve() -> None:
    model, data = linear()
    rows, _ = extraction.measure(
        model, data, queries=(200, 5000, 9000), by=[extraction.RANDOM], behind=[], model=LogisticRegression()
    )
    assert [row.queries for row in rows] == [200, 300]


def test_inputs_of_another_source() -> None:
    model, data = linear()
    other = Data(np.random.default_rng(0).random((50, 7)).astype(np.float32), np.zeros(50, np.int64), "table", "other")
    rows, _ = extraction.measure(
        model, data, queries=(50,), by=[extraction.foreign(other)], behind=[], model=LogisticRegression()
    )
    assert rows[0].strategy == "out of distribution (other)"
    wrong = Data(np.zeros((50, 3), np.float32), np.zeros(50, np.int64), "table", "wrong")
    with pytest.raises(UsageError, match="wrong"):
        extraction.measure(model, data, by=[extraction.foreign(wrong)], behind=[], model=LogisticRegression())


def test_a_constant_model_is_copied_by_its_first_answer() -> None:
    _, data = linear()
    constant = Classifier(lambda batch: torch.tensor([[0.0, 2.0, 1.0]]).expand(len(batch), 3), 3)
    rows, _ = extraction.measure(
        constant, data, queries=(5,), by=[extraction.RANDOM], behind=[], model=LogisticRegression()
    )
    assert rows[0].fidelity.value == 1


def test_what_cannot_be_is_told() -> None:
    model, data = linear()
    inputs = np.asarray(data.inputs)
    few = Data(inputs[:10], data.labels[:10], "table")
    broken = Data(np.full_like(inputs, np.inf), data.labels, "table")
    shifted = Data(inputs, data.labels + 1, "table")
    for wrong, match in ((few, "too few"), (broken, "no number"), (shifted, "3 classes")):
        with pytest.raises(UsageError, match=match):
            extraction.measure(model, wrong, model=LogisticRegression())
    with pytest.raises(UsageError, match="from 1 on"):
        extraction.measure(model, data, queries=(0,))
    with pytest.raises(UsageError, match="images or tables"):
        extraction.measure(model, Data(["a"] * 30, np.zeros(30, np.int64), "text"))
    with pytest.raises(GarrisonError, match="no number"):
        extraction.measure(Classifier(lambda batch: torch.full((len(batch), 3), torch.nan), 3), data)
