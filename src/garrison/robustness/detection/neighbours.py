"""Deep k-nearest neighbours: do the training inputs that look alike inside the model have the class that it says?

Papernot and McDaniel (2018, arXiv 1803.04765) count the neighbours with another class than the predicted one; Sun et
al. (2022, ICML) show that features are to be brought to length one, and use the distance to the k-th. The score here
is the distance to the k-th neighbour of the predicted class, over the distance to the k-th of any other class (Jiang
et al. 2018, NeurIPS, "To Trust Or Not To Trust A Classifier"): the count, without its steps. Over several layers it
is the mean.

By default they are compared before the fully connected layers at the end: what an attack moves there is less than at
the scores, where it has won already.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from garrison.core.errors import UsageError
from garrison.robustness.classifier import Classifier
from garrison.robustness.data import Data
from garrison.robustness.detection.detector import Detector, Progress, benign, fitted, sample
from garrison.robustness.detection.features import BEFORE_DENSE, Logits, Tapped, resolved
from garrison.robustness.detection.mahalanobis import collected

_LENGTH = 128
"""Longer features are projected to so many numbers."""


@dataclass(frozen=True)
class Neighbours:
    """Keeps at most `references` training inputs, whose cost is a product with each."""

    kind: ClassVar[str] = "neighbours"
    layers: tuple[str, ...] = (BEFORE_DENSE,)
    k: int = 10
    references: int = 5000

    def fit(self, classifier: Classifier, data: Data, *, seed: int = 0, progress: Progress | None = None) -> Detector:
        """Keep the features of training inputs, at random. Raises `UsageError` where a class has fewer than k."""
        inputs, labels = benign(classifier, data)
        logits = Logits(classifier)
        layers = resolved(logits, self.layers, inputs[:2])
        kept, classes = sample(inputs, labels, self.references, seed)
        counts = torch.bincount(classes, minlength=classifier.classes)
        if int(counts.min()) < self.k:
            raise UsageError(f"class {int(counts.argmin())} has {int(counts.min())} benign inputs, and k is {self.k}")
        tapped = Tapped(logits, layers)
        features = [_shortened(one, seed + index) for index, one in enumerate(collected(tapped, kept))]
        return fitted(self, Ratio(tapped, features, classes, classifier.classes, self.k), inputs, layers=layers)


def _shortened(features: Tensor, seed: int) -> tuple[Tensor, Tensor | None]:
    """Features (n, d) of length one, after a random projection (d, 128) where they are longer, and that projection.

    Distances stay about as they are (Johnson and Lindenstrauss 1984), and the cost falls with the length.
    """
    projection = None
    if features.shape[1] > _LENGTH:
        random = torch.Generator().manual_seed(seed)
        projection = (torch.randn(features.shape[1], _LENGTH, generator=random) / _LENGTH**0.5).to(features.device)
        features = features @ projection
    return nn.functional.normalize(features, dim=1), projection


class Ratio(nn.Module):
    """Distance to the k-th neighbour of the predicted class over that to the k-th of any other, mean over layers."""

    membership: Tensor

    def __init__(
        self, tapped: Tapped, features: list[tuple[Tensor, Tensor | None]], classes: Tensor, count: int, k: int
    ) -> None:
        super().__init__()
        self.tapped = tapped
        self.k = k
        self.register_buffer("membership", nn.functional.one_hot(classes, count).float().T.contiguous())
        for index, (references, projection) in enumerate(features):
            self.register_buffer(f"references{index}", references.T.contiguous())
            self.register_buffer(f"projection{index}", projection)

    def forward(self, inputs: Tensor) -> Tensor:
        features, logits = self.tapped(inputs)
        same = self.membership[logits.argmax(1)]
        ratios = [self._ratio(one, same, index) for index, one in enumerate(features)]
        return torch.stack(ratios).mean(0)

    def _ratio(self, features: Tensor, same: Tensor, index: int) -> Tensor:
        references, projection = self.get_buffer(f"references{index}"), getattr(self, f"projection{index}")
        if projection is not None:
            features = features @ projection
        squares = (2 - 2 * nn.functional.normalize(features, dim=1) @ references).clamp(min=1e-6)
        # Four is the largest square of a distance there is: what is not meant is put beyond it.
        near = (squares + 8 * (1 - same)).topk(self.k, 1, largest=False).values[:, -1]
        far = (squares + 8 * same).topk(self.k, 1, largest=False).values[:, -1]
        return (near / far).sqrt()
