"""What the stages of a measurement share: the model, the data, and what was found so far."""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec.structs
from torch import Tensor

from garrison.core.report import Tool
from garrison.core.robustness_card import CARD_VERSION, Card, Dataset, Model, Norm, Omitted, Rate
from garrison.robustness.classifier import Classifier
from garrison.robustness.data import Data
from garrison.robustness.evaluation.advice import advice
from garrison.robustness.evaluation.clock import Clock
from garrison.robustness.evaluation.evasion import Evaded
from garrison.robustness.evaluation.plan import Plan
from garrison.robustness.evaluation.request import Request

UNASKED = "unasked"
"""A stage that is not for this kind of data, so that nobody misses it."""


@dataclass(eq=False)
class Working:
    """What stages work on, and what they found so far."""

    classifier: Classifier
    model: object
    """What the classifier was made of, for who trains others like it."""
    described: Model
    data: Data
    request: Request
    plan: Plan
    clock: Clock
    inputs: Tensor
    """(n, *shape): those that are attacked, in a random order."""
    labels: Tensor
    order: Tensor
    """(n,): where they stand in the data."""
    started: datetime.datetime
    clean: Rate
    measured: Tensor
    """(m,): where the inputs that the accuracy was measured on stand in the data."""
    correct: Tensor
    """(m,) bool."""
    parts: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    """Parts of the card, by the names of its fields."""
    evaded: dict[Norm, Evaded] = field(default_factory=dict)
    """By norm."""
    notes: list[str] = field(default_factory=list)
    command: tuple[str, ...] = ()
    failed: bool = False
    """Whether a stage failed in a way that nobody foresaw, so that the card is never complete."""

    def add(self, name: str, found: Sequence[Any]) -> None:
        """Add to a part of the card."""
        self.parts[name] = (*self.parts.get(name, ()), *found)

    def omit(self, what: str, why: str) -> None:
        self.add("omitted", [Omitted(what=what, why=why)])

    def card(self, *, complete: bool) -> Card:
        """The card as far as it is known."""
        from garrison import __version__

        card = Card(
            card_version=CARD_VERSION,
            tool=Tool(name="garrison", version=__version__),
            started=self.started,
            seconds=round(self.clock.elapsed, 3),
            command=self.command,
            seed=self.request.seed,
            complete=complete and not self.failed,
            model=self.described,
            data=Dataset(
                name=self.data.name,
                kind=self.data.kind,
                sha256=self.data.sha256,
                count=len(self.data),
                used=self.clean.of,
                shape=tuple(self.inputs.shape[1:]),
                low=_number(self.classifier.low),
                high=_number(self.classifier.high),
            ),
            clean_accuracy=self.clean,
            notes=tuple(self.notes),
            **self.parts,
        )
        return card if not complete else _advised(card)


def _number(bound: float | Tensor) -> float | None:
    return bound if isinstance(bound, float) else None


def _advised(card: Card) -> Card:
    return msgspec.structs.replace(card, advice=advice(card))
