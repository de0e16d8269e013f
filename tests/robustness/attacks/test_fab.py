"""The fast adaptive boundary attack."""

import pytest

from garrison.core.robustness_card import Norm
from garrison.robustness.attacks.fab import FAB, FABT
from garrison.robustness.classifier import Classifier
from garrison.robustness.distances import distance

from ..conftest import Digits
from .support import BUDGETS, linear_world

CONVEX = ("linf", "l2", "l1")


@pytest.mark.parametrize("attack", [FAB, FABT])
@pytest.mark.parametrize("norm", CONVEX)
@pytest.mark.parametrize("classes", [2, 3, 6])
def test_it_finds_the_exact_distance_of_a_linear_model(attack: type[FAB | FABT], norm: Norm, classes: int) -> None:
    world = linear_world(norm, classes)
    outcome = attack(norm=norm, steps=40)(world.classifier, world.inputs, world.labels, [0.9999, 1.01, 50.0], seed=0)
    assert not outcome.success[0].any()
    assert outcome.success[1:].all()
    assert (distance(norm, outcome.adversarial[2] - world.inputs) < 1.01).all()


@pytest.mark.parametrize("norm", CONVEX)
def test_one_run_answers_all_budgets(norm: Norm, digits: Digits, digits_classifier: Classifier) -> None:
    inputs, labels = digits.test[:40], digits.test_labels[:40]
    budgets = [0.01 * BUDGETS[norm][0], BUDGETS[norm][0], BUDGETS[norm][1]]
    outcome = FABT(norm=norm, steps=20, targets=3)(digits_classifier, inputs, labels, budgets, seed=0)
    alone = FABT(norm=norm, steps=20, targets=3)(digits_classifier, inputs, labels, budgets[1:2], seed=0)
    assert outcome.success[1].equal(alone.success[0])
    assert int(outcome.queries.max()) == 1 + 3 * 20 * 2
