"""Several views of an input at once, as surprising together as benign data say.

Each view's score is turned into minus the log of the share of benign inputs that score as high, and these are added
(Fisher 1932). The views are not independent, so the sum is no chi-square; it needs not be, since it is calibrated like
any other score. An attack has to pass all of them at once, and no view that is blind to an attack hides it from the
others.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from garrison.robustness.classifier import Classifier
from garrison.robustness.data import Data
from garrison.robustness.detection.autoencoder import Autoencoder
from garrison.robustness.detection.detector import Detector, Progress, Recipe, benign, fitted, sample
from garrison.robustness.detection.distillation import Distillation
from garrison.robustness.detection.ensemble import Ensemble
from garrison.robustness.detection.neighbours import Neighbours
from garrison.robustness.detection.squeezing import Squeezing

_HELD = 0.2
"""Of the benign data, so much is kept from the views, to see how they score what they do not know."""
_SHARES = (0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.15, 0.1, 0.07, 0.05, 0.035, 0.025, 0.015, 0.01)
"""At which shares of benign inputs above it a score is looked up; between and beyond them the log is linear."""


@dataclass(frozen=True)
class Combination:
    """Adds what the `views` say; their own settings are the usual ones."""

    kind: ClassVar[str] = "combination"
    views: tuple[str, ...] = ("neighbours", "distillation", "autoencoder", "squeezing")

    def fit(self, classifier: Classifier, data: Data, *, seed: int = 0, progress: Progress | None = None) -> Detector:
        """Fit every view on four fifths of the benign data, and see how they score the last."""
        inputs, labels = benign(classifier, data, least=20)
        inputs, labels = sample(inputs, labels, len(inputs), seed)
        known = len(inputs) - int(_HELD * len(inputs))
        part = Data(inputs[:known].cpu().numpy(), labels[:known].cpu().numpy(), data.kind, name=data.name)
        fits = []
        for done, name in enumerate(self.views):
            told = _share_of(progress, done, len(self.views))
            fits.append(_RECIPES[name]().fit(classifier, part, seed=seed, progress=told))
        unknown = inputs[known:]
        surprises = [Surprise(one.score(unknown).astype(np.float64)) for one in fits]
        return fitted(self, Together([one.module for one in fits], surprises), inputs)


_RECIPES: dict[str, type[Recipe]] = {
    recipe.kind: recipe for recipe in (Autoencoder, Distillation, Ensemble, Neighbours, Squeezing)
}


def _share_of(progress: Progress | None, done: int, parts: int) -> Progress | None:
    return progress and (lambda share: progress((done + share) / parts))


class Together(nn.Module):
    """The sum over views of how surprising their scores are."""

    def __init__(self, views: list[nn.Module], surprises: "list[Surprise]") -> None:
        super().__init__()
        self.views = nn.ModuleList(views)
        self.surprises = nn.ModuleList(surprises)

    def forward(self, inputs: Tensor) -> Tensor:
        told = [surprise(view(inputs)) for view, surprise in zip(self.views, self.surprises, strict=True)]
        return torch.stack(told).sum(0)


class Surprise(nn.Module):
    """Minus the log of the share of benign scores as high, in straight pieces, so that gradients pass."""

    knots: Tensor
    slopes: Tensor
    widths: Tensor

    def __init__(self, scores: NDArray[np.float64]) -> None:
        super().__init__()
        knots = np.quantile(scores, [1 - share for share in _SHARES])
        # Quantiles that coincide would be a step; the width of a rounding error makes it a slope.
        least = max(float(np.ptp(scores)), 1.0) * 1e-6
        for index in range(1, len(knots)):
            knots[index] = max(knots[index], knots[index - 1] + least)
        slopes = np.diff(-np.log(_SHARES)) / np.diff(knots)
        self.register_buffer("knots", torch.from_numpy(knots).float())
        self.register_buffer("slopes", torch.from_numpy(np.append(slopes, slopes[-1])).float())
        self.register_buffer("widths", torch.from_numpy(np.append(np.diff(knots), 1e30)).float())

    def forward(self, scores: Tensor) -> Tensor:
        return (torch.minimum((scores.unsqueeze(1) - self.knots).clamp(min=0), self.widths) * self.slopes).sum(1)
