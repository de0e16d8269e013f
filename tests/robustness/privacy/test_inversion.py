"""Model inversion: a model that is its classes' pictures gives them back, one that is constant gives nothing."""

import base64

import numpy as np
import pytest
import torch

from garrison.core.errors import GarrisonError, UsageError
from garrison.robustness.classifier import Classifier
from garrison.robustness.data import Data
from garrison.robustness.privacy import inversion
from tests.robustness.conftest import Digits


def pictures(digits: Digits) -> Data:
    return Data(digits.train.numpy(), digits.train_labels.numpy(), "image", classes=tuple("abcdefghij"))


def nearest_mean(digits: Digits, *, differentiable: bool = True) -> Classifier:
    """It holds the mean of each class and nothing else."""
    means = torch.stack([digits.train[digits.train_labels == each].mean(0).flatten() for each in range(10)])
    return Classifier(lambda batch: -10 * torch.cdist(batch.flatten(1), means) ** 2, 10, differentiable=differentiable)


@pytest.mark.parametrize("differentiable", [True, False])
def test_a_model_of_means_gives_them_back(digits: Digits, differentiable: bool) -> None:
    model = nearest_mean(digits, differentiable=differentiable)
    told: list[float] = []
    found = inversion.measure(model, pictures(digits), steps=60, progress=told.append)
    assert [result.label for result in found] == list("abcdefghij")
    assert told[-1] == 1
    for result in found:
        assert result.confidence > 0.9
        assert result.similarity > 0.5
        assert base64.b64decode(result.image).startswith(b"\x89PNG")
    similarity = np.mean([result.similarity for result in found])
    assert similarity > np.mean([result.baseline for result in found])
    assert found == inversion.measure(model, pictures(digits), steps=60)


@pytest.mark.parametrize("differentiable", [True, False])
def test_a_constant_model_gives_nothing(digits: Digits, differentiable: bool) -> None:
    constant = Classifier(lambda batch: batch.flatten(1).sum(1, keepdim=True) * torch.zeros(1, 10), 10,
                          differentiable=differentiable)  # fmt: skip
    for result in inversion.measure(constant, pictures(digits), steps=5):
        assert result.confidence == pytest.approx(0.1)
        assert abs(result.similarity) < 0.2


def test_tables_have_no_pictures() -> None:
    inputs = np.random.default_rng(0).random((40, 3)).astype(np.float32)
    labels = (inputs[:, 0] > 0.5).astype(np.int64)
    model = Classifier(lambda batch: torch.stack([-batch[:, 0], batch[:, 0]], 1) * 9, 2, -torch.inf, torch.inf)
    first, second = inversion.measure(model, Data(inputs, labels, "table"), steps=40)
    assert first.image == second.image == ""
    assert (first.label, second.label) == ("0", "1")
    assert second.confidence > 0.9


def test_what_cannot_be_is_told(digits: Digits) -> None:
    model, data = nearest_mean(digits), pictures(digits)
    inputs = np.asarray(data.inputs)
    with pytest.raises(UsageError, match="1 or more"):
        inversion.measure(model, data, steps=0)
    with pytest.raises(UsageError, match="10 classes"):
        inversion.measure(model, Data(inputs, data.labels + 1, "image"))
    with pytest.raises(UsageError, match="no number"):
        inversion.measure(model, Data(inputs * np.nan, data.labels, "image"))
    with pytest.raises(UsageError, match="no inputs"):
        inversion.measure(model, Data(inputs[:0], data.labels[:0], "image"))
    with pytest.raises(UsageError, match="images or tables"):
        inversion.measure(model, Data(["a"], np.zeros(1, np.int64), "text"))
    broken = Classifier(lambda batch: torch.full((len(batch), 10), torch.nan), 10, differentiable=False)
    with pytest.raises(GarrisonError, match="no number"):
        inversion.measure(broken, data, steps=2)
