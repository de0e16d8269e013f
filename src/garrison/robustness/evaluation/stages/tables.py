"""Rows of a table, changed within constraints."""

import dataclasses

import numpy as np

from garrison.core.robustness_card import Evasion
from garrison.robustness.data import Data
from garrison.robustness.evaluation.stages.stage import Partial
from garrison.robustness.evaluation.working import UNASKED, Working
from garrison.robustness.tabular import constraints
from garrison.robustness.tabular.drafting import draft
from garrison.robustness.tabular.evasion import attack

_PICTURES = 8


def applies(working: Working) -> str:
    return "" if working.data.kind == "table" else UNASKED


def run(working: Working, partial: Partial) -> None:
    """Fill the card's evasion within constraints, with its curves, slices and pictures."""
    given = working.request.constraints
    document = constraints.read(given) if given else constraints.parse(draft(working.data))
    if not given:
        working.notes.append(
            "No constraints were given: every feature may change within its range in the data, at a cost that goes "
            "by how much it varies there. Say with --constraints what an attacker really can change."
        )
    rows = _rows(working.data, working.order.numpy())
    found = attack(
        working.classifier,
        rows,
        constraints.Constraints(document, working.data),
        queries=working.plan.effort.table_queries,
        seed=working.request.seed,
        progress=working.clock.told,
        deadline=working.clock.deadline(1.0),
    )
    results = found.results()
    working.add(
        "evasion",
        [
            Evasion(
                budget=None,
                robust_accuracy=results[-1].robust_accuracy,
                worst_attack=max(results, key=lambda row: row.success.count).attack,
                attacks=results,
            )
        ],
    )
    working.add("curves", found.curves())
    working.add("slices", found.slices())
    working.add("pictures", found.pictures(_PICTURES))
    working.notes += found.notes()


def _rows(data: Data, places: "np.ndarray[tuple[int], np.dtype[np.int64]]") -> Data:
    """Some rows of the data."""
    assert isinstance(data.inputs, np.ndarray)
    return dataclasses.replace(
        data,
        inputs=data.inputs[places],
        labels=data.labels[places],
        groups={name: values[places] for name, values in data.groups.items()},
    )
