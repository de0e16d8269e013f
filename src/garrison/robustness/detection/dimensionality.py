"""Local intrinsic dimensionality: how fast neighbours multiply with distance (Ma et al. 2018, ICLR, equation 4).

The estimate is of maximum likelihood (Amsaleg et al. 2015), against a sample of the benign training inputs; over
several layers it is the mean. The paper weighs layers by a regression on adversarial inputs, which a defender would
have to foresee.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from garrison.core.errors import UsageError
from garrison.robustness.classifier import Classifier
from garrison.robustness.data import Data
from garrison.robustness.detection.detector import Detector, Progress, benign, fitted, sample
from garrison.robustness.detection.features import PENULTIMATE, Logits, Tapped, resolved
from garrison.robustness.detection.mahalanobis import collected


@dataclass(frozen=True)
class Dimensionality:
    """From `k` neighbours among `references` training inputs."""

    kind: ClassVar[str] = "lid"
    layers: tuple[str, ...] = (PENULTIMATE,)
    k: int = 20
    references: int = 2000

    def fit(self, classifier: Classifier, data: Data, *, seed: int = 0, progress: Progress | None = None) -> Detector:
        """Keep the features of training inputs, at random. Raises `UsageError` for fewer than k of them."""
        inputs, labels = benign(classifier, data)
        if len(inputs) <= self.k:
            raise UsageError(f"{len(inputs):,} benign inputs, and k is {self.k}")
        logits = Logits(classifier)
        layers = resolved(logits, self.layers, inputs[:2])
        tapped = Tapped(logits, layers)
        kept, _ = sample(inputs, labels, self.references, seed)
        return fitted(self, Local(tapped, collected(tapped, kept), self.k), inputs, layers=layers)


class Local(nn.Module):
    """The estimate of local intrinsic dimensionality, mean over layers."""

    def __init__(self, tapped: Tapped, features: list[Tensor], k: int) -> None:
        super().__init__()
        self.tapped = tapped
        self.k = k
        for index, one in enumerate(features):
            self.register_buffer(f"references{index}", one.T.contiguous())
            self.register_buffer(f"squares{index}", one.square().sum(1))

    def forward(self, inputs: Tensor) -> Tensor:
        features, _ = self.tapped(inputs)
        return torch.stack([self._estimate(one, index) for index, one in enumerate(features)]).mean(0)

    def _estimate(self, features: Tensor, index: int) -> Tensor:
        references, squares = self.get_buffer(f"references{index}"), self.get_buffer(f"squares{index}")
        own = features.square().sum(1, keepdim=True)
        # Rounding leaves a product of equals a little off nought: what is below that counts as that near.
        distances = (own + squares - 2 * features @ references).clamp(min=0) + 1e-5 * (own + squares.mean())
        nearest = distances.topk(self.k, 1, largest=False).values
        # Half the logarithm of a ratio of squares is that of the distances.
        return -1 / (0.5 * (nearest / nearest[:, -1:]).log().mean(1)).clamp(max=-1e-6)
