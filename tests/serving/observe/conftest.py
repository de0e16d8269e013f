"""A reference that all tests share, since making one takes most of the time."""

from pathlib import Path

import numpy as np
import pytest

from garrison.robustness.detection.sequences.exposure import Point
from garrison.serving.observe.reference.reference import Reference, build, performance_of
from tests.serving.observe.world import natural, scored, tensor


@pytest.fixture(scope="session")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("observe") / "reference"
    rows = natural(3000, 1)
    decided = scored(rows).argmax(1)
    # One in ten is wrong, and the two groups fare alike.
    wrong = np.random.default_rng(5).random(len(rows)) < 0.1
    labels = np.where(wrong, (decided + 1) % 3, decided)
    groups = np.where(np.arange(len(rows)) % 3 == 0, "few", "many").tolist()
    build(
        str(path), "m", [tensor("x", rows)], [tensor("scores", scored(rows))],
        performance=performance_of(labels, decided, {"kind": groups}), rows_per_false_alarm=50_000,
        simulated=100_000, curve=[Point(queries=500, fidelity=0.6), Point(queries=1000, fidelity=0.9)], seed=3,
    )  # fmt: skip
    return path


@pytest.fixture(scope="session")
def reference(directory: Path) -> Reference:
    from garrison.serving.observe.reference.reference import load

    return load(str(directory))
