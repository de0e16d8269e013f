"""Every setting that a move offers is one that the constraints permit."""

import numpy as np
import pytest

from garrison.robustness.data import Data
from garrison.robustness.tabular.constraints import Constraints
from garrison.robustness.tabular.moves import Moves
from tests.robustness.tabular.conftest import loans


@pytest.fixture
def moves(loan_constraints: Constraints, loan_data: Data) -> Moves:
    return Moves(loan_constraints, np.asarray(loan_data.inputs))


def test_options_are_permitted_and_not_the_origin(moves: Moves) -> None:
    for origin in loans(8, seed=5):
        for which, variable in enumerate(moves.variables):
            for setting in moves.options(which, origin):
                row = origin.copy()
                moves.put(which, row, float(setting))
                assert moves.setting(which, row) == np.float32(setting)
                assert moves.constraints.changed(variable, origin[None], row[None])[0]
                row = moves.constraints.repaired(row[None])
                broken = [name for name, mask in moves.constraints._broken_changes(origin[None], row) if mask[0]]
                assert not broken


def test_options_reach_the_bounds(moves: Moves) -> None:
    names = [variable.name for variable in moves.variables]
    origin = loans(1, seed=5)[0]
    income = moves.options(names.index("income"), origin)
    assert (income.min(), income.max()) == (10, 200)
    ages = moves.options(names.index("age"), origin)
    assert (ages.min() > origin[0], ages.max()) == (True, 90)
    assert moves.options(names.index("debt"), origin).max() < origin[2]


@pytest.mark.parametrize(
    ("name", "wanted", "given"),
    [
        ("age", 45.4, 45),
        ("age", 20, 30),
        ("age", 200, 90),
        ("debt", 50, 20),
        ("grade", 4, 4),
        ("grade", 3, 2),
        ("home", 2, 2),
        ("home", 0, 1),
        ("income", float("nan"), 50),
    ],
)
def test_nearest(moves: Moves, name: str, wanted: float, given: float) -> None:
    which = [variable.name for variable in moves.variables].index(name)
    origin = np.asarray([30, 50, 20, 0.4, 1, 2, 1, 0, 0, 3], dtype=np.float32)
    assert moves.nearest(which, origin, wanted) == given


def test_a_missing_value_has_no_options(moves: Moves) -> None:
    origin = loans(1)[0]
    origin[0] = np.nan
    which = [variable.name for variable in moves.variables].index("age")
    assert not len(moves.options(which, origin))
    assert np.isnan(moves.nearest(which, origin, 40))
