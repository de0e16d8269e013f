"""What every attack is and returns."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import ClassVar, Protocol, runtime_checkable

import torch
from torch import Tensor

from garrison.core.robustness_card import Access, Norm
from garrison.robustness.classifier import Classifier

Progress = Callable[[float], None]
"""Told which share of the work is done, from 0 to 1."""

TOLERANCE = 1e-5
"""How far beyond a budget rounding of float32 may lead, as a share of it."""


@dataclasses.dataclass(eq=False)
class Outcome:
    """What an attack found for each budget. E budgets, n inputs."""

    epsilons: tuple[float, ...]
    """Ascending."""
    adversarial: Tensor
    """(E, n, *shape): within the budget and the bounds; the input itself where nothing was found."""
    success: Tensor
    """(E, n) bool: the model decides differently from the label; what succeeds, succeeds under larger budgets too."""
    queries: Tensor
    """(n,) int64: forward passes that were spent on each input."""
    gradients: Tensor
    """(n,) int64: backward passes that were spent on each input."""
    found_after: Tensor
    """(E, n) int64: forward passes until it was found, -1 where it was not."""
    incomplete: str = ""
    """Why not all was tried."""

    def to(self, device: torch.device) -> "Outcome":
        """The same, on a device."""
        return dataclasses.replace(
            self,
            adversarial=self.adversarial.to(device),
            success=self.success.to(device),
            queries=self.queries.to(device),
            gradients=self.gradients.to(device),
            found_after=self.found_after.to(device),
        )


@runtime_checkable
class Attack(Protocol):
    """An attack with its settings: a frozen dataclass, whose fields are the settings."""

    name: ClassVar[str]
    access: ClassVar[Access]
    """What it needs of the model."""
    norms: ClassVar[tuple[Norm, ...]]
    """Those that it attacks in."""

    @property
    def norm(self) -> Norm:
        """The norm that its budgets are measured in."""

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
        """Attack `inputs` (n, *shape) with their true `labels` (n,), under each of `epsilons`, in whatever order.

        Inputs that are misclassified already succeed unchanged. An input that was found under a budget is not
        attacked any more under larger ones. The same seed gives the same outcome; global random state is neither
        read nor changed. Inputs and labels are not changed.
        """


def generator(seed: int, device: torch.device) -> torch.Generator:
    """Random numbers of their own."""
    return torch.Generator(device).manual_seed(seed)


def settings(attack: Attack) -> dict[str, bool | int | float | str]:
    """The settings of an attack, for the card."""
    assert dataclasses.is_dataclass(attack)
    found = {field.name: getattr(attack, field.name) for field in dataclasses.fields(attack)}
    return {name: value for name, value in found.items() if isinstance(value, bool | int | float | str)}
