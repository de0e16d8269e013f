"""Attacks on a model whose answer is known."""

from dataclasses import dataclass
from typing import ClassVar

import pytest

from garrison.core.robustness_card import Norm
from garrison.robustness.attacks.apgd import APGDCE
from garrison.robustness.attacks.pgd import PGD
from garrison.robustness.evaluation.planted import checks
from tests.robustness.evaluation.test_evasion import Boastful


@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
def test_good_attacks_find_what_is_planted_and_nothing_else(norm: Norm) -> None:
    found = checks([APGDCE(norm=norm, steps=50)], (1, 6, 6), norm, seed=0)
    assert [one.name for one in found] == ["planted-weakness", "nothing-from-nothing"]
    assert [one.verdict for one in found] == ["passed", "passed"]


def test_an_attack_with_too_few_steps_is_told() -> None:
    found = checks([PGD(norm="linf", steps=1, step=0.0001)], (1, 6, 6), "linf", seed=0)
    assert found[0].verdict == "failed"
    assert "more steps" in found[0].advice


@dataclass(frozen=True)
class Liar(Boastful):
    access: ClassVar = "gradients"


def test_an_attack_that_goes_beyond_its_budget_is_told() -> None:
    found = checks([Liar()], (1,), "linf", seed=0)
    assert found[1].verdict == "failed"
    assert "beyond its budget" in found[1].advice


def test_black_boxes_are_not_tested_this_way() -> None:
    assert checks([], (1, 6, 6), "linf", seed=0) == ()
