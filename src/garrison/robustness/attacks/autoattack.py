"""AutoAttack: the attacks that stand for what is known, together (Croce & Hein 2020; for L1, 2021).

They are meant to be run one after the other, each on the inputs that are still robust.
"""

from garrison.core.errors import UsageError
from garrison.core.robustness_card import Norm
from garrison.robustness.attacks.apgd import APGDCE, APGDDLR, APGDT
from garrison.robustness.attacks.attack import Attack
from garrison.robustness.attacks.fab import FABT
from garrison.robustness.attacks.square import Square

MOST_TARGETS = 9
L1_TARGETS = 5
L1_RESTARTS = 5
SAMPLES = 20
"""Answers of a randomised model that one step averages."""


def standard(norm: Norm, classes: int, *, steps: int = 100, queries: int = 5000) -> tuple[Attack, ...]:
    """APGD-CE, APGD-T, FAB-T and Square, as the authors set them.

    Between two classes the targeted loss is the cross-entropy over again, and APGD-T is left out. Raises `UsageError`
    for L0, which it does not have.
    """
    _check(norm)
    targets = min(MOST_TARGETS, classes - 1)
    ce = APGDCE(norm=norm, steps=steps, restarts=L1_RESTARTS if norm == "l1" else 1)
    targeted = APGDT(norm=norm, steps=steps, targets=min(L1_TARGETS, targets) if norm == "l1" else targets)
    boundary = FABT(norm=norm, steps=steps, targets=targets)
    square = Square(norm=norm, queries=queries)
    return (ce, targeted, boundary, square) if classes > 2 else (ce, boundary, square)


def randomised(norm: Norm, classes: int, *, steps: int = 100) -> tuple[Attack, ...]:
    """APGD-CE and APGD-DLR over the mean of many answers, for models that answer at random.

    Between two classes both losses are the same, and APGD-DLR is left out. Raises `UsageError` for L0.
    """
    _check(norm)
    ce = APGDCE(norm=norm, steps=steps, samples=SAMPLES)
    return (ce, APGDDLR(norm=norm, steps=steps, samples=SAMPLES)) if classes > 2 else (ce,)


def _check(norm: Norm) -> None:
    if norm == "l0":
        raise UsageError("AutoAttack has no L0; attack with PGD in L0, or in L1, which is near")
