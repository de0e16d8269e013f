"""The digits as data to fit and to calibrate with, and adversarial ones."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from garrison.robustness.classifier import Classifier
from garrison.robustness.data import Data
from tests.robustness.conftest import Digits


def data_of(inputs: Tensor, labels: Tensor) -> Data:
    return Data(inputs.numpy(), labels.numpy().astype(np.int64), "image", name="digits")


@pytest.fixture(scope="session")
def fitting(digits: Digits) -> Data:
    return data_of(digits.train, digits.train_labels)


@pytest.fixture(scope="session")
def held_out(digits: Digits) -> Tensor:
    """397 benign inputs to calibrate with."""
    return digits.test[:397]


@pytest.fixture(scope="session")
def unseen(digits: Digits) -> tuple[Tensor, Tensor]:
    """200 benign inputs to try with, and their labels."""
    return digits.test[397:], digits.test_labels[397:]


@pytest.fixture(scope="session")
def adversarial(digits_network: nn.Module, unseen: tuple[Tensor, Tensor]) -> Tensor:
    """Inputs that PGD turned into what the network gets wrong, within linf:0.2."""
    inputs, labels = unseen
    moved = inputs.clone()
    for _ in range(30):
        moved.requires_grad_()
        loss = nn.functional.cross_entropy(digits_network(moved), labels)
        (gradient,) = torch.autograd.grad(loss, moved)
        moved = (moved + 0.02 * gradient.sign()).detach()
        moved = torch.minimum(torch.maximum(moved, inputs - 0.2), inputs + 0.2).clamp(0, 1)
    return moved[digits_network(moved).argmax(1) != labels]


@pytest.fixture
def probabilities(digits_network: nn.Module) -> Callable[[], Classifier]:
    return lambda: Classifier(nn.Sequential(digits_network, nn.Softmax(1)), 10, outputs="probabilities", name="soft")


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    """Networks this small are slower on several threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
