"""Model distillation: does a small copy of the model say the same?

The copy learns the model's predictions on benign inputs; adversarial inputs are made for the model and not for the
copy. The score is the Kullback-Leibler divergence of their predictions (the recipe that alibi-detect names
ModelDistillation; Hinton, Vinyals and Dean 2015 for distillation itself).
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from garrison.robustness.classifier import Classifier
from garrison.robustness.data import Data
from garrison.robustness.detection.detector import BATCH, Detector, Progress, benign, fitted
from garrison.robustness.detection.features import Logits
from garrison.robustness.detection.training import divergence, network, trained


@dataclass(frozen=True)
class Distillation:
    """Trains the copy for `epochs`."""

    kind: ClassVar[str] = "distillation"
    epochs: int = 10

    def fit(self, classifier: Classifier, data: Data, *, seed: int = 0, progress: Progress | None = None) -> Detector:
        """Train the copy."""
        inputs, _ = benign(classifier, data)
        logits = Logits(classifier)
        with torch.no_grad():
            predicted = torch.cat([logits(batch) for batch in torch.split(inputs, BATCH)])

        def loss(module: nn.Module, batch: Tensor) -> Tensor:
            return divergence(predicted[batch], module(inputs[batch])).mean()

        copy = trained(
            lambda: network(tuple(inputs.shape[1:]), classifier.classes, inputs), loss, inputs,
            epochs=self.epochs, seed=seed, progress=progress,
        )  # fmt: skip
        return fitted(self, Copied(logits, copy), inputs)


class Copied(nn.Module):
    """The divergence of the copy's prediction from the model's."""

    def __init__(self, logits: Logits, copy: nn.Module) -> None:
        super().__init__()
        self.logits = logits
        self.copy = copy

    def forward(self, inputs: Tensor) -> Tensor:
        return divergence(self.logits(inputs), self.copy(inputs))
