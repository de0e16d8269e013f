"""What every library is measured on: the same images, the same models, one clock.

    python benchmarks/robustness_tasks/world.py FOLDER FASHION_MNIST SETTINGS   # makes the folder, once

It holds `images.npz` (Fashion-MNIST) and `std.npz` and `at.npz`, the weights of one small network: trained as usual,
and on points found by PGD within linf 0.1 (Madry et al. 2018). Arrays only, so that nothing is unpickled to read them.
"""

import gzip
import json
import random
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

SEED = 0
CLASSES = 10
EPSILON = 0.1
SETTINGS = "settings.json"
MODELS = ("std", "at")
FILES = {
    "train": "train-images-idx3-ubyte.gz",
    "train_labels": "train-labels-idx1-ubyte.gz",
    "test": "t10k-images-idx3-ubyte.gz",
    "test_labels": "t10k-labels-idx1-ubyte.gz",
}


class World:
    """The folder, read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.settings: dict[str, Any] = json.loads((folder / SETTINGS).read_text())
        """What the run was asked for: `inputs`, `seeds`, `trained`, and the folder of `adult` or null."""
        with np.load(folder / "images.npz", allow_pickle=False) as arrays:
            self._arrays = dict(arrays)

    def images(self, part: str, count: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """The first images (n, 1, 28, 28) float32 from 0 to 1 of `train` or `test`, and their labels (n,) int64."""
        images, labels = self._arrays[part][:count], self._arrays[f"{part}_labels"][:count]
        return images[:, None].astype(np.float32) / 255, labels.astype(np.int64)

    def model(self, name: str) -> Any:
        """`std` or `at`: a torch module that gives logits, in evaluation mode."""
        import torch

        network = untrained()
        with np.load(self.folder / f"{name}.npz", allow_pickle=False) as arrays:
            network.load_state_dict({key: torch.from_numpy(value) for key, value in arrays.items()})
        return network.eval()


class Results:
    """Named numbers, printed as one line of JSON after each of them, so that a run that is ended early has its part.

    Names are `what was done: measure`, and the measures those of `benchmarks/robustness.py`.
    """

    def __init__(self) -> None:
        self._numbers: dict[str, float | None] = {}

    def add(self, name: str, **measures: float | None) -> None:
        """Measures by their names, with `_` for a space; `None` for what is no number."""
        for measure, value in measures.items():
            self._numbers[f"{name}: {measure.replace('_', ' ')}"] = value
        print(json.dumps(self._numbers), flush=True)


def main(libraries: dict[str, Callable[[World, Results], None]]) -> None:
    """`TASK.py LIBRARY FOLDER`: what one library does in the world."""
    _, library, folder = sys.argv
    seed()
    libraries[library](World(Path(folder)), Results())


def seed(number: int = SEED) -> None:
    """Seed the global generators, for libraries that have no seed of their own."""
    random.seed(number)
    np.random.seed(number)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(number)


class Clock:
    """CPU seconds of this process."""

    seconds = 0.0


@contextmanager
def timed() -> Iterator[Clock]:
    clock = Clock()
    started = time.process_time()
    try:
        yield clock
    finally:
        clock.seconds = time.process_time() - started


def untrained() -> Any:
    """The network: two convolutions and two dense layers, 105,866 parameters."""
    from torch import nn

    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(1568, 64),
        nn.ReLU(),
        nn.Linear(64, CLASSES),
    )


def make(folder: Path, source: Path, settings: str) -> None:
    """Write the folder, or what it lacks of images and models."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "images.npz").exists():
        np.savez_compressed(folder / "images.npz", **{name: _read(source / file) for name, file in FILES.items()})
    (folder / SETTINGS).write_text(settings)
    world = World(folder)
    for name, epochs, steps in (("std", 5, 0), ("at", 4, 5)):
        if not (folder / f"{name}.npz").exists():
            network = _trained(*world.images("train"), epochs, steps)
            np.savez(folder / f"{name}.npz", **{key: value.numpy() for key, value in network.state_dict().items()})


def _read(file: Path) -> np.ndarray:
    """An array of bytes in the IDX format."""
    data = gzip.decompress(file.read_bytes())
    dimensions = data[3]
    shape = np.frombuffer(data, ">i4", dimensions, offset=4)
    return np.frombuffer(data, np.uint8, offset=4 + 4 * dimensions).reshape(shape)


def _trained(images: np.ndarray, labels: np.ndarray, epochs: int, steps: int) -> Any:
    """Adam on batches of 128; with `steps`, on points that so many steps of PGD find."""
    import torch

    inputs, targets = torch.from_numpy(images), torch.from_numpy(labels)
    torch.manual_seed(SEED)
    noise = torch.Generator().manual_seed(SEED)
    network = untrained()
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)
    for _ in range(epochs):
        for batch in torch.randperm(len(inputs), generator=noise).split(128):
            some, their = inputs[batch], targets[batch]
            if steps:
                some = _worst(network, some, their, steps, noise)
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(network(some), their).backward()
            optimizer.step()
    return network


def _worst(network: Any, inputs: Any, labels: Any, steps: int, noise: Any) -> Any:
    import torch

    delta = (torch.rand(inputs.shape, generator=noise) * 2 - 1) * EPSILON
    for _ in range(steps):
        delta = delta.detach().requires_grad_()
        loss = torch.nn.functional.cross_entropy(network((inputs + delta).clamp(0, 1)), labels)
        (slope,) = torch.autograd.grad(loss, delta)
        delta = (delta + 0.03 * slope.sign()).clamp(-EPSILON, EPSILON)
    return (inputs + delta).clamp(0, 1).detach()


if __name__ == "__main__":
    make(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
