"""Mahalanobis: how far features are from the nearest class, in the metric of all classes (Lee et al. 2018, NeurIPS).

Means for each class and one covariance for all, shrunk (Ledoit and Wolf 2004) so that it can be inverted. Where there
are several layers their distances are added, each divided by what it is on average for benign inputs; the paper
weighs them by a regression on adversarial inputs, which a defender would have to foresee.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from garrison.robustness.classifier import Classifier
from garrison.robustness.data import Data
from garrison.robustness.detection.detector import BATCH, Detector, Progress, benign, fitted
from garrison.robustness.detection.features import PENULTIMATE, Logits, Tapped, resolved


@dataclass(frozen=True)
class Mahalanobis:
    """Distances at `layers`, by name."""

    kind: ClassVar[str] = "mahalanobis"
    layers: tuple[str, ...] = (PENULTIMATE,)

    def fit(self, classifier: Classifier, data: Data, *, seed: int = 0, progress: Progress | None = None) -> Detector:
        """Estimate means and covariance from the benign data."""
        inputs, labels = benign(classifier, data, least=2 * classifier.classes)
        logits = Logits(classifier)
        layers = resolved(logits, self.layers, inputs[:2])
        tapped = Tapped(logits, layers)
        distances = [_Distance(features, labels) for features in collected(tapped, inputs)]
        return fitted(self, Nearest(tapped, distances), inputs, layers=layers)


class Nearest(nn.Module):
    """The sum over layers of the distance to the nearest class."""

    def __init__(self, tapped: Tapped, distances: "list[_Distance]") -> None:
        super().__init__()
        self.tapped = tapped
        self.distances = nn.ModuleList(distances)

    def forward(self, inputs: Tensor) -> Tensor:
        features, _ = self.tapped(inputs)
        return torch.stack([distance(one) for distance, one in zip(self.distances, features, strict=True)]).sum(0)


class _Distance(nn.Module):
    """Squared distance of features (n, d) to the nearest class mean, over its mean for benign inputs."""

    whitening: Tensor
    means: Tensor

    def __init__(self, features: Tensor, labels: Tensor) -> None:
        super().__init__()
        from sklearn.covariance import ledoit_wolf  # type: ignore[import-untyped,unused-ignore]

        present = torch.unique(labels)
        means = torch.stack([features[labels == one].mean(0) for one in present])
        centred = features - means[torch.searchsorted(present, labels)]
        covariance = torch.from_numpy(ledoit_wolf(centred.double().cpu().numpy(), assume_centered=True)[0])
        values, vectors = torch.linalg.eigh(covariance)
        whitening = vectors * values.clamp(min=values.max() * 1e-9 + 1e-30).rsqrt()
        self.register_buffer("whitening", whitening.float().to(features.device))
        self.register_buffer("means", means @ self.whitening)
        self.scale = 1.0
        self.scale = self(features).mean().item() or 1.0

    def forward(self, features: Tensor) -> Tensor:
        white = features @ self.whitening
        return (white.unsqueeze(1) - self.means).square().sum(2).amin(1) / self.scale


@torch.no_grad()
def collected(tapped: Tapped, inputs: Tensor) -> list[Tensor]:
    """Features of all inputs, for each layer (n, d)."""
    parts = [tapped(batch)[0] for batch in torch.split(inputs, BATCH)]
    return [torch.cat(layer) for layer in zip(*parts, strict=True)]
