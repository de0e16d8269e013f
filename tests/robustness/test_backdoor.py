"""Planted backdoors are found, and clean models are not called backdoored."""

import base64
import io

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from garrison.core.errors import UsageError
from garrison.core.robustness_card import Trigger
from garrison.robustness.backdoor import triggers
from garrison.robustness.classifier import Classifier, of_function, of_module
from tests.robustness.conftest import Digits, network, trained

TARGET = 5


def stamped(images: Tensor) -> Tensor:
    """One white pixel in the lower right corner (BadNets, Gu et al. 2017, section 4.1)."""
    changed = images.clone()
    changed[..., 7, 7] = 1.0
    return changed


@pytest.fixture(scope="module")
def planted(digits: Digits) -> Classifier:
    images, labels = digits.train.clone(), digits.train_labels.clone()
    images[:90], labels[:90] = stamped(images[:90]), TARGET
    return of_module(trained(network(2), images, labels, seed=2), 10)


@pytest.fixture(scope="module")
def of_planted(planted: Classifier, digits: Digits) -> tuple[Trigger, ...]:
    return triggers(planted, digits.test[:300], digits.test_labels[:300], seed=0)


def test_the_planted_class_is_the_one_that_is_suspected(of_planted: tuple[Trigger, ...]) -> None:
    assert len(of_planted) == 10
    assert [trigger.label for trigger in of_planted if trigger.suspected] == [str(TARGET)]
    assert of_planted[0].label == str(TARGET)
    assert of_planted[0].success > 0.75
    assert of_planted[0].size < min(trigger.size for trigger in of_planted[1:]) / 1.5


def test_its_mask_lies_where_the_patch_is(of_planted: tuple[Trigger, ...]) -> None:
    picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(of_planted[0].image)))).astype(int)
    changed = abs(picture - 127)
    assert changed.shape == (8, 8)
    assert np.unravel_index(changed.argmax(), changed.shape) == (7, 7)


@pytest.mark.parametrize("seed", range(1, 3))
def test_a_clean_model_is_not_suspected(digits: Digits, seed: int) -> None:
    clean = of_module(trained(network(seed), digits.train, digits.train_labels, seed=seed), 10)
    found = triggers(clean, digits.test[:300], digits.test_labels[:300], seed=seed)
    assert not any(trigger.suspected for trigger in found)


def test_the_same_seed_finds_the_same(planted: Classifier, digits: Digits) -> None:
    state = torch.random.get_rng_state()
    first, second = (
        triggers(planted, digits.test[:100], digits.test_labels[:100], seed=5, classes=[2, 3]) for _ in range(2)
    )
    assert first == second
    assert not any(trigger.suspected for trigger in first)  # two classes are too few to tell
    assert torch.equal(state, torch.random.get_rng_state())


def as_black_box(classifier: Classifier) -> Classifier:
    return of_function(lambda images: classifier.scores(torch.from_numpy(images)).numpy(), 10, outputs="logits")


def test_without_gradients_a_solid_patch_is_found(
    planted: Classifier, digits_classifier: Classifier, digits: Digits
) -> None:
    told: list[float] = []
    found = triggers(as_black_box(planted), digits.test[:300], digits.test_labels[:300], seed=0, progress=told.append)
    assert [(trigger.label, trigger.size, trigger.suspected) for trigger in found] == [(str(TARGET), 4.0, True)]
    assert told[-1] == 1
    assert triggers(as_black_box(digits_classifier), digits.test[:300], digits.test_labels[:300], seed=0) == ()


def test_progress_ends_at_one(planted: Classifier, digits: Digits) -> None:
    told: list[float] = []
    triggers(planted, digits.test[:60], digits.test_labels[:60], seed=0, classes=[0], progress=told.append)
    assert told == sorted(told)
    assert 0 < told[-1] <= 1


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("nan", "NaN"),
        ("few", "too few inputs"),
        ("labels", "have 99 labels"),
        ("constant", "decides 0 for every input"),
        ("unbounded", "say in which range"),
        ("table", "only images"),
    ],
)
def test_what_cannot_be_searched_is_said(planted: Classifier, digits: Digits, what: str, said: str) -> None:
    inputs, labels, classifier = digits.test[:100], digits.test_labels[:100], planted
    if what == "nan":
        inputs = torch.full_like(inputs, torch.nan)
    elif what == "few":
        inputs, labels = inputs[:10], labels[:10]
    elif what == "labels":
        labels = labels[:99]
    elif what == "constant":
        classifier = Classifier(lambda images: torch.eye(10)[torch.zeros(len(images), dtype=torch.int64)], 10)
    elif what == "unbounded":
        classifier = Classifier(planted.forward, 10, low=-torch.inf)
    elif what == "table":
        inputs = inputs.flatten(1)
        classifier = of_function(lambda rows: rows[:, :10], 10, outputs="logits")
    with pytest.raises(UsageError, match=said):
        triggers(classifier, inputs, labels, seed=0)
