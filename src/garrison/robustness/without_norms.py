"""How the card shows attacks that no norm bounds, on tables and texts: curves, slices and decisions."""

import numpy as np
from numpy.typing import NDArray

from garrison.core.robustness_card import Curve, Point, Slice, rate
from garrison.robustness.data import Data

MOST_POINTS = 50
"""Of a curve."""


def curve(name: str, x: str, amounts: NDArray[np.float64] | NDArray[np.int64], of: int, what: str) -> Curve:
    """The share of the `of` that were decided rightly before and are found, over what each of those found took."""
    ordered = np.sort(amounts)
    steps = np.unique(ordered)
    if len(steps) > MOST_POINTS:
        steps = steps[np.linspace(0, len(steps) - 1, MOST_POINTS).round().astype(int)]
    points = []
    for step in steps:
        share = rate(int(np.searchsorted(ordered, step, side="right")), of)
        points.append(Point(x=float(step), y=share.value, low=share.low, high=share.high))
    return Curve(name=name, x=x, y=f"share of {what} that were decided rightly before", points=tuple(points))


def slices(
    data: Data, attacked: NDArray[np.bool_], correct: NDArray[np.bool_], success: NDArray[np.bool_]
) -> tuple[Slice, ...]:
    """Accuracy and robust accuracy of each group in the data, the least robust first; all are (n,)."""
    found = []
    for name, column in data.groups.items():
        for value in sorted({str(one) for one in column}):
            member = attacked & np.asarray([str(one) == value for one in column])
            if of := int(member.sum()):
                right, lost = int((correct & member).sum()), int((success & member).sum())
                found.append(Slice(name=f"{name} = {value}", clean=rate(right, of), robust=rate(right - lost, of)))
    return tuple(sorted(found, key=lambda one: one.robust.value if one.robust else 1.0))


def class_name(data: Data, label: int) -> str:
    """What the data call a class."""
    return data.classes[label] if label < len(data.classes) else f"class {label}"


def decision(data: Data, scores: NDArray[np.float64]) -> str:
    """The class that scores (classes,) decide for, with its score."""
    best = int(scores.argmax())
    return f"{class_name(data, best)} ({scores[best]:.3g})"
