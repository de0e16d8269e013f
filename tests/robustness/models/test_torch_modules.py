"""Torch modules, TorchScript and exported programs as classifiers: what they answer, in which shape, with gradients."""

import io
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from garrison.core.errors import UsageError
from garrison.robustness.data import Data
from garrison.robustness.models.building import build
from garrison.robustness.models.built import Wanted

IMAGES = torch.rand(20, 1, 8, 8, generator=torch.Generator().manual_seed(0))
DATA = Data(IMAGES.numpy(), np.arange(20) % 10, "image")
WANTED = Wanted(data=DATA)


def net(*last: nn.Module, classes: int = 10) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(1, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(144, classes), nn.Dropout(), *last
        ).eval()


def exported(module: nn.Module, *, any_batch: bool = True) -> torch.export.ExportedProgram:
    shapes: Any = ({0: torch.export.Dim("n")},) if any_batch else None
    return torch.export.export(module, (IMAGES[:3],), dynamic_shapes=shapes)


def scripted(module: nn.Module) -> torch.jit.ScriptModule:
    """As it comes from a file."""
    file = io.BytesIO()
    torch.jit.save(torch.jit.trace(module, IMAGES[:2]), file)
    file.seek(0)
    return torch.jit.load(file)


FORMS: dict[str, Any] = {"module": lambda m: m, "TorchScript": scripted, "program": exported}


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("last", [None, nn.Softmax(1), nn.LogSoftmax(1), nn.Sigmoid()], ids=lambda m: str(m))
def test_logits_come_back_from_behind_the_last_operation(form: str, last: nn.Module | None) -> None:
    logits = net()(IMAGES)
    built = build(FORMS[form](net(*([last] if last else []))), WANTED)
    made = built.classifier
    assert made.outputs == "logits" and made.classes == 10 and made.differentiable
    expected = logits.log_softmax(1) if isinstance(last, nn.LogSoftmax) else logits
    torch.testing.assert_close(made.scores(IMAGES), expected)
    assert any("taken off" in note for note in built.notes) == isinstance(last, nn.Softmax | nn.Sigmoid)
    inputs = IMAGES.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(made(inputs)[:, 3].sum(), inputs)
    assert gradient.abs().sum() > 0
    direction = torch.rand(IMAGES.shape, generator=torch.Generator().manual_seed(1)) - 0.5
    moved = made.scores(IMAGES + 1e-2 * direction)[:, 3] - made.scores(IMAGES - 1e-2 * direction)[:, 3]
    torch.testing.assert_close((gradient * direction).flatten(1).sum(1), moved / 2e-2, rtol=0.1, atol=1e-3)


def test_a_softmax_over_another_axis_is_not_taken_off() -> None:
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = net()

        def forward(self, x: Tensor) -> Tensor:
            return self.inner(x).softmax(0)

    built = build(Odd(), WANTED)
    torch.testing.assert_close(built.classifier.scores(IMAGES), net()(IMAGES).softmax(0))
    assert built.notes == ()


def test_what_the_caller_says_of_outputs_counts() -> None:
    built = build(net(nn.Softmax(1)), Wanted(data=DATA, outputs="probabilities"))
    assert built.classifier.outputs == "probabilities"
    torch.testing.assert_close(built.classifier.scores(IMAGES), net()(IMAGES).softmax(1))


@pytest.mark.parametrize("last", [(), (nn.Sigmoid(),), (nn.Sigmoid(), nn.Flatten(0))], ids=["logit", "sigmoid", "flat"])
def test_one_score_becomes_two(last: tuple[nn.Module, ...]) -> None:
    module = net(*last, classes=1)
    made = build(module, WANTED).classifier
    assert made.classes == 2
    second = module(IMAGES).reshape(-1)
    expected = second if last else second.sigmoid()
    torch.testing.assert_close(made.soft(made.scores(IMAGES)), torch.stack([1 - expected, expected], 1))


def test_a_program_of_one_batch_size_is_asked_that_many_at_a_time() -> None:
    built = build(exported(net(nn.Softmax(1)), any_batch=False), WANTED)
    torch.testing.assert_close(built.classifier.scores(IMAGES), net()(IMAGES))
    assert any("batches of 3" in note for note in built.notes)


def test_modules_are_frozen_and_in_evaluation_mode() -> None:
    module = net().train()
    built = build(module, WANTED)
    assert not module.training and not any(p.requires_grad for p in module.parameters())
    assert built.parameters == 4 * 9 + 4 + 144 * 10 + 10


def test_double_precision_takes_and_gives_float32() -> None:
    made = build(net().double(), WANTED).classifier
    torch.testing.assert_close(made.scores(IMAGES), net()(IMAGES))
    assert made.scores(IMAGES).dtype == torch.float32


def test_a_module_of_flat_inputs_gets_images_flattened() -> None:
    module = nn.Linear(64, 10)
    built = build(module, WANTED)
    torch.testing.assert_close(built.classifier.scores(IMAGES), module(IMAGES.flatten(1)))
    assert built.notes == ("images are handed to it flattened",)


def test_answers_with_names_give_their_logits() -> None:
    class Named(nn.Module):
        def forward(self, x: Tensor) -> dict[str, Tensor]:
            return {"features": x.flatten(1), "logits": x.flatten(1)[:, :10]}

    assert torch.equal(build(Named(), WANTED).classifier.scores(IMAGES), IMAGES.flatten(1)[:, :10])


def test_decisions_alone_become_labels() -> None:
    class Decides(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.flatten(1)[:, :10].argmax(1)

    made = build(Decides(), Wanted(10, data=DATA)).classifier
    assert made.outputs == "labels" and not made.differentiable
    assert torch.equal(made.labels(IMAGES), IMAGES.flatten(1)[:, :10].argmax(1))


BAD: dict[str, tuple[nn.Module, Wanted, str]] = {
    "other channels": (nn.Conv2d(3, 10, 8), WANTED, "does not take inputs of shape 1×8×8"),
    "no rows": (nn.Flatten(0), WANTED, r"answers 20 inputs with shape \(1280,\)"),
    "other classes": (net(), Wanted(7, data=DATA), "scores of 10 classes, not of 7"),
    "nothing known": (net(), Wanted(), "--classes"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_does_not_fit_is_said_in_one_line(case: str) -> None:
    module, wanted, message = BAD[case]
    with pytest.raises(UsageError, match=message) as caught:
        build(module, wanted)
    assert "\n" not in str(caught.value)
