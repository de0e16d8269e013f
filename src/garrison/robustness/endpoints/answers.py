"""What answers are: scores or decisions, as many as were asked for, and numbers."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from garrison.core.errors import UsageError
from garrison.robustness.classifier import Outputs
from garrison.robustness.endpoints.transport import EndpointError

_ROUNDED = 0.02
"""How far from one the sum of probabilities may be that were rounded for the answer."""


def numbers(rows: Any, count: int, names: Sequence[str]) -> NDArray[np.float64]:
    """The rows of an answer (n, k), or (n, 1) where there is one number for each input.

    A row is a number, a list of numbers, the name of a class, an object from names to scores, or a list of objects
    with a `label` and a `score`. Raises `EndpointError` for anything else, and for what is no number.
    """
    if not isinstance(rows, list):
        raise EndpointError("the answer has no list of rows")
    if len(rows) != count:
        raise EndpointError(f"the answer has {len(rows)} rows for {count} inputs")
    found = [_row(row, names) for row in rows]
    widths = {len(row) for row in found}
    if len(widths) > 1 or 0 in widths:
        raise EndpointError(f"the rows of the answer have {', '.join(map(str, sorted(widths)))} elements")
    try:
        values = np.array(found, np.float64)
    except (ValueError, TypeError, OverflowError):
        raise EndpointError("the answer has scores that are no numbers") from None
    if values.ndim != 2:
        raise EndpointError("the rows of the answer are lists of lists")
    if not np.isfinite(values).all():
        raise EndpointError("the answer has scores that are no finite numbers (NaN or infinity)")
    return values


def _row(row: Any, names: Sequence[str]) -> list[Any]:
    if isinstance(row, str):
        return [_index(row, names)]
    if isinstance(row, dict):
        return _ordered(row, names)
    if not isinstance(row, list):
        return [row]
    if row and all(isinstance(element, dict) and {"label", "score"} <= element.keys() for element in row):
        return _ordered({str(element["label"]): element["score"] for element in row}, names)
    if len(row) == 1 and isinstance(row[0], str):
        return [_index(row[0], names)]
    if any(isinstance(element, str) for element in row):
        raise EndpointError("the answer has scores that are no numbers")
    return row


def _index(name: str, names: Sequence[str]) -> int:
    if name not in names:
        why = "which is none of the names of classes" if names else "and no names of classes were given"
        raise EndpointError(f"the answer names the class {ascii(name)[:60]}, {why}")
    return list(names).index(name)


def _ordered(scores: dict[str, Any], names: Sequence[str]) -> list[Any]:
    if set(scores) != set(names):
        theirs = ", ".join(ascii(name)[:40] for name in list(scores)[:10])
        raise EndpointError(f"the answer has scores for {theirs}, which are not the names of classes that were given")
    return [scores[name] for name in names]


def kind(values: NDArray[np.float64], classes: int) -> Outputs:
    """What the first answers are: probabilities if the rows sum to one, decisions if there is one whole number each.

    One number between 0 and 1 for two classes is the probability of the second. Raises `UsageError` where the number
    of classes is another.
    """
    if values.shape[1] == 1:
        if (values == values.round()).all():
            return "labels"
        if classes == 2 and (values >= 0).all() and (values <= 1).all():
            return "probabilities"
        raise UsageError(
            f"the model answers with one number for each input that is no class, and the data has {classes}"
        )
    if values.shape[1] != classes:
        raise UsageError(f"the model answers with {values.shape[1]} classes, and the data has {classes}")
    positive = bool((values >= 0).all())
    return "probabilities" if positive and bool((abs(values.sum(1) - 1) <= _ROUNDED).all()) else "logits"


def checked(values: NDArray[np.float64], outputs: Outputs, classes: int) -> NDArray[np.float64]:
    """Answers (n, classes), or (n, 1) for decisions. Raises `EndpointError` for those that are not what they were."""
    width = values.shape[1]
    if outputs == "labels":
        if width != 1 or not (values == values.round()).all():
            raise EndpointError("the model answered with decisions before, and now with scores; say which it gives")
        if (values < 0).any() or (values >= classes).any():
            wrong = values[(values < 0) | (values >= classes)][0]
            raise EndpointError(f"the model decides for class {wrong:.0f}, and the data has 0 to {classes - 1}")
        return values
    if width == 1 and classes == 2 and outputs == "probabilities":
        return np.concatenate([1 - values, values], 1)
    if width != classes:
        raise EndpointError(f"the model answers with {width} classes, and the data has {classes}")
    return values
