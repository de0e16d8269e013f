"""DeepFool: exact for linear models, as near as foolbox's for others."""

import warnings
from typing import Literal

import pytest
import torch
from torch import nn

from garrison.core.errors import UsageError
from garrison.robustness.attacks.deepfool import DeepFool
from garrison.robustness.classifier import Classifier, of_function, of_module
from garrison.robustness.distances import distance
from tests.robustness.conftest import Digits


def linear(classes: int, features: int, seed: int) -> nn.Linear:
    module = nn.Linear(features, classes)
    drawn = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        module.weight.copy_(torch.randn(classes, features, generator=drawn))
        module.bias.copy_(torch.randn(classes, generator=drawn))
    return module


def exact(module: nn.Linear, inputs: torch.Tensor, labels: torch.Tensor, dual: float) -> torch.Tensor:
    """The distance to the nearest of the hyperplanes between the label and the other classes."""
    scores = module(inputs).detach()
    weight = module.weight.detach()
    best = torch.full((len(inputs),), torch.inf)
    for other in range(len(weight)):
        gap = scores.gather(1, labels[:, None]).squeeze(1) - scores[:, other]
        steepness = torch.linalg.vector_norm(weight[labels] - weight[other], dual, dim=1)
        best = torch.where(labels == other, best, best.minimum(gap / steepness.clamp_min(1e-12)))
    return best


@pytest.mark.parametrize(("norm", "dual"), [("l2", 2), ("linf", 1)])
@pytest.mark.parametrize("classes", [2, 5])
def test_a_linear_models_smallest_change_is_found(norm: Literal["l2", "linf"], dual: float, classes: int) -> None:
    module = linear(classes, 12, seed=3)
    inputs = torch.randn(40, 12, generator=torch.Generator().manual_seed(1))
    labels = module(inputs).argmax(1)
    classifier = of_module(module, classes, low=-100, high=100)
    outcome = DeepFool(norm=norm)(classifier, inputs, labels, [1000.0], seed=0)
    found = distance(norm, outcome.adversarial[0] - inputs)
    smallest = exact(module, inputs, labels, dual)
    assert outcome.success.all()
    assert bool((found >= smallest * (1 - 1e-4)).all())
    assert bool((found <= smallest * 1.002 + 1e-5).all())


def test_one_run_answers_every_budget(digits_classifier: Classifier, digits: Digits) -> None:
    inputs, labels = digits.test[:60], digits.test_labels[:60]
    outcome = DeepFool()(digits_classifier, inputs, labels, [2.0, 0.1, 0.6], seed=0)
    assert outcome.epsilons == (0.1, 0.6, 2.0)
    for which, epsilon in enumerate(outcome.epsilons):
        changed = outcome.adversarial[which]
        assert bool((distance("l2", changed - inputs) <= epsilon).all())
        assert bool((changed >= 0).all() and (changed <= 1).all())
        assert torch.equal(digits_classifier.labels(changed) != labels, outcome.success[which])
        assert torch.equal(outcome.success[which], outcome.found_after[which] > 0)
        assert torch.equal(changed[~outcome.success[which]], inputs[~outcome.success[which]])
    rates = outcome.success.float().mean(1)
    assert rates[0] < rates[1] < rates[2]
    assert digits_classifier.asked >= int(outcome.queries.sum())


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_it_is_as_near_as_foolbox(
    norm: Literal["l2", "linf"], digits_network: nn.Module, digits_classifier: Classifier, digits: Digits
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        foolbox = pytest.importorskip("foolbox")
        peer = foolbox.attacks.L2DeepFoolAttack() if norm == "l2" else foolbox.attacks.LinfDeepFoolAttack()
        model = foolbox.PyTorchModel(digits_network, bounds=(0, 1), device="cpu")
        _, theirs, fooled = peer(model, digits.test[:100], digits.test_labels[:100], epsilons=None)
    ours = DeepFool(norm=norm)(digits_classifier, digits.test[:100], digits.test_labels[:100], [100.0], seed=0)
    assert ours.success[0].all() and fooled.all()
    apart = [distance(norm, found - digits.test[:100]).median() for found in (ours.adversarial[0], theirs)]
    assert apart[0] <= apart[1] * 1.02


def test_a_model_without_gradients_is_refused(digits: Digits) -> None:
    blind = of_function(lambda inputs: inputs.reshape(len(inputs), -1)[:, :10], 10, outputs="logits", name="blind")
    with pytest.raises(UsageError, match="needs gradients"):
        DeepFool()(blind, digits.test[:2], digits.test_labels[:2], [1.0], seed=0)


def test_a_model_that_answers_the_same_withstands(digits: Digits) -> None:
    module = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
    nn.init.zeros_(module[1].weight)
    nn.init.constant_(module[1].bias, 0.0)
    labels = torch.zeros(3, dtype=torch.int64)
    outcome = DeepFool(steps=5)(of_module(module, 3), digits.test[:3], labels, [1.0], seed=0)
    assert not outcome.success.any()
    assert torch.equal(outcome.adversarial[0], digits.test[:3])
