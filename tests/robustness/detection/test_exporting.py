"""Modules as ONNX graphs, or a line that says what to do."""

import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from garrison.core.errors import UsageError
from garrison.robustness.detection.exporting import exported


def test_a_graph_scores_as_the_module_for_any_number_of_inputs() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1), nn.Flatten(0)).eval()
        inputs = torch.rand(5, 3)
    session = onnxruntime.InferenceSession(exported(module, inputs[:2]))
    (found,) = session.run(["scores"], {"inputs": inputs.numpy()})
    assert torch.from_numpy(found) == pytest.approx(module(inputs).detach(), abs=1e-6)


class Unwritable(nn.Module):
    def forward(self, inputs: Tensor) -> Tensor:
        return torch.special.i1e(inputs).sum(1)


def test_what_no_graph_can_hold_is_said_with_what_to_do() -> None:
    with pytest.raises(UsageError, match="export it where it was made") as refused:
        exported(Unwritable(), torch.rand(2, 3))
    assert "\n" not in str(refused.value)
