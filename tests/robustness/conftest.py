"""A small world to attack: handwritten digits of 8×8 pixels, and models trained on them in a second or two."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import torch
import tqdm
from sklearn.datasets import load_digits
from torch import Tensor, nn

from garrison.robustness.classifier import Classifier, of_module

# Networks this small gain nothing from threads, which wait for each other where tests run side by side.
torch.set_num_threads(1)


@dataclass(frozen=True, eq=False)
class Digits:
    """1,797 images (1, 8, 8) from 0 to 1 in ten classes, shuffled: the first 1,200 to train with."""

    train: Tensor
    train_labels: Tensor
    test: Tensor
    test_labels: Tensor


@pytest.fixture(scope="session")
def digits() -> Digits:
    data = load_digits()
    order = torch.randperm(len(data.target), generator=torch.Generator().manual_seed(0))
    images = torch.tensor(data.images, dtype=torch.float32).unsqueeze(1)[order] / 16
    labels = torch.tensor(data.target, dtype=torch.int64)[order]
    return Digits(images[:1200], labels[:1200], images[1200:], labels[1200:])


@pytest.fixture(autouse=True)
def _nothing_is_left_behind() -> Iterator[None]:
    """A test leaves the global state as it found it; that attacks leave it alone, `check_attack` holds them to.

    Threads that watch progress bars, of PyTorch's exporter and of ART, would keep later tests from forking.
    """
    before = torch.random.get_rng_state()
    yield
    torch.random.set_rng_state(before)
    for thread in threading.enumerate():
        if isinstance(thread, tqdm.TMonitor):
            thread.exit()


def network(seed: int = 0) -> nn.Module:
    """A convolutional network for the digits, about 10,000 parameters, untrained."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(128, 32),
            nn.ReLU(),
            nn.Linear(32, 10),
        )


def trained(module: nn.Module, images: Tensor, labels: Tensor, *, epochs: int = 15, seed: int = 0) -> nn.Module:
    """The module after training, in evaluation mode; the same each time."""
    shuffling = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(module.parameters(), 3e-3)
    for _ in range(epochs):
        for batch in torch.randperm(len(images), generator=shuffling).split(64):
            optimizer.zero_grad()
            nn.functional.cross_entropy(module(images[batch]), labels[batch]).backward()
            optimizer.step()
    return module.eval()


@pytest.fixture(scope="session")
def digits_network(digits: Digits) -> nn.Module:
    """About 97 % right on the test images. Not to be changed."""
    return trained(network(), digits.train, digits.train_labels)


@pytest.fixture
def digits_classifier(digits_network: nn.Module) -> Classifier:
    return of_module(digits_network, 10, name="digits")
