"""Auto-PGD."""

import pytest

from garrison.core.errors import UsageError
from garrison.core.robustness_card import Norm
from garrison.robustness.attacks.apgd import APGDCE, APGDDLR, APGDT
from garrison.robustness.attacks.pgd import PGD
from garrison.robustness.classifier import Classifier

from ..conftest import Digits
from .support import linear_world

KINDS = (APGDCE, APGDDLR, APGDT)
CONVEX = ("linf", "l2", "l1")


@pytest.mark.parametrize("norm", CONVEX)
@pytest.mark.parametrize(("kind", "classes"), [(APGDCE, 2), (APGDDLR, 2), (APGDT, 2), (APGDT, 3), (APGDT, 6)])
def test_a_linear_model_falls_beyond_its_exact_distance_and_not_within(
    kind: type[APGDCE | APGDDLR | APGDT], classes: int, norm: Norm
) -> None:
    world = linear_world(norm, classes)
    outcome = kind(norm=norm)(world.classifier, world.inputs, world.labels, [0.99, 1.02], seed=0)
    assert not outcome.success[0].any()
    assert outcome.success[1].all()


@pytest.mark.parametrize(("norm", "epsilon"), [("linf", 0.12), ("l2", 0.6), ("l1", 2.5)])
def test_it_finds_no_less_than_plain_steps(
    norm: Norm, epsilon: float, digits: Digits, digits_classifier: Classifier
) -> None:
    inputs, labels = digits.test[:150], digits.test_labels[:150]
    plain = PGD(norm=norm, steps=50)(digits_classifier, inputs, labels, [epsilon], seed=0).success.sum()
    assert APGDCE(norm=norm, steps=50)(digits_classifier, inputs, labels, [epsilon], seed=0).success.sum() >= plain - 1
    assert APGDT(norm=norm, steps=50)(digits_classifier, inputs, labels, [epsilon], seed=0).success.sum() >= plain


def test_l0_is_refused() -> None:
    with pytest.raises(UsageError, match="l0"):
        APGDCE(norm="l0")
