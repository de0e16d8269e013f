"""Attribute inference: a model that gives an attribute away, one that does not, and what guessing gets."""

import numpy as np
import pytest
import torch

from garrison.core.errors import GarrisonError, UsageError
from garrison.robustness.classifier import Classifier
from garrison.robustness.data import Data
from garrison.robustness.privacy import attributes


def world(seed: int = 0, count: int = 800) -> Data:
    """Column 0 is the secret, and nothing but the label tells it: the label is the secret or column 1."""
    random = np.random.default_rng(seed)
    inputs = random.integers(0, 2, (count, 4)).astype(np.float32)
    labels = (inputs[:, 0] != inputs[:, 1]).astype(np.int64)
    return Data(inputs, labels, "table", features=("secret", "other", "third", "fourth"))


def parity(batch: torch.Tensor) -> torch.Tensor:
    """Sure of the exclusive or of the first two columns."""
    score = 4 * (2 * (batch[:, 0] != batch[:, 1]).float() - 1)
    return torch.stack([-score, score], 1)


def test_a_model_that_needs_the_attribute_gives_it_away() -> None:
    confident, trained = attributes.measure(Classifier(parity, 2), world(), columns=[0])
    assert confident.attack == "most confident value"
    assert confident.target == "secret"
    assert confident.accuracy is not None and confident.accuracy.value == 1
    assert trained.accuracy is not None and trained.accuracy.value > 0.95


def test_what_the_rest_tells_is_no_leak() -> None:
    """The imputation learns the exclusive or from records that it has whole: the model adds nothing."""
    confident, _ = attributes.measure(Classifier(parity, 2), world(), columns=[0])
    assert confident.baseline is not None and confident.baseline > 0.95
    assert confident.advantage is not None and confident.advantage.low is not None
    assert confident.advantage.low <= 0.02
    # What was memorised of each record cannot be imputed: a model that knows single records adds to it.
    data = world()
    random = np.random.default_rng(1)
    table = np.asarray(data.inputs).copy()
    table[:, 3] = np.arange(len(table))
    labels = random.integers(0, 2, len(table))
    secret = torch.from_numpy(table[:, 0].copy())
    truth = torch.from_numpy(labels)

    def memory(batch: torch.Tensor) -> torch.Tensor:
        record = batch[:, 3].long()
        knows = (batch[:, 0] == secret[record]).float() * 4
        return torch.nn.functional.one_hot(truth[record], 2) * knows[:, None]

    confident, trained = attributes.measure(Classifier(memory, 2), Data(table, labels, "table"), columns=[0])
    assert confident.accuracy is not None and confident.accuracy.value == 1
    for result in (confident, trained):
        assert result.advantage is not None and result.advantage.low is not None
        assert result.advantage.low > 0.3
        assert result.checks[0].verdict == "passed"
    assert confident.target == "column 0"


def test_a_constant_model_gives_nothing_away() -> None:
    random = np.random.default_rng(0)
    data = Data(random.integers(0, 2, (600, 3)).astype(np.float32), random.integers(0, 2, 600), "table")
    constant = Classifier(lambda batch: torch.zeros(len(batch), 2), 2)
    told: list[float] = []
    found = attributes.measure(constant, data, columns=[0], progress=told.append)
    assert told == [0.5, 1.0]
    for result in found:
        assert result.advantage is not None
        assert result.advantage.low is not None and result.advantage.high is not None
        assert result.advantage.low < 0 < result.advantage.high
        assert result.checks[0].verdict == "unknown"
    again = attributes.measure(constant, data, columns=[0])
    assert [result.accuracy for result in found] == [result.accuracy for result in again]


def test_an_attribute_may_be_a_group_of_columns() -> None:
    random = np.random.default_rng(0)
    value = random.integers(0, 3, 400)
    table = np.column_stack([np.eye(3)[value], random.random(400)]).astype(np.float32)
    model = Classifier(lambda batch: batch[:, :3] * 5, 3)
    confident, _ = attributes.measure(model, Data(table, value, "table"), columns=[0, 1, 2], name="colour")
    assert confident.target == "colour"
    assert confident.accuracy is not None and confident.accuracy.value == 1


def test_what_cannot_be_is_told() -> None:
    data = world()
    inputs = np.asarray(data.inputs)
    model = Classifier(parity, 2)
    for columns in ([], [0, 0], [4], [-1], [0, 1, 2, 3]):
        with pytest.raises(UsageError, match="column"):
            attributes.measure(model, data, columns=columns)
    numbers = Data(np.random.default_rng(0).random((200, 3)).astype(np.float32), np.zeros(200, np.int64), "table")
    with pytest.raises(UsageError, match="200 values"):
        attributes.measure(model, numbers, columns=[0])
    with pytest.raises(UsageError, match="2 classes"):
        attributes.measure(model, Data(inputs, data.labels + 1, "table"), columns=[0])
    with pytest.raises(UsageError, match="too few"):
        attributes.measure(model, Data(inputs[:9], data.labels[:9], "table"), columns=[0])
    with pytest.raises(UsageError, match="tables"):
        attributes.measure(
            model, Data(np.zeros((30, 1, 2, 2), np.float32), np.zeros(30, np.int64), "image"), columns=[0]
        )
    with pytest.raises(UsageError, match="no number"):
        attributes.measure(model, Data(inputs * np.nan, data.labels, "table"), columns=[0])
    with pytest.raises(GarrisonError, match="no number"):
        attributes.measure(Classifier(lambda batch: torch.full((len(batch), 2), torch.nan), 2), data, columns=[0])
