"""The same attack through two backends agrees, and no library is believed beyond what it shows."""

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from garrison.core.errors import UsageError
from garrison.robustness.attacks.libraries import ArtAttack, FoolboxAttack
from garrison.robustness.attacks.pgd import PGD
from garrison.robustness.classifier import Classifier, of_function, of_module
from tests.robustness.conftest import Digits

EPSILONS = (0.05, 0.1)
STEPS, STEP = 10, 0.02


@pytest.fixture(autouse=True)
def _libraries_may_warn() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def by_foolbox() -> FoolboxAttack:
    foolbox = pytest.importorskip("foolbox")
    return FoolboxAttack(foolbox.attacks.LinfPGD(steps=STEPS, abs_stepsize=STEP, random_start=False), "linf")


def by_art() -> ArtAttack:
    evasion = pytest.importorskip("art.attacks.evasion")

    def make(model: Any, epsilon: float) -> Any:
        return evasion.ProjectedGradientDescent(
            model, norm="inf", eps=epsilon, eps_step=STEP, max_iter=STEPS, num_random_init=0, verbose=False
        )

    return ArtAttack(make, "linf")


@pytest.fixture
def some(digits: Digits) -> tuple[Tensor, Tensor]:
    return digits.test[:60], digits.test_labels[:60]


@pytest.mark.parametrize("library", [by_foolbox, by_art])
def test_the_same_attack_through_two_backends_agrees(
    library: Any, digits_classifier: Classifier, some: tuple[Tensor, Tensor]
) -> None:
    ours = PGD(steps=STEPS, step=STEP, random_start=False)(digits_classifier, *some, EPSILONS, seed=0)
    theirs = library()(digits_classifier, *some, EPSILONS, seed=0)
    # Ours stops at the first point that fools the model, theirs may walk back from it.
    assert not (theirs.success & ~ours.success).any()
    assert (ours.success.sum(1) - theirs.success.sum(1)).max() <= 1
    assert theirs.success.any()


@pytest.mark.parametrize("library", [by_foolbox, by_art])
def test_what_every_attack_promises_holds(
    library: Any, digits_classifier: Classifier, some: tuple[Tensor, Tensor]
) -> None:
    inputs, labels = some
    before = np.random.get_state()[1].copy(), torch.random.get_rng_state()
    attack = library()
    outcome = attack(digits_classifier, inputs, labels, EPSILONS, seed=0)
    again = attack(digits_classifier, inputs, labels, EPSILONS, seed=0)
    assert torch.equal(outcome.adversarial, again.adversarial)
    assert (np.random.get_state()[1] == before[0]).all()
    assert torch.equal(torch.random.get_rng_state(), before[1])
    for place, epsilon in enumerate(EPSILONS):
        moved = outcome.adversarial[place]
        assert (moved - inputs).abs().max() <= epsilon * (1 + 1e-5)
        assert torch.equal(digits_classifier.labels(moved) != labels, outcome.success[place])
    assert not (outcome.success[0] & ~outcome.success[1]).any()
    assert (outcome.queries > STEPS).all()


def test_a_library_is_not_believed(some: tuple[Tensor, Tensor], digits_network: nn.Module) -> None:
    class Far:
        def __init__(self, model: Any, epsilon: float) -> None:
            pass

        def generate(self, inputs: np.ndarray, labels: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
            return 1 - inputs  # type: ignore[no-any-return]

    pytest.importorskip("art")
    classifier = of_module(digits_network, 10)
    inputs, labels = some
    outcome = ArtAttack(Far, "linf")(classifier, inputs, labels, EPSILONS, seed=0)
    right = classifier.labels(inputs) == labels
    assert not outcome.success[:, right].any()
    assert outcome.success[:, ~right].all()


def test_black_boxes_are_refused(some: tuple[Tensor, Tensor]) -> None:
    blind = of_function(lambda inputs: np.zeros((len(inputs), 10)), 10, outputs="probabilities")
    with pytest.raises(UsageError, match="gives none"):
        by_foolbox()(blind, *some, EPSILONS, seed=0)
