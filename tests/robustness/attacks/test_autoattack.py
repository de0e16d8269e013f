"""The standard set of attacks."""

import pytest

from garrison.core.errors import UsageError
from garrison.core.robustness_card import Norm
from garrison.robustness.attacks.attack import Attack, settings
from garrison.robustness.attacks.autoattack import randomised, standard


@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
def test_the_sets_are_as_published(norm: Norm) -> None:
    names = [attack.name for attack in standard(norm, 10)]
    assert names == ["apgd-ce", "apgd-t", "fab-t", "square"]
    assert all(isinstance(attack, Attack) and attack.norm == norm for attack in standard(norm, 10))
    ce, targeted, boundary, square = map(settings, standard(norm, 10))
    assert (ce["restarts"], targeted["targets"]) == ((5, 5) if norm == "l1" else (1, 9))
    assert (boundary["targets"], square["queries"]) == (9, 5000)
    assert [settings(attack)["samples"] for attack in randomised(norm, 10)] == [20, 20]


def test_few_classes_leave_out_what_would_be_the_same_again() -> None:
    assert [attack.name for attack in standard("linf", 2)] == ["apgd-ce", "fab-t", "square"]
    assert [attack.name for attack in randomised("l2", 2)] == ["apgd-ce"]
    assert settings(standard("l2", 4)[1])["targets"] == 3


def test_l0_is_refused() -> None:
    for attacks in (standard, randomised):
        with pytest.raises(UsageError, match="L0"):
            attacks("l0", 10)
