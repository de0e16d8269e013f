"""Energy: minus the log of the sum of exponentials of the logits (Liu et al. 2020, NeurIPS, equation 4).

Low for what looks like the training data. Made for out-of-distribution inputs: attacks that maximise the loss end in
confident scores, which it takes for benign.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from garrison.core.errors import UsageError
from garrison.robustness.classifier import Classifier
from garrison.robustness.data import Data
from garrison.robustness.detection.detector import Detector, Progress, benign, fitted
from garrison.robustness.detection.features import Logits


@dataclass(frozen=True)
class Energy:
    """Needs no fitting."""

    kind: ClassVar[str] = "energy"

    def fit(self, classifier: Classifier, data: Data, *, seed: int = 0, progress: Progress | None = None) -> Detector:
        """Only looks at whether classifier and data go together. Raises `UsageError` for a model without logits."""
        inputs, _ = benign(classifier, data)
        if classifier.outputs != "logits":
            raise UsageError("energy needs logits, and the model gives probabilities, whose energy is always nought")
        return fitted(self, FreeEnergy(Logits(classifier)), inputs)


class FreeEnergy(nn.Module):
    """Minus the log of the sum of exponentials of the logits."""

    def __init__(self, logits: Logits) -> None:
        super().__init__()
        self.logits = logits

    def forward(self, inputs: Tensor) -> Tensor:
        return -torch.logsumexp(self.logits(inputs), 1)
