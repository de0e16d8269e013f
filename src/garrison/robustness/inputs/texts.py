"""Texts with labels."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from garrison.core.errors import UsageError
from garrison.robustness.data import Data
from garrison.robustness.inputs.assembled import require_as_many
from garrison.robustness.inputs.files import MOST_TEXT, content, digest
from garrison.robustness.inputs.labels import indices
from garrison.robustness.inputs.reading import Reading

TEXTS = ("text", "sentence", "message", "content", "review", "input")
LABELS = ("label", "labels", "class", "target", "category", "y")
"""What columns and keys are called, the likeliest first; without regard to case."""


def from_texts(texts: Sequence[str], labels: Any, source: str, sha256: str) -> Data:
    """Data of texts. Raises `UsageError`."""
    counted, names = indices(np.asarray(labels), source)
    require_as_many(len(texts), len(counted), source)
    return Data(list(texts), counted, "text", source, sha256, names)


def read_json_lines(path: str, how: Reading) -> Data:
    """One JSON object with a text and a label on each line. Raises `UsageError`."""
    texts: list[str] = []
    labels: list[Any] = []
    groups: dict[str, list[str]] = {name: [] for name in how.groups}
    keys: tuple[str, str] | None = None
    for number, line in enumerate(decoded(path).split("\n"), 1):
        if not line.strip():
            continue
        row = _object(line, f"{path}: line {number}")
        if keys is None:
            keys = chosen(row, how.text, TEXTS, path, "texts"), chosen(row, how.label, LABELS, path, "labels")
        try:
            text, label = row[keys[0]], row[keys[1]]
            for name, values in groups.items():
                values.append(str(row[name]))
        except KeyError as missing:
            raise UsageError(f"{path}: line {number} has no {missing}") from None
        if not isinstance(text, str) or isinstance(label, dict | list | float) or label is None:
            raise UsageError(f"{path}: line {number}: {keys[0]!r} is a text and {keys[1]!r} a class, or should be")
        texts.append(text)
        labels.append(label)
    if not texts:
        raise UsageError(f"{path}: it is empty")
    kinds = {type(label) for label in labels}
    same = labels if len(kinds) == 1 else [str(label) for label in labels]
    data = from_texts(texts, same, path, digest([path]))
    data.groups.update({name: np.array(values) for name, values in groups.items()})
    return data


def decoded(path: str) -> str:
    """A file of text in UTF-8. Raises `UsageError`."""
    try:
        text = content(path, MOST_TEXT).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: not UTF-8 at byte {error.start:,}") from None
    if "\0" in text:
        raise UsageError(f"{path}: zero bytes: not a file of text")
    return text


def chosen(names: Iterable[str], wanted: str | None, likely: Sequence[str], source: str, what: str) -> str:
    """The name that was asked for, else the likeliest. Raises `UsageError`, with those that there are."""
    names = list(names)
    if wanted is not None:
        if wanted in names:
            return wanted
        raise UsageError(f"{source}: no {wanted!r} among {_some(names)}")
    by_lower = {name.strip().lower(): name for name in reversed(names)}
    for name in likely:
        if name in by_lower:
            return by_lower[name]
    option = "--label" if what == "labels" else "--text"
    raise UsageError(f"{source}: which of {_some(names)} has the {what}? Say it with {option}")


def _some(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names[:8])) + (", ..." if len(names) > 8 else "") if names else "none"


def _object(line: str, source: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        raise UsageError(f"{source} is no JSON") from None
    if not isinstance(row, dict):
        raise UsageError(f"{source} is no JSON object")
    return row
