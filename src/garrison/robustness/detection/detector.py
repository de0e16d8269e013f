"""What every detector is: fitted with benign data, it scores inputs; calibrated, it flags them."""

import dataclasses
from collections.abc import Callable
from typing import ClassVar, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from garrison.core.errors import UsageError
from garrison.robustness.classifier import Classifier
from garrison.robustness.data import Data
from garrison.robustness.detection.calibration import Calibration, calibrated, flagged

Progress = Callable[[float], None]
"""Told which share of the work is done, from 0 to 1."""
BATCH = 256
Setting = bool | int | float | str | tuple[str, ...]


@runtime_checkable
class Recipe(Protocol):
    """A kind of detector with its settings: a frozen dataclass, whose fields are the settings."""

    kind: ClassVar[str]

    def fit(self, classifier: Classifier, data: Data, *, seed: int = 0, progress: Progress | None = None) -> "Detector":
        """A detector for what this classifier is given, from benign data.

        The same seed gives the same detector; global random state is neither read nor changed. Raises `UsageError`
        where the classifier or the data are nothing for this kind.
        """


@dataclasses.dataclass(eq=False)
class Detector:
    """A fitted detector."""

    kind: str
    module: nn.Module
    """(n, *shape) -> (n,) scores, higher for what is more suspicious; autograd passes through."""
    shape: tuple[int, ...]
    """Of one input."""
    settings: dict[str, Setting]
    fitted_with: int
    """Inputs that it was fitted with."""
    calibration: Calibration | None = None
    benign: NDArray[np.float32] | None = None
    """The scores that it was calibrated with, ascending."""

    @torch.no_grad()
    def score(self, inputs: NDArray[np.float32] | Tensor) -> NDArray[np.float32]:
        """Scores (n,) of inputs (n, *shape); NaN for inputs that are not finite."""
        given = inputs.float() if isinstance(inputs, Tensor) else torch.tensor(inputs, dtype=torch.float32)
        if given.shape[1:] != self.shape:
            raise UsageError(f"inputs of shape {tuple(given.shape[1:])}, where the detector takes {self.shape}")
        parts = [self.module(batch) for batch in torch.split(given, BATCH)] if len(given) else []
        scores = torch.cat(parts) if parts else torch.empty(0)
        scores[~given.flatten(1).isfinite().all(1)] = torch.nan
        return scores.cpu().numpy()

    def calibrate(self, benign: NDArray[np.float32] | Tensor, false_positives: float) -> Calibration:
        """Choose the threshold from benign inputs that it was not fitted with. Raises `UsageError`."""
        scores = self.score(benign)
        self.calibration = calibrated(scores, false_positives)
        self.benign = np.sort(scores)
        return self.calibration

    def flag(self, inputs: NDArray[np.float32] | Tensor) -> NDArray[np.bool_]:
        """Which inputs are beyond the threshold. Raises `UsageError` for a detector that is not calibrated."""
        if self.calibration is None:
            raise UsageError("the detector has no threshold yet; calibrate it with benign inputs first")
        return flagged(self.score(inputs), self.calibration.threshold)


def fitted(recipe: Recipe, module: nn.Module, inputs: Tensor, **found: Setting) -> Detector:
    """The detector of a recipe; `found` are settings as fitting resolved them."""
    assert dataclasses.is_dataclass(recipe)
    settings: dict[str, Setting] = {
        field.name: getattr(recipe, field.name) for field in dataclasses.fields(recipe)
    } | found
    for parameter in module.parameters():
        parameter.requires_grad_(False)
    return Detector(
        kind=recipe.kind,
        module=module,
        shape=tuple(inputs.shape[1:]),
        settings=settings,
        fitted_with=len(inputs),
    )


def benign(classifier: Classifier, data: Data, *, least: int = 2) -> tuple[Tensor, Tensor]:
    """The inputs of the data that the classifier decides rightly, (n, *shape) float32, with their labels (n,).

    Raises `UsageError` for data that no detector can be fitted with.
    """
    if data.kind == "text" or not isinstance(data.inputs, np.ndarray):
        raise UsageError(f"{data.name or 'the data'}: detectors take numbers, and this is text")
    inputs = torch.tensor(np.asarray(data.inputs, dtype=np.float32))
    labels = torch.tensor(np.asarray(data.labels, dtype=np.int64))
    if not inputs.isfinite().all():
        raise UsageError(f"{data.name or 'the data'}: has numbers that are not finite")
    if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < classifier.classes:
        raise UsageError(
            f"{data.name or 'the data'}: labels from {int(labels.min())} to {int(labels.max())}, where the model has "
            f"{classifier.classes} classes, counted from 0"
        )
    decided = [classifier.labels(batch.to(classifier.device)).cpu() for batch in torch.split(inputs, BATCH)]
    right = torch.cat(decided) == labels if decided else torch.zeros(0, dtype=torch.bool)
    if int(right.sum()) < least:
        raise UsageError(
            f"{data.name or 'the data'}: the model is right about {int(right.sum()):,} of {len(labels):,} inputs, and "
            f"the detector takes {least:,}; check that the labels are the model's"
        )
    return inputs[right].to(classifier.device), labels[right].to(classifier.device)


def sample(inputs: Tensor, labels: Tensor, most: int, seed: int) -> tuple[Tensor, Tensor]:
    """At most so many of the inputs, chosen at random, in random order."""
    chosen = torch.randperm(len(inputs), generator=torch.Generator().manual_seed(seed))[:most].to(inputs.device)
    return inputs[chosen], labels[chosen]
