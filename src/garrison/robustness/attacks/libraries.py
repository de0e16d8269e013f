"""Attacks of other libraries in the terms of this one: judged, counted and kept to their budgets by the same rules.

    FoolboxAttack(foolbox.attacks.LinfPGD(steps=40), norm="linf")
    ArtAttack(lambda model, epsilon: ProjectedGradientDescent(model, eps=epsilon, ...), norm="linf")

Neither library is needed unless its adapter is used (`pip install foolbox`, `adversarial-robustness-toolbox`).
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from garrison.core.errors import UsageError
from garrison.core.robustness_card import Access, Norm
from garrison.robustness.attacks.attack import TOLERANCE, Outcome, Progress
from garrison.robustness.attacks.checked import check
from garrison.robustness.classifier import Classifier
from garrison.robustness.distances import distance


@dataclass(frozen=True)
class FoolboxAttack:
    """An attack of foolbox 3 (Rauber et al. 2020), with its settings; `norm` is the one that it measures budgets in."""

    attack: Any
    """An instance of `foolbox.attacks.base.Attack`."""
    norm: Norm

    name: ClassVar[str] = "foolbox"
    access: ClassVar[Access] = "gradients"

    def __call__(
        self,
        classifier: Classifier,
        inputs: Tensor,
        labels: Tensor,
        epsilons: Sequence[float],
        *,
        seed: int,
        progress: Progress | None = None,
    ) -> Outcome:
        """As `Attack` says; passes are counted in equal shares, since the library does not say whose they were."""
        try:
            from foolbox.models.pytorch import PyTorchModel  # type: ignore[import-untyped,unused-ignore]
        except ImportError:
            raise UsageError("this attack is foolbox's: pip install foolbox") from None
        check(self.name, self.access, classifier, inputs, labels, epsilons)
        budgets = tuple(sorted(set(epsilons)))
        counting = _Counting(classifier)
        with _own_randomness(seed):
            model = PyTorchModel(counting, bounds=_bounds(classifier), device=str(classifier.device))
            _, points, _ = self.attack(model, inputs, labels, epsilons=list(budgets))
        return _judged(self.norm, counting, inputs, labels, budgets, torch.stack(list(points)).detach())


@dataclass(frozen=True)
class ArtAttack:
    """An attack of the Adversarial Robustness Toolbox 1.20 (Nicolae et al. 2018)."""

    make: Callable[[Any, float], Any]
    """From ART's classifier and an epsilon to an attack with `generate`; attacks without a budget may ignore it."""
    norm: Norm

    name: ClassVar[str] = "art"
    access: ClassVar[Access] = "gradients"

    def __call__(
        self,
        classifier: Classifier,
        inputs: Tensor,
        labels: Tensor,
        epsilons: Sequence[float],
        *,
        seed: int,
        progress: Progress | None = None,
    ) -> Outcome:
        """As `Attack` says; passes are counted in equal shares, since the library does not say whose they were."""
        try:
            from art.estimators.classification import (  # type: ignore[import-untyped,unused-ignore]
                PyTorchClassifier,
            )
        except ImportError:
            raise UsageError("this attack is ART's: pip install adversarial-robustness-toolbox") from None
        check(self.name, self.access, classifier, inputs, labels, epsilons)
        budgets = tuple(sorted(set(epsilons)))
        counting = _Counting(classifier)
        given, wanted = inputs.detach().cpu().numpy(), labels.cpu().numpy()
        found = []
        with _own_randomness(seed):
            model = PyTorchClassifier(
                counting,
                nn.CrossEntropyLoss(),
                tuple(inputs.shape[1:]),
                classifier.classes,
                clip_values=_bounds(classifier),
                device_type="gpu" if classifier.device.type == "cuda" else "cpu",
            )
            for number, epsilon in enumerate(budgets):
                points = self.make(model, epsilon).generate(given, wanted)
                found.append(torch.from_numpy(np.asarray(points, np.float32)).to(inputs.device))
                if progress is not None:
                    progress((number + 1) / len(budgets))
        return _judged(self.norm, counting, inputs, labels, budgets, torch.stack(found))


class _Counting(nn.Module):
    """A classifier as a module, which counts passes."""

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.classifier = classifier
        self.forwards = 0
        self.backwards = 0
        self.eval()

    def forward(self, inputs: Tensor) -> Tensor:
        self.forwards += len(inputs)
        scores = self.classifier(inputs)
        if inputs.requires_grad:
            self.backwards += len(inputs)
        return scores


def _bounds(classifier: Classifier) -> tuple[float, float]:
    if isinstance(classifier.low, Tensor) or isinstance(classifier.high, Tensor):
        raise UsageError("other libraries take one range for all features, and this model has one for each")
    return classifier.low, classifier.high


@contextlib.contextmanager
def _own_randomness(seed: int) -> Iterator[None]:
    """Both libraries draw from the global state: give them one of their own, and put back what was there."""
    state = np.random.get_state()
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        np.random.seed(seed % 2**32)
        try:
            yield
        finally:
            np.random.set_state(state)


def _judged(
    norm: Norm, counting: _Counting, inputs: Tensor, labels: Tensor, budgets: tuple[float, ...], points: Tensor
) -> Outcome:
    """What counts of the points (E, n, *shape) of a library: within budget and bounds, and decided otherwise."""
    classifier, count = counting.classifier, max(1, len(inputs))
    queries = torch.full((len(inputs),), -(-counting.forwards // count), device=inputs.device)
    gradients = torch.full((len(inputs),), -(-counting.backwards // count), device=inputs.device)
    before = classifier.labels(inputs) != labels
    success = torch.zeros(len(budgets), len(inputs), dtype=torch.bool, device=inputs.device)
    adversarial = inputs.repeat(len(budgets), *[1] * inputs.dim())
    for place, epsilon in enumerate(budgets):
        moved = classifier.clip(points[place])
        within = distance(norm, moved - inputs) <= epsilon * (1 + TOLERANCE)
        good = ~before & within & (classifier.labels(moved) != labels)
        adversarial[place, good], success[place] = moved[good], good | before
        if place:  # what a smaller budget allows, a larger one does
            kept = success[place - 1] & ~success[place]
            adversarial[place, kept] = adversarial[place - 1, kept]
            success[place] |= kept
    found_after = torch.where(success, torch.where(before, 1, queries), -1)
    return Outcome(budgets, adversarial, success, queries, gradients, found_after)
