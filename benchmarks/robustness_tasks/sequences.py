"""Watching sequences of queries: searches for adversarial inputs, and extraction, among honest queries.

    python benchmarks/robustness_tasks/sequences.py LIBRARY FOLDER      # garrison first, blacklight

garrison's run writes `queries.npz`: what its Square and HopSkipJump ask of the model, five inputs each, at most 600
queries for one. Each search is mixed at random places into 1,000 honest queries of one customer. Blacklight
is written here with its published settings (Li et al. 2022: windows of 20, levels of 50, 50 hashes, threshold 25).
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Any

import numpy as np
from world import EPSILON, SEED, Results, World, main, timed

HONEST, SEARCHES, QUERIES = 1000, 5, 600
CUSTOMERS = 20
FIRST = 20
"""Test image that is attacked first."""

Watch = Callable[[str, np.ndarray], bool]
"""A customer and a query (1, 28, 28): whether there is an alarm."""


def garrison(world: World, results: Results) -> None:
    from garrison.robustness.classifier import of_module
    from garrison.robustness.detection.sequences.monitor import Monitor

    _queries(world, of_module(world.model("std"), 10))
    known = world.images("train", 9000)[0]
    with timed() as fit:
        fitted = Monitor.fit(known, false_alarms=0.001, seed=SEED)
    results.add("fit", CPU_s=fit.seconds)

    def fresh() -> Watch:
        monitor = Monitor(fitted.settings)
        return lambda customer, query: bool(monitor.observe(customer, query).alarms)

    _searches(world, results, fresh)
    _customers(world, results, fresh)
    _extraction(world, results, Monitor(fitted.settings))


def blacklight(world: World, results: Results) -> None:
    _searches(world, results, lambda: Blacklight().watch)
    _customers(world, results, lambda: Blacklight().watch)


class Blacklight:
    """As published; one memory for all customers."""

    def __init__(self) -> None:
        self._queries: dict[bytes, list[int]] = defaultdict(list)
        self._count = 0

    def watch(self, _: str, query: np.ndarray) -> bool:
        levels = (np.rint(query.ravel() * 255) / 50).astype(np.uint8).tobytes()
        windows = {hashlib.sha256(levels[start : start + 20]).digest() for start in range(len(levels) - 19)}
        chosen = sorted(windows, reverse=True)[:50]
        shared = Counter(earlier for one in chosen for earlier in self._queries[one])
        for one in chosen:
            self._queries[one].append(self._count)
        self._count += 1
        return bool(shared) and max(shared.values()) > 25


def _searches(world: World, results: Results, fresh: Callable[[], Watch]) -> None:
    """How much of searches is flagged, and when first, and how much of the honest queries that they hide in."""
    honest = world.images("test")[0][2000 : 2000 + HONEST]
    file = world.folder / "queries.npz"
    if not file.exists():
        raise SystemExit(f"{file}: is not there; run garrison first, which writes what all are measured on")
    with np.load(file, allow_pickle=False) as stored:
        streams = dict(stored)
    for kind in ("Square", "HopSkipJump"):
        firsts, flagged, false = [], [], []
        for number in range(SEARCHES):
            search = streams[f"{kind} {number}"]
            whose = np.random.default_rng(number).permutation(np.repeat([True, False], [len(search), HONEST]))
            watch, queries = fresh(), (iter(search), iter(honest))
            alarms = np.array([watch("customer", next(queries[0 if its else 1])) for its in whose])
            found = alarms[whose]
            firsts.append(int(found.argmax()) + 1 if found.any() else len(found) + 1)
            flagged.append(found[1:].mean())
            false.append(alarms[~whose].mean())
        results.add(
            f"{kind} among honest queries",
            queries_flagged=float(np.mean(flagged)),
            first_flag=float(np.median(firsts)),
            last_first_flag=float(max(firsts)),
            honest_flagged=float(np.mean(false)),
        )


def _customers(world: World, results: Results, fresh: Callable[[], Watch]) -> None:
    """False alarms, and what a query costs."""
    watch, images = fresh(), world.images("test")[0]
    with timed() as clock:
        alarms = [watch(f"customer {place * CUSTOMERS // len(images)}", one) for place, one in enumerate(images)]
    flagged = np.array(alarms).reshape(CUSTOMERS, -1)
    results.add(
        "honest customers",
        queries_flagged=float(flagged.mean()),
        customers_flagged=float(flagged.any(1).mean()),
        microseconds=clock.seconds / len(images) * 1e6,
    )


def _extraction(world: World, results: Results, monitor: Any) -> None:
    """When streams that copy a model are flagged, and what the account says of one that no test sees."""
    import torch

    model, images = world.model("std"), world.images("train", 32_000)[0]
    grown = torch.from_numpy(images[20_000:20_100])
    for _ in range(4):  # Papernot et al. 2017: each round doubles the queries along the sign of a gradient
        moved = grown.clone().requires_grad_()
        (slope,) = torch.autograd.grad(model(moved).amax(1).sum(), moved)
        grown = torch.cat([grown, (grown + 0.1 * slope.sign()).clamp(0, 1)])
    streams = {
        "Jacobian augmentation": grown.numpy(),
        "noise": np.random.default_rng(SEED).random((1000, 1, 28, 28), dtype=np.float32),
        "natural inputs": images[30_000:],
    }
    for name, queries in streams.items():
        with torch.no_grad():
            scores = model(torch.from_numpy(queries)).numpy()
        verdicts = [monitor.observe(name, *both) for both in zip(queries, scores, strict=True)]
        alarms = np.array([bool(one.alarms) for one in verdicts])
        results.add(
            f"extraction with {name}",
            first_flag=float(alarms.argmax()) + 1 if alarms.any() else None,
            queries_flagged=float(alarms.mean()),
            queries=float(len(queries)),
            counted_as_fresh=float(verdicts[-1].fresh),
            outside=verdicts[-1].outside,
        )


def _queries(world: World, classifier: Any) -> None:
    """Write the queries of searches, once."""
    import torch

    from garrison.robustness.attacks.hopskipjump import HopSkipJump
    from garrison.robustness.attacks.square import Square

    file = world.folder / "queries.npz"
    if file.exists():
        return
    inputs, labels = (torch.from_numpy(one) for one in world.images("test", 200))
    right = (classifier.labels(inputs) == labels).nonzero()[:, 0]
    inputs, labels = inputs[right][FIRST : FIRST + SEARCHES], labels[right][FIRST : FIRST + SEARCHES]
    plain, asked = classifier.forward, []

    def forward(points: Any) -> Any:
        asked.append(points.detach().clone())
        return plain(points)

    classifier.forward = forward
    streams = {}
    for kind, attack, epsilon in (
        ("Square", Square(queries=QUERIES), EPSILON),
        ("HopSkipJump", HopSkipJump(queries=QUERIES, start="noise"), 0.01),
    ):
        for number in range(SEARCHES):
            asked.clear()
            attack(classifier, inputs[number : number + 1], labels[number : number + 1], [epsilon], seed=SEED)
            streams[f"{kind} {number}"] = torch.cat(asked).numpy()
    part = world.folder / "queries.part.npz"
    np.savez_compressed(part, **streams)
    part.rename(file)


if __name__ == "__main__":
    main({"garrison": garrison, "blacklight": blacklight})
