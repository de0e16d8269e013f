"""Randomised smoothing: decisions that provably stay the same within a radius (Cohen et al. 2019)."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import stats  # type: ignore[import-untyped,unused-ignore]
from torch import Tensor, nn

from garrison.core.errors import UsageError
from garrison.core.robustness_card import Budget, Curve, Point, rate
from garrison.robustness.attacks.attack import Attack, Progress, generator
from garrison.robustness.classifier import Classifier, of_module
from garrison.robustness.hardening.hardened import (
    Hardened,
    Measured,
    attacks_for,
    checked,
    frozen_copy,
    measured,
)
from garrison.robustness.hardening.objectives import Noisy
from garrison.robustness.hardening.recipe import Recipe
from garrison.robustness.hardening.training import split, trained

ABSTAINED = -1
"""In place of a label, where the votes are too close."""


@dataclass(frozen=True, eq=False)
class Certificates:
    """What a smoothed classifier guarantees for n inputs, each with the probability `1 - alpha`."""

    labels: Tensor
    """(n,) int64: decisions, `ABSTAINED` where there is none."""
    radii: Tensor
    """(n,) float64: no input within this L2 distance is decided otherwise; 0 where it abstained."""
    alpha: float

    def accuracy(self, labels: Tensor, radii: Sequence[float]) -> Curve:
        """Certified accuracy: the share that is decided right, provably also anywhere within each radius."""
        right = self.labels == labels.to(self.labels.device)
        rates = [(radius, rate(int((right & (self.radii >= radius)).sum()), len(labels))) for radius in radii]
        points = tuple(Point(x=radius, y=one.value, low=one.low, high=one.high) for radius, one in rates)
        return Curve(name="certified accuracy", x="L2 radius", y="certified accuracy", points=points)


@dataclass(frozen=True, eq=False)
class SmoothedClassifier:
    """Decides what a classifier decides for most of an input's neighbours under Gaussian noise."""

    base: Classifier
    """Sees noisy inputs, which leave its bounds: they are not clipped, since that would void the guarantee."""
    sigma: float
    """Standard deviation of the noise, in the units of the inputs."""
    at_once: int = 1000
    """Noisy inputs in a batch."""

    def __post_init__(self) -> None:
        if not self.sigma > 0:
            raise UsageError("sigma has to be positive")

    def predict(self, inputs: Tensor, *, samples: int = 100, alpha: float = 0.001, seed: int) -> Tensor:
        """Decisions (n,), `ABSTAINED` where the two best classes cannot be told apart at level `alpha`.

        With probability at least `1 - alpha` a decision is that of the smoothed classifier (PREDICT, section 3.2.1).
        """
        decided = []
        for counts in self._counts(inputs, samples, generator(seed, inputs.device)):
            first, second = np.sort(counts)[::-1][:2]
            sure = stats.binomtest(int(first), int(first + second), 0.5).pvalue <= alpha
            decided.append(int(counts.argmax()) if sure else ABSTAINED)
        return torch.tensor(decided, dtype=torch.int64, device=inputs.device)

    def certify(
        self, inputs: Tensor, *, selection: int = 100, samples: int = 1000, alpha: float = 0.001, seed: int
    ) -> Certificates:
        """Decisions with the radius in which they hold (CERTIFY, section 3.2.2).

        `selection` noisy copies propose the class and `samples` others bound its probability from below, by Clopper
        and Pearson's exact interval. The more samples, the larger the radius that can be certified: 1,000 at 0.001
        end at 2.5 sigma, 100,000 at 3.8.
        """
        noise = generator(seed, inputs.device)
        proposals = [int(counts.argmax()) for counts in self._counts(inputs, selection, noise)]
        labels, radii = [], []
        for proposal, counts in zip(proposals, self._counts(inputs, samples, noise), strict=True):
            hits = int(counts[proposal])
            lower = float(stats.beta.ppf(alpha, hits, samples - hits + 1)) if hits else 0.0
            labels.append(proposal if lower > 0.5 else ABSTAINED)
            radii.append(self.sigma * float(stats.norm.ppf(lower)) if lower > 0.5 else 0.0)
        device = inputs.device
        distances = torch.tensor(radii, dtype=torch.float64, device=device)
        return Certificates(torch.tensor(labels, device=device), distances, alpha)

    def _counts(self, inputs: Tensor, samples: int, noise: torch.Generator) -> list[NDArray[np.int64]]:
        """How often each class is decided for noisy copies of each input."""
        if samples < 1:
            raise UsageError("smoothing takes at least one sample")
        found = []
        for one in inputs:
            counts = np.zeros(self.base.classes, np.int64)
            for start in range(0, samples, self.at_once):
                shape = (min(self.at_once, samples - start), *one.shape)
                noisy = one + self.sigma * torch.randn(shape, generator=noise, device=one.device)
                counts += np.bincount(self.base.labels(noisy).cpu().numpy(), minlength=self.base.classes)
            found.append(counts)
        return found


@dataclass(frozen=True, eq=False, kw_only=True)
class Smoothed(Hardened):
    """A model trained under noise, and what its smoothed decisions guarantee.

    Before is an upper bound, the accuracy under an attack; after is a lower bound, the certified accuracy.
    """

    smoothed: SmoothedClassifier
    certified: Curve


def smooth(
    model: nn.Module,
    inputs: Tensor,
    labels: Tensor,
    *,
    sigma: float,
    budget: Budget,
    classes: int,
    test: tuple[Tensor, Tensor],
    seed: int,
    samples: int = 1000,
    alpha: float = 0.001,
    recipe: Recipe | None = None,
    low: float = 0.0,
    high: float = 1.0,
    attacks: Sequence[Attack] | None = None,
    checkpoint: Path | None = None,
    progress: Progress | None = None,
) -> Smoothed:
    """Train a copy of the model under Gaussian noise, smooth its decisions, and certify them on `test`.

    `budget` is the L2 radius that before and after are compared at. Each decision of the smoothed classifier costs
    many of the model's: `samples` here. Raises `UsageError` for other norms.
    """
    if budget.norm != "l2":
        raise UsageError(f"smoothing with Gaussian noise certifies l2, not {budget.norm}")
    checked(inputs, labels, classes, low, high, "training data")
    checked(*test, classes, low, high, "test data")
    chosen, recipe = attacks_for(budget, attacks), recipe or Recipe()
    original = frozen_copy(model)
    sets = split(inputs, labels, recipe, seed)
    hardened, log = trained(model, sets, Noisy(sigma), recipe, seed=seed, checkpoint=checkpoint, progress=progress)
    smoothed = SmoothedClassifier(of_module(hardened, classes, low=low, high=high), sigma)
    device = smoothed.base.device
    test_inputs, test_labels = test[0].to(device), test[1].to(device)
    certificates = smoothed.certify(test_inputs, samples=samples, alpha=alpha, seed=seed)
    right = certificates.labels == test_labels
    held = right & (certificates.radii >= budget.epsilon)
    count = len(test_labels)
    return Smoothed(
        hardened,
        original,
        classes,
        low,
        high,
        measured(of_module(original, classes, low=low, high=high), *test, budget, attacks=chosen, seed=seed),
        Measured(rate(int(right.sum()), count), rate(int(held.sum()), count), budget, "certified"),
        log,
        smoothed=smoothed,
        certified=certificates.accuracy(test_labels, [step * sigma / 4 for step in range(13)]),
    )
