"""Slices: who is counted where."""

import numpy as np
import torch

from garrison.robustness.data import Data
from garrison.robustness.evaluation.evasion import Evaded
from garrison.robustness.evaluation.slices import slices


def world() -> tuple[Data, torch.Tensor, torch.Tensor, Evaded, torch.Tensor]:
    """40 inputs of two classes and two groups; the odd ones are classified correctly, 20 were attacked."""
    data = Data(
        np.zeros((40, 2), np.float32),
        np.repeat([0, 1], 20),
        "table",
        classes=("no", "yes"),
        groups={"sex": np.array(["f", "m"] * 20)},
    )
    order = torch.arange(39, 19, -1)  # the second class, backwards
    correct = torch.arange(40) % 2 == 1
    broken_by = torch.where(correct[order], torch.where(order > 29, 0, -1), -2)[None]
    evaded = Evaded("linf", (0.1,), torch.arange(20), correct[order], broken_by, torch.zeros(1, 20, 2), ("a",), (), {})
    return data, torch.arange(40), correct, evaded, order


def test_each_slice_counts_its_own() -> None:
    data, measured, correct, evaded, order = world()
    found = {one.name: one for one in slices(data, measured, correct, evaded, order)}
    assert set(found) == {"class no", "class yes", "sex = f", "sex = m"}
    yes = found["class yes"]
    assert (yes.clean.count, yes.clean.of) == (10, 20)
    assert yes.robust is not None
    assert (yes.robust.count, yes.robust.of) == (5, 20)
    assert found["sex = m"].clean.value == 1
    assert found["class no"].robust is not None
    assert found["class no"].robust.of == 0


def test_the_worst_is_first_and_the_tiny_are_left_out() -> None:
    data, measured, correct, evaded, order = world()
    names = [one.name for one in slices(data, measured, correct, evaded, order)]
    assert names.index("sex = f") < names.index("sex = m")
    few = Data(data.inputs, data.labels, "table", groups={"id": np.arange(40)})
    assert not any(one.name.startswith("id") for one in slices(few, measured, correct, evaded, order))
