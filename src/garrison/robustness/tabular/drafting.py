"""A first file of constraints, from data: what the numbers say, for a person to finish."""

import json
import re

import numpy as np

from garrison.robustness.data import Data
from garrison.robustness.tabular.constraints import Matrix, features_of, matrix_of

_SEPARATOR = re.compile(r"[=_:.|/ -]")
_PER_CHANGE = "cost_per_change = 1.0"


def draft(data: Data) -> str:
    """Constraints as TOML: ranges as seen, whole numbers, one-hot groups, and a standard deviation at a cost of 1.

    What data cannot say is left to the reader in comments: what nobody can change, what only grows, which features
    follow from others, how much an attacker would spend. Raises `UsageError` for data that are no table.
    """
    names, rows = features_of(data), matrix_of(data)
    groups = _groups(names, rows)
    grouped = {name for members in groups.values() for name in members}
    lines = [
        f"# Drafted from {_one_line(data.name) or 'data'}, {len(rows):,} rows. What they cannot say is yours to add:",
        "# immutable = true for what nobody can change, direction for what only grows or shrinks, a formula for what",
        "# follows from other features, rules that hold between them, and what an attacker would spend:",
        "# cost_budget = 3.0",
        "# rules = []",
    ]
    for column, name in enumerate(names):
        if name not in grouped:
            lines += ["", f"[features.{_key(name)}]"]
            if categories := data.categories.get(name):
                lines += [f"values = {list(range(len(categories)))}  # {_one_line(', '.join(categories))}", _PER_CHANGE]
            else:
                lines += _feature(rows[:, column].astype(np.float64))
    for group, members in groups.items():
        listed = ", ".join(_text(name) for name in members)
        lines += ["", f"[groups.{_key(group)}]", f"features = [{listed}]", _PER_CHANGE]
    return "\n".join(lines) + "\n"


def _feature(column: np.ndarray[tuple[int], np.dtype[np.float64]]) -> list[str]:
    known = column[np.isfinite(column)]
    values = np.unique(known)
    if len(values) < 2:
        return ["immutable = true  # the data hold one value only"]
    if len(values) == 2:
        return [f"values = [{float(values[0])!r}, {float(values[1])!r}]", _PER_CHANGE]
    lines = [f"minimum = {float(values[0])!r}", f"maximum = {float(values[-1])!r}"]
    if (values == np.rint(values)).all():
        lines.append("step = 1")
    return [*lines, f"cost = {float(f'{1 / known.std():.3g}')!r}"]


def _groups(names: tuple[str, ...], rows: Matrix) -> dict[str, list[str]]:
    """Columns of 0 and 1 whose names begin alike and of which each row has exactly one 1."""
    flags = [column for column in range(len(names)) if np.isin(rows[:, column], (0, 1)).all()]
    beginnings: dict[str, list[int]] = {}
    for column in flags:
        for separator in _SEPARATOR.finditer(names[column]):
            beginnings.setdefault(names[column][: separator.end()], []).append(column)
    found: dict[str, list[str]] = {}
    taken: set[int] = set()
    for beginning, columns in sorted(beginnings.items(), key=lambda one: (len(one[0]), one[0])):
        if len(columns) > 1 and not taken & set(columns) and (rows[:, columns].sum(axis=1) == 1).all():
            found[beginning[:-1] or beginning] = [names[column] for column in columns]
            taken |= set(columns)
    return found


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _text(name)


def _text(value: str) -> str:
    """A TOML string; JSON's are, but for the character DEL."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _one_line(name: str) -> str:
    return re.sub(r"[\x00-\x1f\x7f]+", " ", name)
