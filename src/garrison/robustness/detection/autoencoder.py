"""Adversarial autoencoder: does the model say the same of an input and of its reconstruction?

The autoencoder is trained so that the model's prediction survives it: the loss is the Kullback-Leibler divergence of
the predictions before and after, and so is the score (Vacanti and Van Looveren 2020, "Adversarial Detection and
Correction by Matching Prediction Distributions", arXiv 2002.09364; the recipe that alibi-detect names AdversarialAE).
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from garrison.robustness.classifier import Classifier
from garrison.robustness.data import Data
from garrison.robustness.detection.detector import BATCH, Detector, Progress, benign, fitted
from garrison.robustness.detection.features import Logits
from garrison.robustness.detection.training import Standardised, divergence, trained


@dataclass(frozen=True)
class Autoencoder:
    """Reconstructs through `bottleneck` numbers; 0 takes an eighth of the input's, 128 at the most."""

    kind: ClassVar[str] = "autoencoder"
    epochs: int = 10
    bottleneck: int = 0

    def fit(self, classifier: Classifier, data: Data, *, seed: int = 0, progress: Progress | None = None) -> Detector:
        """Train the autoencoder through the model, whose weights stay as they are."""
        inputs, _ = benign(classifier, data)
        logits = Logits(classifier)
        width = self.bottleneck or max(4, min(128, inputs[0].numel() // 8))
        bounds = [
            torch.as_tensor(one, dtype=torch.float32, device=inputs.device) for one in (classifier.low, classifier.high)
        ]
        with torch.no_grad():
            predicted = torch.cat([logits(batch) for batch in torch.split(inputs, BATCH)])

        def loss(module: nn.Module, batch: Tensor) -> Tensor:
            return divergence(predicted[batch], logits(module(inputs[batch]))).mean()

        autoencoder = trained(
            lambda: Reconstruction(inputs, width, bounds[0], bounds[1]), loss, inputs,
            epochs=self.epochs, seed=seed, progress=progress,
        )  # fmt: skip
        return fitted(self, Reconstructed(logits, autoencoder), inputs, bottleneck=width)


class Reconstructed(nn.Module):
    """The divergence of the predictions before and after the autoencoder."""

    def __init__(self, logits: Logits, autoencoder: nn.Module) -> None:
        super().__init__()
        self.logits = logits
        self.autoencoder = autoencoder

    def forward(self, inputs: Tensor) -> Tensor:
        return divergence(self.logits(inputs), self.logits(self.autoencoder(inputs)))


class Reconstruction(nn.Module):
    """Inputs (n, *shape) through a bottleneck and back, within their bounds."""

    low: Tensor
    span: Tensor

    def __init__(self, inputs: Tensor, bottleneck: int, low: Tensor, high: Tensor) -> None:
        super().__init__()
        self.shape = tuple(inputs.shape[1:])
        self.register_buffer("low", low)
        self.register_buffer("span", high - low)
        self.layers = _convolutional(self.shape, bottleneck) if len(self.shape) == 3 else _dense(inputs, bottleneck)

    def forward(self, inputs: Tensor) -> Tensor:
        found = self.layers(inputs)
        if len(self.shape) == 3:
            found = found[:, :, : self.shape[1], : self.shape[2]]
        reconstructed: Tensor = found.reshape(-1, *self.shape).sigmoid() * self.span + self.low
        return reconstructed


def _convolutional(shape: tuple[int, ...], bottleneck: int) -> nn.Module:
    channels, height, width = shape[0], -(-shape[1] // 4), -(-shape[2] // 4)
    return nn.Sequential(
        nn.Conv2d(channels, 16, 3, stride=2, padding=1), nn.ReLU(),
        nn.Conv2d(16, 32, 3, stride=2, padding=1), nn.ReLU(),
        nn.Flatten(), nn.Linear(32 * height * width, bottleneck),
        nn.Linear(bottleneck, 32 * height * width), nn.ReLU(), nn.Unflatten(1, (32, height, width)),
        nn.ConvTranspose2d(32, 16, 3, stride=2, padding=1, output_padding=1), nn.ReLU(),
        nn.ConvTranspose2d(16, channels, 3, stride=2, padding=1, output_padding=1),
    )  # fmt: skip


def _dense(inputs: Tensor, bottleneck: int) -> nn.Module:
    size = inputs[0].numel()
    hidden = max(32, min(256, 2 * size))
    return nn.Sequential(
        Standardised(inputs), nn.Linear(size, hidden), nn.ReLU(), nn.Linear(hidden, bottleneck),
        nn.Linear(bottleneck, hidden), nn.ReLU(), nn.Linear(hidden, size),
    )  # fmt: skip
