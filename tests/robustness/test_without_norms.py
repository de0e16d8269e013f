"""Curves and slices of attacks that no norm bounds."""

import numpy as np

from garrison.robustness.data import Data
from garrison.robustness.without_norms import MOST_POINTS, class_name, curve, decision, slices

DATA = Data(
    ["a", "b", "c", "d", "e"],
    np.array([0, 0, 1, 1, 1]),
    "text",
    classes=("no", "yes"),
    groups={"language": np.array(["en", "en", "de", "de", "de"])},
)


def which(*values: int) -> np.ndarray:  # type: ignore[type-arg]
    return np.array(values, dtype=bool)


def test_a_curve_rises_with_what_was_found_and_knows_how_many_were_not() -> None:
    found = curve("over words", "words", np.array([2, 1, 2]), 4, "texts")
    assert [(point.x, point.y) for point in found.points] == [(1.0, 0.25), (2.0, 0.75)]
    assert all(point.low < point.y < point.high for point in found.points)
    assert found.y == "share of texts that were decided rightly before"
    assert curve("over words", "words", np.array([], dtype=np.int64), 4, "texts").points == ()


def test_a_curve_of_many_steps_keeps_its_ends() -> None:
    found = curve("over cost", "cost", np.arange(1000.0), 1000, "rows")
    assert len(found.points) == MOST_POINTS
    assert (found.points[0].x, found.points[-1].x, found.points[-1].y) == (0.0, 999.0, 1.0)


def test_the_least_robust_group_comes_first_and_only_what_was_attacked_counts() -> None:
    correct, success = which(1, 0, 1, 1, 0), which(0, 0, 1, 0, 0)
    german, english = slices(DATA, which(1, 1, 1, 1, 0), correct, success)
    assert (german.name, english.name) == ("language = de", "language = en")
    assert (german.clean.count, german.clean.of, german.robust.count) == (2, 2, 1)
    assert (english.clean.count, english.clean.of, english.robust.count) == (1, 2, 1)
    nothing = slices(DATA, which(1, 1, 0, 0, 0), correct, success)
    assert [one.name for one in nothing] == ["language = en"]


def test_classes_are_called_as_the_data_call_them() -> None:
    assert class_name(DATA, 1) == "yes"
    assert class_name(DATA, 2) == "class 2"
    assert decision(DATA, np.array([0.25, 0.75])) == "yes (0.75)"
