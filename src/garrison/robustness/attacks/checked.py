"""What is checked before any attack begins: its settings, the model, and what it is to attack."""

import dataclasses
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from garrison.core.errors import UsageError
from garrison.core.robustness_card import Access, Norm
from garrison.robustness.attacks.attack import Outcome, Progress
from garrison.robustness.classifier import Classifier


class CheckedAttack(ABC):
    """What an `Attack` inherits from, itself a frozen dataclass whose fields are the settings."""

    name: ClassVar[str]
    access: ClassVar[Access]
    norms: ClassVar[tuple[Norm, ...]]
    """Those that it attacks in."""
    may_be_zero: ClassVar[tuple[str, ...]] = ()
    """Settings for which 0 means something; the others are above it."""

    @property
    @abstractmethod
    def norm(self) -> Norm:
        """The norm that its budgets are measured in."""

    def __post_init__(self) -> None:
        """Raises `UsageError` for a norm that it does not attack in, and for numbers that mean nothing."""
        if self.norm not in self.norms:
            raise UsageError(f"{self.name} attacks in {', '.join(self.norms)}, not in {self.norm}")
        assert dataclasses.is_dataclass(self)
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if not isinstance(value, int | float) or isinstance(value, bool):
                continue
            if not 0 <= value < math.inf or (value == 0 and field.name not in self.may_be_zero):
                raise UsageError(f"{self.name}: {field.name} is {value}; it must be above 0")

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
        """As `Attack` says. Raises `UsageError` for inputs, labels, budgets or a model that it can't attack."""
        budgets = tuple(sorted(set(epsilons)))
        check(self.name, self.access, classifier, inputs, labels, budgets)
        outcome = self._attacked(
            classifier,
            inputs.detach().to(classifier.device, torch.float32),
            labels.to(classifier.device, torch.int64),
            budgets,
            seed,
            progress or _untold,
        )
        return outcome.to(inputs.device)

    @abstractmethod
    def _attacked(
        self,
        classifier: Classifier,
        inputs: Tensor,
        labels: Tensor,
        epsilons: tuple[float, ...],
        seed: int,
        progress: Progress,
    ) -> Outcome:
        """The outcome, after all was checked: float32 on the classifier's device, and budgets in ascending order."""


def _untold(share: float) -> None:
    """Where nobody wants to know."""


def check(
    name: str, access: Access, classifier: Classifier, inputs: Tensor, labels: Tensor, epsilons: Sequence[float]
) -> None:
    """Raise `UsageError` for what an attack of this `name`, which needs this `access`, can't attack."""
    decisions = classifier.outputs == "labels"
    if access == "gradients" and (decisions or not classifier.differentiable):
        raise UsageError(f"{name} needs gradients, and the model gives none: attack it through its scores or labels")
    if access == "scores" and decisions:
        raise UsageError(f"{name} needs scores, and the model gives decisions only: use HopSkipJump")
    if classifier.classes < 2:
        raise UsageError(f"{name} needs a model of two classes or more")
    if not epsilons or not all(0 <= epsilon < math.inf for epsilon in epsilons):
        raise UsageError(f"{name} needs budgets, each a finite number of 0 or more, not {list(epsilons)}")
    if not inputs.is_floating_point() or inputs.dim() < 2:
        raise UsageError(f"inputs are {inputs.dtype} {tuple(inputs.shape)}; give floats of shape (n, ...)")
    if labels.shape != inputs.shape[:1] or labels.is_floating_point():
        raise UsageError(f"labels are {labels.dtype} {tuple(labels.shape)}; give integers of shape ({len(inputs)},)")
    if not bool(inputs.isfinite().all()):
        raise UsageError("inputs hold NaN or infinity: remove those rows, or fill them in")
    if not bool((classifier.clip(inputs) - inputs).abs().le(1e-6).all()):
        raise UsageError("inputs leave the bounds of the model: give the bounds that its inputs have, or scale them")
    if not bool(((labels >= 0) & (labels < classifier.classes)).all()):
        raise UsageError(f"labels are not all from 0 to {classifier.classes - 1}")
