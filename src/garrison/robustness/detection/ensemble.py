"""Ensemble disagreement: what others say that learnt the same from the data.

Small networks with different first weights and different samples of the data (Lakshminarayanan, Pritzel and Blundell
2017, NeurIPS; Breiman 1996 for the samples). The score is how surprised they are, all together, by the model's
decision: minus the log of their mean probability of it.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from garrison.robustness.classifier import Classifier
from garrison.robustness.data import Data
from garrison.robustness.detection.detector import Detector, Progress, benign, fitted
from garrison.robustness.detection.features import Logits
from garrison.robustness.detection.training import network, trained


@dataclass(frozen=True)
class Ensemble:
    """Trains `members`, each for `epochs`."""

    kind: ClassVar[str] = "ensemble"
    members: int = 3
    epochs: int = 5

    def fit(self, classifier: Classifier, data: Data, *, seed: int = 0, progress: Progress | None = None) -> Detector:
        """Train the members on the labels."""
        inputs, labels = benign(classifier, data)
        logits = Logits(classifier)
        members = [self._member(inputs, labels, classifier.classes, seed, one, progress) for one in range(self.members)]
        return fitted(self, Surprise(logits, members), inputs)

    def _member(
        self, inputs: Tensor, labels: Tensor, classes: int, seed: int, number: int, progress: Progress | None
    ) -> nn.Module:
        random = torch.Generator().manual_seed(seed * 1000 + number)
        drawn = torch.randint(len(inputs), (len(inputs),), generator=random).to(inputs.device)
        own, named = inputs[drawn], labels[drawn]
        return trained(
            lambda: network(tuple(inputs.shape[1:]), classes, inputs),
            lambda module, batch: nn.functional.cross_entropy(module(own[batch]), named[batch]),
            own, epochs=self.epochs, seed=seed * 1000 + number,
            progress=progress and (lambda share: progress((number + share) / self.members)),
        )  # fmt: skip


class Surprise(nn.Module):
    """Minus the log of the members' mean probability of what the model decides."""

    def __init__(self, logits: Logits, members: list[nn.Module]) -> None:
        super().__init__()
        self.logits = logits
        self.members = nn.ModuleList(members)

    def forward(self, inputs: Tensor) -> Tensor:
        decided = self.logits(inputs).argmax(1, keepdim=True)
        mean = torch.stack([member(inputs).softmax(1) for member in self.members]).mean(0)
        return -mean.clamp(min=1e-12).log().gather(1, decided).squeeze(1)
