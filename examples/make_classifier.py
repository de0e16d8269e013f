"""Train a small classifier of handwritten digits to attack: `pip install 'garrison[robustness]'`, then run this.

Writes `digits/model.pt` (TorchScript, 10,000 parameters), `digits/train.npz` and `digits/test.npz` (images of 8×8
pixels that come with scikit-learn). Takes a few seconds.
"""

from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn


def main() -> None:
    """The same files each time, but for the last digits of the weights."""
    folder = Path("digits")
    folder.mkdir(exist_ok=True)
    digits = load_digits()
    order = np.random.default_rng(0).permutation(len(digits.target))
    images = (digits.images[order, None] / 16).astype(np.float32)
    labels = digits.target[order].astype(np.int64)
    np.savez(folder / "train.npz", x=images[:1200], y=labels[:1200])
    np.savez(folder / "test.npz", x=images[1200:], y=labels[1200:])
    torch.manual_seed(0)
    torch.set_num_threads(1)
    network = nn.Sequential(
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
    optimizer = torch.optim.Adam(network.parameters(), 3e-3)
    inputs, targets = torch.from_numpy(images[:1200]), torch.from_numpy(labels[:1200])
    for _ in range(20):
        for batch in torch.randperm(1200).split(64):
            optimizer.zero_grad()
            nn.functional.cross_entropy(network(inputs[batch]), targets[batch]).backward()
            optimizer.step()
    torch.jit.script(network.eval()).save(folder / "model.pt")
    print("wrote digits/model.pt, digits/train.npz and digits/test.npz")


if __name__ == "__main__":
    main()
