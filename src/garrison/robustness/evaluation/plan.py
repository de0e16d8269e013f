"""Which attacks are run, with which settings; what each effort means is in plans.json."""

import functools
import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from garrison.core.errors import UsageError
from garrison.core.robustness_card import Budget, Norm
from garrison.robustness import budgets
from garrison.robustness.attacks.attack import Attack
from garrison.robustness.classifier import Classifier
from garrison.robustness.data import Data, Kind
from garrison.robustness.evaluation.request import Effort, Request

_COUNTED = 50
"""Inputs that are attacked of a model whose queries are counted, since each costs hundreds of them."""


class Amounts(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """What an effort means."""

    samples: int
    attacks: tuple[str, ...]
    """With gradients, and then without."""
    settings: dict[str, dict[str, int | float]]
    """Of attacks, by their names, where they differ from the attack's own."""
    query_inputs: int
    """Inputs that attacks without gradients are tried on, on their own."""
    queries: int
    """For one of them."""
    text_queries: int
    """For one text."""
    stage_inputs: int
    """Inputs that other stages take."""
    table_queries: int
    """For one row of a table."""
    shadows: int
    extraction_queries: tuple[int, ...]


class _Plans(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    attacks: dict[str, str]
    """`module:Class`, by name."""
    budgets: dict[str, tuple[str, ...]]
    """What is usual, by kind of data."""
    efforts: dict[Effort, Amounts]


@functools.cache
def _plans() -> _Plans:
    return msgspec.json.decode(Path(__file__).with_name("plans.json").read_bytes(), type=_Plans)


@dataclass(frozen=True)
class Plan:
    """What is run."""

    budgets: tuple[Budget, ...]
    samples: int
    effort: Amounts
    attacks: dict[Norm, tuple[Attack, ...]]
    """For each norm of the budgets."""
    left_out: tuple[str, ...]
    """Attacks that need more of the model than it gives."""


def effort_of(request: Request) -> Amounts:
    """What the effort of a request means."""
    return _plans().efforts[request.effort]


def attack_names() -> tuple[str, ...]:
    """The attacks that can be asked for."""
    return tuple(_plans().attacks)


def budgets_of(request: Request, kind: Kind) -> tuple[Budget, ...]:
    """The budgets of a request, or what is usual for this kind of data; each once."""
    asked = request.budgets or tuple(budgets.parsed(text) for text in _plans().budgets[kind])
    found: list[Budget] = []
    for budget in asked:
        if not any(budgets.same(budget, one) for one in found):
            found.append(budget)
    return tuple(found)


def plan(data: Data, classifier: Classifier, request: Request) -> Plan:
    """What is run for a request. Raises `UsageError` for attacks that there are not, or not in a norm."""
    effort = effort_of(request)
    asked = budgets_of(request, data.kind)
    attacks: dict[Norm, tuple[Attack, ...]] = {}
    left_out: dict[str, None] = {}
    for norm in dict.fromkeys(budget.norm for budget in asked):
        chosen = []
        for name in dict.fromkeys(request.attacks or effort.attacks):
            attack = made(name, norm, effort.settings.get(name, {}), optional=not request.attacks)
            if attack is None:
                continue
            if attack.access == "labels" and not request.attacks and classifier.outputs != "labels":
                continue  # scores give more
            if _possible(attack, classifier):
                chosen.append(attack)
            else:
                left_out[f"{name} (it needs {attack.access})"] = None
        if not chosen:
            raise UsageError(f"no attack is left for {norm} on a model that gives {_gives(classifier)}")
        attacks[norm] = tuple(chosen)
    usual = min(effort.samples, _COUNTED) if classifier.counted else effort.samples
    return Plan(
        budgets=asked,
        samples=min(request.samples or usual, len(data)),
        effort=effort,
        attacks=attacks,
        left_out=tuple(left_out),
    )


def made(name: str, norm: Norm, settings: dict[str, Any], *, optional: bool = False) -> Attack | None:
    """An attack by its name; where it is `optional`, `None` if it has no such norm. Raises `UsageError`."""
    if name not in _plans().attacks:
        raise UsageError(f"{name!r} is no attack; there are {', '.join(attack_names())}")
    module, _, kind = _plans().attacks[name].partition(":")
    make = getattr(importlib.import_module(module), kind)
    if norm not in make.norms:
        if optional:
            return None
        raise UsageError(f"{name} attacks in {' and '.join(make.norms)}, not in {norm}")
    attack: Attack = make(**{"norm": norm} if len(make.norms) > 1 else {}, **settings)
    return attack


def _possible(attack: Attack, classifier: Classifier) -> bool:
    if attack.access == "gradients":
        return classifier.differentiable
    return attack.access == "labels" or classifier.outputs != "labels"


def _gives(classifier: Classifier) -> str:
    return "decisions only" if classifier.outputs == "labels" else "scores without gradients"
