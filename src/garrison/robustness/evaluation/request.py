"""What a card is asked for."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from garrison.core.errors import UsageError
from garrison.core.robustness_card import Budget
from garrison.robustness.data import Data

Effort = Literal["quick", "standard", "thorough"]
Part = Literal["evasion", "queries", "detection", "corruptions", "backdoor", "membership", "extraction", "inversion"]
EFFORTS: tuple[Effort, ...] = get_args(Effort)
PARTS: tuple[Part, ...] = get_args(Part)
_SEEDS = 1 << 32


@dataclass(frozen=True, eq=False)
class Request:
    """What to measure, and how much of it."""

    budgets: tuple[Budget, ...] = ()
    """What attackers may do, the most interesting first; without any, what is usual for the kind of data."""
    attacks: tuple[str, ...] = ()
    """Names of attacks, in their order; without any, those of the effort."""
    effort: Effort = "standard"
    samples: int | None = None
    """Inputs that are attacked; without a number, as many as the effort has."""
    parts: frozenset[Part] = frozenset(PARTS)
    members: Data | None = None
    """What the model was trained on, for membership inference."""
    detectors: tuple[str, ...] = ()
    """Directories of stored detectors, to be measured too."""
    attribute: str = ""
    """A column of a table that the model should not tell of, for attribute inference."""
    constraints: str = ""
    """A file of what may change in a table, and how."""
    seconds: float | None = 600.0
    """When time is over, what is under way is cut short and what is left is left out; the card says so."""
    seed: int = 0

    def __post_init__(self) -> None:
        if self.samples is not None and self.samples < 1:
            raise UsageError(f"{self.samples} inputs are none to attack")
        if not 0 <= self.seed < _SEEDS:
            raise UsageError(f"{self.seed} is no seed; there are 0 to {_SEEDS - 1:,}")
        if self.seconds is not None and not self.seconds > 0:
            raise UsageError(f"{self.seconds:g} seconds are no time to attack in")


def parts(names: Sequence[str]) -> frozenset[Part]:
    """Parts by their names. Raises `UsageError`."""
    for name in names:
        if name not in PARTS:
            raise UsageError(f"{name!r} is no part of a card; there are {', '.join(PARTS)}")
    return frozenset(part for part in PARTS if part in names)
