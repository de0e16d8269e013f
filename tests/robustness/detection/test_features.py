"""Layers are found by name, and the last ones by what they give."""

import warnings

import pytest
import torch
from torch import Tensor, nn

from garrison.core.errors import UsageError
from garrison.robustness.classifier import Classifier, of_module
from garrison.robustness.detection.features import (
    BEFORE_DENSE,
    PENULTIMATE,
    Logits,
    Tapped,
    dense_end,
    flat,
    names,
    resolved,
)
from tests.robustness.conftest import Digits


def scripted(module: nn.Module) -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch says that it is deprecated; people have such files
        found: nn.Module = torch.jit.script(module)
        return found


class Residual(nn.Module):
    """Its last layer is not its last module."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(8, 3)
        self.stem = nn.Conv2d(1, 8, 3, padding=1)
        self.unused = nn.Linear(3, 3)

    def forward(self, inputs: Tensor) -> Tensor:
        scores: Tensor = self.head(torch.relu(self.stem(inputs)).mean((2, 3)))
        return scores


@pytest.mark.parametrize("form", ["module", "script", "program"])
def test_the_last_layers_are_the_same_in_every_form_of_a_model(
    form: str, digits_network: nn.Module, digits: Digits
) -> None:
    inputs = digits.test[:4]
    model = digits_network
    if form == "script":
        model = scripted(model)
    elif form == "program":
        model = torch.export.export(model, (inputs,)).module()
    logits = Logits(Classifier(model, 10))
    penultimate, before = (resolved(logits, (name,), inputs) for name in (PENULTIMATE, BEFORE_DENSE))
    (last,), scores = Tapped(logits, penultimate)(inputs)
    (first,), _ = Tapped(logits, before)(inputs)
    assert torch.allclose(last, digits_network[:9](inputs), atol=1e-5)
    assert torch.allclose(first, digits_network[:7](inputs), atol=1e-5)
    assert torch.allclose(scores, digits_network(inputs), atol=1e-5)
    if form != "program":
        assert penultimate == ("9:input",)
        assert before == ("7:input",)


def test_the_last_layer_is_told_by_its_numbers() -> None:
    logits = Logits(of_module(Residual(), 3))
    inputs = torch.rand(3, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    assert dense_end(logits, inputs) == ("head",)
    assert names(logits.model, inputs) == ("stem", "head")


def test_a_model_that_ends_in_something_else_is_asked_about() -> None:
    class Scaled(Residual):
        def forward(self, inputs: Tensor) -> Tensor:
            return 2 * super().forward(inputs)

    with pytest.raises(UsageError, match="'head' does not give the scores; name layers yourself, of stem, head"):
        dense_end(Logits(of_module(Scaled(), 3)), torch.rand(2, 1, 4, 4))
    with pytest.raises(UsageError, match="none has weights"):
        dense_end(Logits(of_module(nn.Flatten(), 4)), torch.rand(2, 1, 2, 2))


def test_a_layer_that_is_not_there_is_named_beside_those_that_are(digits_classifier: Classifier) -> None:
    with pytest.raises(UsageError, match=r"no layer named 'fc'.*0, 1, 2"):
        resolved(Logits(digits_classifier), ("fc",), torch.rand(2, 1, 8, 8))


def test_compiled_code_that_is_no_chain_is_said_to_hide_its_layers() -> None:
    script = scripted(Residual())
    with pytest.raises(UsageError, match="no chain of modules"):
        resolved(Logits(Classifier(script, 3)), (PENULTIMATE,), torch.rand(2, 1, 4, 4))


def test_looking_leaves_no_hooks(digits_network: nn.Module, digits: Digits) -> None:
    Tapped(Logits(Classifier(digits_network, 10)), ("9",))(digits.test[:2])
    assert not any(layer._forward_hooks for layer in digits_network.modules())


@pytest.mark.parametrize(("shape", "size"), [((5, 3), 3), ((5, 7, 3), 3), ((5, 3, 4, 4), 3), ((5, 3, 2, 4, 4), 3)])
def test_features_are_vectors(shape: tuple[int, ...], size: int) -> None:
    assert flat(torch.ones(shape)).tolist() == [[1.0] * size] * 5
