"""Writes the rows that all monitors see: `python streams.py FOLDER`."""

import sys
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

SEEDS, CLEAN, CHANGED, WITHOUT = 10, 1000, 2000, 100_000

folder = Path(sys.argv[1])
digits = load_digits()
order = np.random.default_rng(0).permutation(len(digits.data))
rows, labels = (digits.data[order] / 16).astype(np.float32), digits.target[order]
cut = len(rows) // 3
reference, live, seen = rows[cut : 2 * cut], rows[2 * cut :], labels[2 * cut :]
few = live[seen < 5]
deviation = float(live.std(0).mean())


def drawn(random: np.random.Generator, source: np.ndarray, count: int) -> np.ndarray:
    return source[random.integers(0, len(source), count)]


streams: dict[str, np.ndarray] = {"reference": reference, "clean": drawn(np.random.default_rng(1), live, WITHOUT)}
for seed in range(SEEDS):
    random = np.random.default_rng(seed)
    before, after = drawn(random, live, CLEAN), drawn(random, live, CHANGED)
    for name, changed in {
        "mean shift": after * 0.8,
        "small mean shift": after * 0.95,
        "variance shift": after + random.normal(0, 0.7 * deviation, after.shape),
        "small variance shift": after + random.normal(0, 0.35 * deviation, after.shape),
        "slice shift": drawn(random, few, CHANGED),
    }.items():
        streams[f"{name}|{seed}"] = np.concatenate([before, changed]).astype(np.float32)
np.savez(folder / "drift.npz", **streams)
random = np.random.default_rng(3)
for count in (1000, 100_000):
    groups = random.choice(["a", "b", "c"], count, p=[0.2, 0.3, 0.5])
    truth = random.random(count) < 0.5
    decided = random.random(count) < np.where(truth, 0.8, np.where(groups == "a", 0.35, 0.2))
    np.savez(folder / f"fairness-{count}.npz", groups=groups, truth=truth, decided=decided)
