"""Carlini and Wagner's attack: nearly exact for linear models, no farther than the peers' for others."""

import math
import warnings

import pytest
import torch
from torch import nn

from garrison.core.errors import UsageError
from garrison.robustness.attacks.carlini_wagner import CarliniWagner
from garrison.robustness.attacks.losses import margin
from garrison.robustness.classifier import Classifier, of_module
from garrison.robustness.distances import distance
from tests.robustness.attacks.test_deepfool import exact, linear
from tests.robustness.conftest import Digits


def test_a_linear_models_smallest_change_is_nearly_found() -> None:
    module = linear(4, 6, seed=2)
    inputs = torch.rand(30, 6, generator=torch.Generator().manual_seed(1)) * 2 - 1
    labels = module(inputs).argmax(1)
    classifier = of_module(module, 4, low=-5, high=5)
    outcome = CarliniWagner(steps=200)(classifier, inputs, labels, [100.0], seed=0)
    found, smallest = distance("l2", outcome.adversarial[0] - inputs), exact(module, inputs, labels, 2)
    assert outcome.success.all()
    assert bool((found >= smallest * (1 - 1e-4)).all())
    assert float((found / smallest).median()) <= 1.03
    assert bool((found <= smallest * 1.3 + 1e-3).all())


def test_it_is_no_farther_than_foolbox(
    digits_network: nn.Module, digits_classifier: Classifier, digits: Digits
) -> None:
    inputs, labels = digits.test[:24], digits.test_labels[:24]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        foolbox = pytest.importorskip("foolbox")
        peer = foolbox.attacks.L2CarliniWagnerAttack(binary_search_steps=6, steps=80, stepsize=0.05, initial_const=1)
        model = foolbox.PyTorchModel(digits_network, bounds=(0, 1), device="cpu")
        _, theirs, fooled = peer(model, inputs, labels, epsilons=None)
    ours = CarliniWagner(steps=80)(digits_classifier, inputs, labels, [100.0], seed=0)
    assert ours.success[0].all() and fooled.all()
    apart = [distance("l2", found - inputs).median() for found in (ours.adversarial[0], theirs)]
    assert apart[0] <= apart[1] * 1.02


def test_confidence_is_kept(digits_classifier: Classifier, digits: Digits) -> None:
    inputs, labels = digits.test[:20], digits.test_labels[:20]
    right = digits_classifier.labels(inputs) == labels
    outcome = CarliniWagner(searches=3, steps=60, confidence=2.0)(digits_classifier, inputs, labels, [100.0], seed=0)
    found = outcome.success[0] & right
    assert int(found.sum()) >= 15
    assert bool((margin(digits_classifier.scores(outcome.adversarial[0]), labels)[found] >= 2.0 - 1e-4).all())


def test_within_the_bounds_and_the_same_each_time(digits_classifier: Classifier, digits: Digits) -> None:
    inputs, labels = digits.test[:12], digits.test_labels[:12]
    attack = CarliniWagner(searches=2, steps=40)
    first, second = (attack(digits_classifier, inputs, labels, [0.3, 1.0], seed=0) for _ in range(2))
    assert torch.equal(first.adversarial, second.adversarial)
    assert bool((first.adversarial >= 0).all() and (first.adversarial <= 1).all())
    assert torch.equal(digits_classifier.labels(first.adversarial[1]) != labels, first.success[1])


def test_an_input_without_bounds_is_refused() -> None:
    classifier = of_module(linear(2, 3, seed=0), 2, low=-math.inf, high=math.inf)
    with pytest.raises(UsageError, match="finite low and high"):
        CarliniWagner()(classifier, torch.zeros(1, 3), torch.zeros(1, dtype=torch.int64), [1.0], seed=0)


def test_probabilities_are_attacked_as_well_as_logits(digits_network: nn.Module, digits: Digits) -> None:
    inputs, labels = digits.test[:12], digits.test_labels[:12]
    attack = CarliniWagner(searches=4, steps=60)
    plain = of_module(digits_network, 10)
    soft = Classifier(lambda x: digits_network(x).softmax(1), 10, outputs="probabilities")
    near, far = (attack(model, inputs, labels, [100.0], seed=0) for model in (plain, soft))
    assert int(near.success.sum()) >= 10
    assert torch.equal(near.success, far.success)
    sizes = [distance("l2", outcome.adversarial[0] - inputs)[near.success[0]].median() for outcome in (near, far)]
    assert sizes[1] <= sizes[0] * 1.05


def test_it_is_no_farther_than_torchattacks(
    digits_network: nn.Module, digits_classifier: Classifier, digits: Digits
) -> None:
    torchattacks = pytest.importorskip("torchattacks")
    inputs, labels = digits.test[:24], digits.test_labels[:24]
    theirs = torchattacks.CW(digits_network, c=1, steps=100, lr=0.05)(inputs, labels).detach()
    fooled = digits_classifier.labels(theirs) != labels
    ours = CarliniWagner()(digits_classifier, inputs, labels, [100.0], seed=0)
    assert bool((ours.success[0] | ~fooled).all())
    apart = [distance("l2", found - inputs)[fooled].median() for found in (ours.adversarial[0], theirs)]
    assert apart[0] <= apart[1] * 1.02
