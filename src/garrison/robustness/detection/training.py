"""Small networks beside the model, and how they are trained."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from garrison.robustness.detection.detector import Progress

LEARNING_RATE = 2e-3
BATCH = 128
LEAST_STEPS = 400
"""However few the inputs are."""


def trained(
    make: Callable[[], nn.Module],
    loss: Callable[[nn.Module, Tensor], Tensor],
    inputs: Tensor,
    *,
    epochs: int,
    seed: int,
    progress: Progress | None = None,
) -> nn.Module:
    """What `make` makes, after training that lowers `loss(module, indices of inputs)`, in evaluation mode.

    Adam under one cycle of its learning rate (Smith and Topin 2018). The same seed gives the same network.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = make()
    module.to(inputs.device).train()
    shuffling = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(module.parameters(), LEARNING_RATE)
    epochs = max(epochs, -(-LEAST_STEPS // -(-len(inputs) // BATCH)))
    steps = epochs * -(-len(inputs) // BATCH)
    done = 0
    for _ in range(epochs):
        for batch in torch.split(torch.randperm(len(inputs), generator=shuffling), BATCH):
            optimizer.param_groups[0]["lr"] = LEARNING_RATE * _cycle(done / steps)
            optimizer.zero_grad()
            torch.autograd.backward(loss(module, batch.to(inputs.device)))
            optimizer.step()
            done += 1
            if progress:
                progress(done / steps)
    return module.eval()


def _cycle(share: float) -> float:
    """Up in the first fifth, down to nought at the end."""
    return min(share / 0.2 + 0.05, 1.0) if share < 0.2 else (1 - share) / 0.8 + 0.01


def divergence(target: Tensor, given: Tensor) -> Tensor:
    """Kullback-Leibler divergence (n,) of the distributions of two logits (n, classes), in nats."""
    logs = target.log_softmax(1)
    return (logs.exp() * (logs - given.log_softmax(1))).sum(1)


def network(shape: tuple[int, ...], outputs: int, inputs: Tensor) -> nn.Module:
    """A classifier of a few ten thousand weights for images, or for tables whatever their units."""
    if len(shape) != 3:
        width = max(32, min(256, 2 * inputs[0].numel()))
        return nn.Sequential(
            Standardised(inputs), nn.Linear(inputs[0].numel(), width), nn.ReLU(),
            nn.Linear(width, width), nn.ReLU(), nn.Linear(width, outputs),
        )  # fmt: skip
    channels, height, width = shape
    return nn.Sequential(
        nn.Conv2d(channels, 16, 3, stride=2, padding=1), nn.ReLU(),
        nn.Conv2d(16, 32, 3, stride=2, padding=1), nn.ReLU(),
        nn.Flatten(), nn.Linear(32 * -(-height // 4) * -(-width // 4), 64), nn.ReLU(), nn.Linear(64, outputs),
    )  # fmt: skip


class Standardised(nn.Module):
    """Inputs (n, *shape) as vectors with mean nought and deviation one, as far as `inputs` show them."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, inputs: Tensor) -> None:
        super().__init__()
        vectors = inputs.flatten(1)
        deviation = vectors.std(0)
        self.register_buffer("mean", vectors.mean(0))
        self.register_buffer("deviation", torch.where(deviation > 0, deviation, torch.ones_like(deviation)))

    def forward(self, inputs: Tensor) -> Tensor:
        return (inputs.flatten(1) - self.mean) / self.deviation
