"""Every attack that can be asked for by its name holds to what every attack promises, in each of its norms."""

from typing import Any

import pytest

from garrison.core.errors import UsageError
from garrison.core.robustness_card import Norm
from garrison.robustness.attacks.conformance import check_attack
from garrison.robustness.budgets import NORMS
from garrison.robustness.evaluation.plan import attack_names, made
from tests.robustness.attacks.support import BUDGETS

SMALL: dict[str, dict[str, Any]] = {
    "apgd-ce": {"steps": 20},
    "apgd-dlr": {"steps": 20},
    "apgd-t": {"steps": 20},
    "fab": {"steps": 20, "restarts": 2},
    "fab-t": {"steps": 20, "restarts": 2},
    "pgd": {"steps": 15, "restarts": 2},
    "deepfool": {},
    "carlini-wagner": {"searches": 3, "steps": 40},
    "square": {"queries": 40},
    "hop-skip-jump": {"queries": 200},
    "boundary": {"queries": 200},
    "simba": {"queries": 100},
}


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("name", attack_names())
def test_it_conforms_in_its_norms_and_refuses_the_others(name: str, norm: Norm) -> None:
    attack = made(name, norm, SMALL[name], optional=True)
    if attack is not None:
        check_attack(attack, epsilons=BUDGETS[norm])
    else:
        with pytest.raises(UsageError, match=f"{name} attacks in .*not in {norm}"):
            made(name, norm, {})


@pytest.mark.parametrize("name", attack_names())
def test_settings_that_mean_nothing_are_refused(name: str) -> None:
    norm = next(norm for norm in NORMS if made(name, norm, {}, optional=True) is not None)
    setting = "queries" if name in ("square", "hop-skip-jump", "boundary", "simba") else "steps"
    for value in (0, -1, float("nan")):
        with pytest.raises(UsageError, match=f"{name}: {setting} is"):
            made(name, norm, {setting: value})
