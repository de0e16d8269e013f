"""What one library sees of drift in the same streams: `python drift.py LIBRARY FOLDER SECONDS`."""

import json
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

warnings.simplefilter("ignore")
CLEAN = 1000
EVERY, WINDOW = 50, 200
"""Tests of windows are made after so many rows, over the last so many."""
COMPONENTS = 16
LEVEL = 0.001 / COMPONENTS
Add = Callable[[np.ndarray], bool]
"""Takes in a row, and says whether there is an alarm."""


def main() -> None:
    library, folder, seconds = sys.argv[1], Path(sys.argv[2]), float(sys.argv[3])
    streams = dict(np.load(folder / "drift.npz"))
    reference = streams.pop("reference")
    clean = streams.pop("clean")
    if library != "garrison":
        mean = reference.mean(0)
        _, values, axes = np.linalg.svd(reference - mean, full_matrices=False)
        turn = axes[:COMPONENTS].T / values[:COMPONENTS] * len(reference) ** 0.5
        reference = (reference - mean) @ turn
        clean = (clean - mean) @ turn
        streams = {name: (rows - mean) @ turn for name, rows in streams.items()}
    for name, made in MONITORS[library].items():
        print(json.dumps({"monitor": name, **measured(made, reference, clean, streams, seconds)}), flush=True)


def measured(
    made: Callable[[np.ndarray], Add], reference: np.ndarray, clean: np.ndarray, streams: dict[str, Any], limit: float
) -> dict[str, Any]:
    delays: dict[str, list[int | None]] = {name.partition("|")[0]: [] for name in streams}
    started = time.process_time()
    for seed in range(len(streams) // len(delays)):
        if time.process_time() - started > limit:
            break
        for change in delays:
            add = made(reference)
            rows = streams[f"{change}|{seed}"]
            for row in rows[:CLEAN]:
                add(row)
            delays[change].append(next((at + 1 for at, row in enumerate(rows[CLEAN:]) if add(row)), None))
    add, alarms, count = made(reference), 0, 0
    started = time.process_time()
    for row in clean:
        alarms += int(add(row))
        count += 1
        if not count % EVERY and time.process_time() - started > limit:
            break
    cost = (time.process_time() - started) / count * 1e6
    return {"delays": delays, "false": alarms, "clean": count, "cost": cost}


def guard(reference: np.ndarray) -> Add:
    """The guard's stage, told of calls of one row each, and of no outputs; it looks at them in batches of ten."""
    from garrison.serving.calls import Action, Answer, Call, Peer
    from garrison.serving.config.config import Config, Model
    from garrison.serving.observe.reference.reference import build
    from garrison.serving.observe.settings import Observe, Queries
    from garrison.serving.observe.stage import stage
    from garrison.serving.services import Services
    from garrison.serving.state.memory import MemoryStore
    from garrison.serving.tensors.tensor import Tensor

    directory = Path(sys.argv[2]) / "reference"
    if not directory.exists():
        build(str(directory), "digits", [Tensor("x", "FP32", reference.shape, reference, {})], [])
    told: list[Any] = []
    model = Model(observe=Observe(reference=str(directory), queries=Queries(enabled=False)))
    services = Services(store=MemoryStore(10), report=told.append, noticed=lambda call, mark: None)
    watching = stage(Config(models={"digits": model}), model, services)
    assert watching is not None

    def add(row: np.ndarray) -> bool:
        call = Call(Action.INFER, transport="http", headers={}, peer=Peer(), model="digits")
        call.inputs = (Tensor("x", "FP32", (1, len(row)), row[None], {}),)
        answer = Answer(200)
        answer.outputs = ()
        watching.after(call, answer)
        if watching.watch.waiting >= 10:
            watching.watch.drain()
        alarm = any(not one.resolved for one in told)
        told.clear()
        return alarm

    return add


def each(make: Callable[[], Any]) -> Callable[[np.ndarray], Add]:
    """A streaming detector of river for each component; after an alarm it begins anew."""

    def made(reference: np.ndarray) -> Add:
        detectors = [make() for _ in range(COMPONENTS)]
        for row in reference:
            for detector, value in zip(detectors, row.tolist(), strict=True):
                detector.update(value)

        def add(row: np.ndarray) -> bool:
            alarm = False
            for at, value in enumerate(row.tolist()):
                detectors[at].update(value)
                alarm = alarm or detectors[at].drift_detected
            return alarm

        return add

    return made


def windowed(
    make: Callable[[np.ndarray], Callable[[np.ndarray], bool]], every: int = EVERY
) -> Callable[[np.ndarray], Add]:
    """A test of a window against the reference."""

    def made(reference: np.ndarray) -> Add:
        test = make(reference)
        window: list[np.ndarray] = []
        seen = 0

        def add(row: np.ndarray) -> bool:
            nonlocal seen
            seen += 1
            window.append(row)
            if len(window) > WINDOW:
                window.pop(0)
            return seen % every == 0 and len(window) == WINDOW and test(np.array(window))

        return add

    return made


def _river(name: str, **settings: Any) -> Callable[[np.ndarray], Add]:
    def make() -> Any:
        from river import drift

        return getattr(drift, name)(**settings)

    return each(make)


def _frouros(name: str) -> Callable[[np.ndarray], Add]:
    def make(reference: np.ndarray) -> Callable[[np.ndarray], bool]:
        from frouros.detectors import data_drift

        detectors = []
        for column in reference.T:
            detector = getattr(data_drift, name)()
            detector.fit(X=column)
            detectors.append(detector)

        def test(window: np.ndarray) -> bool:
            compared = zip(detectors, window.T, strict=True)
            return min(detector.compare(X=column)[0].p_value for detector, column in compared) < LEVEL

        return test

    return windowed(make)


def _evidently(reference: np.ndarray) -> Callable[[np.ndarray], bool]:
    import pandas
    from evidently import Report
    from evidently.presets import DataDriftPreset

    names = [f"c{at}" for at in range(COMPONENTS)]
    known = pandas.DataFrame(reference, columns=names)

    def test(window: np.ndarray) -> bool:
        report = Report([DataDriftPreset(method="ks", threshold=LEVEL, drift_share=1 / COMPONENTS)])
        found = report.run(pandas.DataFrame(window, columns=names), known).dict()
        counted = next(one["value"] for one in found["metrics"] if "DriftedColumnsCount" in str(one))
        return bool(counted["count"] >= 1)

    return test


MONITORS: dict[str, dict[str, Callable[[np.ndarray], Add]]] = {
    "garrison": {"garrison": guard},
    "river": {
        "river ADWIN": _river("ADWIN", delta=0.002 / COMPONENTS),
        "river PageHinkley": _river("PageHinkley"),
    },
    "frouros": {"frouros KS": _frouros("KSTest"), "frouros Mann-Whitney": _frouros("MannWhitneyUTest")},
    "evidently": {"evidently KS": windowed(_evidently, every=WINDOW)},
}


if __name__ == "__main__":
    main()
