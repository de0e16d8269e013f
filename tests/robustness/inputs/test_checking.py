"""What is said before a model is attacked with data that it does not belong to."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from garrison.core.errors import UsageError
from garrison.robustness.classifier import Classifier
from garrison.robustness.data import Data
from garrison.robustness.inputs.alignment import aligned
from garrison.robustness.inputs.checking import check

LABELS = np.arange(200) % 4
INPUTS = np.eye(4, dtype=np.float32)[LABELS] * 0.9 + 0.05
DATA = Data(INPUTS, LABELS, "table", "d.csv")
NOISE = Data(np.random.default_rng(1).random((200, 4), np.float32), LABELS, "table")


def classifier(forward: Callable[[Tensor], Tensor] = lambda x: 5 * x, **changes: Any) -> Classifier:
    return dataclasses.replace(Classifier(forward, 4), **changes)


def test_nothing_is_said_where_nothing_is_wrong() -> None:
    assert check(classifier(), DATA) == ()
    assert check(classifier(lambda x: (5 * x).softmax(1), outputs="probabilities"), DATA) == ()


def _raises(x: Tensor) -> Tensor:
    return torch.nn.functional.linear(x, torch.ones(4, 7))


REFUSED: dict[str, tuple[Classifier, Data, str]] = {
    "wrong shape": (classifier(_raises), DATA, "does not take inputs of shape 4"),
    "NaN": (classifier(lambda x: x.log() - torch.inf * 0), DATA, "no finite numbers for 200 of 200"),
    "constant": (classifier(lambda x: torch.ones(len(x), 4)), DATA, "same scores for all of 200"),
    "score count": (classifier(lambda x: x[:, :3]), DATA, "3 scores for an input, and has 4"),
    "labels from one": (classifier(), dataclasses.replace(DATA, labels=LABELS + 1), "from 1 to 4.*subtract one"),
    "labels outside": (classifier(), dataclasses.replace(DATA, labels=LABELS * 3), "a label of 9"),
    "off by one": (
        classifier(lambda x: torch.nn.functional.pad(5 * x, (0, 1)), classes=5),
        dataclasses.replace(DATA, labels=LABELS + 1),
        "right on 0% of the inputs, and on 100% with labels -1",
    ),
    "out of bounds": (classifier(), dataclasses.replace(DATA, inputs=INPUTS * 255), "from 12.75 to 242.25"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_results_that_would_mean_nothing_are_refused(case: str) -> None:
    model, data, message = REFUSED[case]
    with pytest.raises(UsageError, match=message) as caught:
        check(model, data)
    assert "\n" not in str(caught.value)


NOTED: dict[str, tuple[Classifier, Data, str]] = {
    "chance": (classifier(lambda x: (99 * x).sin()), NOISE, "no better than always naming"),
    "one decision": (classifier(lambda x: x + torch.tensor([9.0, 0, 0, 0])), DATA, "for class 0 on all of 200"),
    "probabilities for logits": (classifier(lambda x: x.softmax(1)), DATA, "look like probabilities"),
    "logits for probabilities": (classifier(outputs="probabilities"), DATA, "do not add up to one"),
    "certain": (classifier(lambda x: (999 * x).softmax(1), outputs="probabilities"), DATA, "exactly 1 to 100%"),
    "swapped": (
        Classifier(lambda x: 5 * x, 2),
        Data(INPUTS[:, :2] * (LABELS < 2)[:, None], 1 - LABELS % 2, "table"),
        "swapped",
    ),
}


@pytest.mark.parametrize("case", NOTED)
def test_what_is_odd_is_noted(case: str) -> None:
    model, data, message = NOTED[case]
    if case == "swapped":
        data = Data(np.asarray(data.inputs)[LABELS < 2], data.labels[LABELS < 2], "table")
    notes = check(model, data)
    assert any(message in note for note in notes), notes


def test_labels_go_into_the_models_order() -> None:
    data = Data(INPUTS, LABELS % 2, "table", classes=("dog", "ant"))
    assert aligned(data, ("ant", "bee", "dog")).labels[:2].tolist() == [2, 0]
    numbered = Data(INPUTS, LABELS + 1, "table")
    assert aligned(numbered, ("1", "2", "3", "4")).labels.tolist() == LABELS.tolist()
    assert aligned(DATA, ("0", "1", "2", "3")) is DATA
    assert aligned(DATA, ()) is DATA


def test_names_that_have_nothing_in_common_go_by_their_order() -> None:
    data = aligned(Data(INPUTS, LABELS % 2, "table", classes=("ham", "spam")), ("0", "1"))
    assert data.labels.tolist() == (LABELS % 2).tolist()
    assert "by their order" in data.notes[0]


def test_a_class_that_the_model_does_not_know() -> None:
    with pytest.raises(UsageError, match="does not know the class 'cat'"):
        aligned(Data(INPUTS, LABELS % 2, "table", classes=("ant", "cat")), ("ant", "bee", "dog"))


@pytest.mark.parametrize(("low", "high"), [(1.0, 0.0), (float("nan"), 1.0)])
def test_bounds_that_nothing_lies_between_are_refused(low: float, high: float) -> None:
    with pytest.raises(UsageError, match="nothing lies between"):
        check(classifier(low=low, high=high), DATA)
