"""What the guard sees of drift, bias, searches and extraction: after how many rows, and how often for nothing.

    python benchmarks/serving_tasks/detection.py FOLDER [FASHION_MNIST]

On scikit-learn's digits, and on Fashion-MNIST where its folder is given. A third of the data trains the model, a third
is the reference, the rest is traffic. Results go to `FOLDER/detection.json`.

- Delays count rows (or queries, or labels) from the change to the incident, over several seeds; `missed` is the share
  of seeds without one.
- False alarms are incidents among clean rows. Traffic that is drawn with replacement repeats itself, so those of the
  query monitor are counted on rows that come once each.
"""

import argparse
import asyncio
import gzip
import json
import shutil
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from garrison.robustness.attacks.hopskipjump import HopSkipJump
from garrison.robustness.attacks.pgd import PGD
from garrison.robustness.classifier import of_module
from garrison.robustness.detection.sequences.exposure import Point
from garrison.serving.calls import Action, Answer, Call, Peer, Principal
from garrison.serving.config.config import Config, Model
from garrison.serving.incidents import Incident
from garrison.serving.observe.feedback.performance import Watch
from garrison.serving.observe.reference.reference import build, performance_of
from garrison.serving.observe.settings import Feedback, Group, Observe
from garrison.serving.observe.stage import ObserveStage, stage
from garrison.serving.services import Services
from garrison.serving.tensors.tensor import Tensor

SEEDS = 10
CLEAN, CHANGED = 1000, 2000
ROWS = 10
"""Of a call."""
CURVE = (50, 100, 200, 400)

Rows = np.ndarray


class Alone:
    """The store of a guard that shares with none."""

    def __init__(self) -> None:
        self._sums: dict[str, float] = {}

    async def increase(self, key: str, amount: float, lifetime: float) -> float:
        self._sums[key] = self._sums.get(key, 0.0) + amount
        return self._sums[key]


@dataclass
class World:
    name: str
    model: LogisticRegression
    reference: tuple[Rows, Rows]
    live: tuple[Rows, Rows]
    directory: str

    def scores(self, rows: Rows) -> Rows:
        return np.asarray(self.model.predict_proba(rows), np.float32)


class Guarded:
    """The stage, with the incidents that it tells of."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.incidents: list[Incident] = []
        services = Services(store=Alone(), report=self.incidents.append, noticed=lambda call, mark: None)  # type: ignore[arg-type]
        model = Model(observe=Observe(reference=world.directory))
        found = stage(Config(models={world.name: model}), model, services)
        assert isinstance(found, ObserveStage)
        self.stage = found

    def send(self, rows: Rows, principal: str = "customer") -> None:
        call = Call(Action.INFER, transport="http", headers={}, peer=Peer(), model=self._world.name)
        call.principal = Principal(name=principal)
        call.inputs = (_tensor("x", rows),)
        answer = Answer(200)
        answer.outputs = (_tensor("scores", self._world.scores(rows)),)
        self.stage.after(call, answer)
        self.stage.watch.drain()

    def until(self, rows: Rows, wanted: Callable[[Incident], bool], principal: str, each: int) -> int | None:
        """After how many rows there is such an incident."""
        for start in range(0, len(rows), each):
            self.incidents.clear()
            self.send(rows[start : start + each], principal)
            if any(wanted(one) and not one.resolved for one in self.incidents):
                return min(start + each, len(rows))
        return None


def made(name: str, inputs: Rows, labels: Rows, folder: Path) -> World:
    order = np.random.default_rng(0).permutation(len(inputs))
    inputs, labels = inputs[order], labels[order]
    cut = min(len(inputs) // 3, 10_000)
    model = LogisticRegression(max_iter=200).fit(inputs[:cut], labels[:cut])
    reference = inputs[cut : 2 * cut], labels[cut : 2 * cut]
    world = World(name, model, reference, (inputs[2 * cut :], labels[2 * cut :]), str(folder / f"{name}.reference"))
    shutil.rmtree(world.directory, ignore_errors=True)
    curve = [Point(queries=count, fidelity=_fidelity(world, reference[0][:count])) for count in CURVE]
    scores = world.scores(reference[0])
    started = time.process_time()
    build(
        world.directory, name, [_tensor("x", reference[0])], [_tensor("scores", scores)],
        performance=performance_of(reference[1], scores.argmax(1), {}), curve=curve,
    )  # fmt: skip
    print(f"{name}: reference of {cut} rows in {time.process_time() - started:.1f} s of CPU", flush=True)
    return world


def measured(world: World) -> dict[str, Any]:
    """All figures of one data set."""
    return {
        "false alarms": _false_alarms(world),
        "drift": {kind: _delays(_drift(world, change)) for kind, change in _changes(world).items()},
        "bias shift, labels": _delays(_bias()),
        "searches, queries": _searches(world),
        "extraction": _extractions(world),
    }


def _false_alarms(world: World) -> dict[str, Any]:
    live, random = world.live[0], np.random.default_rng(1)
    guarded = Guarded(world)
    guarded.stage.watch.principals = None
    rows, started = 100_000, time.process_time()
    for _ in range(rows // 50):
        guarded.send(live[random.integers(0, len(live), 50)])
    drift = [one.finding.rule for one in guarded.incidents if not one.resolved]
    cost = (time.process_time() - started) / rows * 1e6
    guarded = Guarded(world)
    once = live[: len(live) // ROWS * ROWS]
    for number, part in enumerate(np.split(once, len(once) // ROWS)):
        guarded.send(part, f"customer {number % 20}")
    wanted = ("query-search", "query-foreign")
    queries = [one.finding.rule for one in guarded.incidents if one.finding.rule in wanted and not one.resolved]
    return {
        "drift per 100,000 rows": len(drift), "drift": sorted(drift),
        "query incidents": len(queries), "clean queries": len(once),
        "microseconds a row, with the model's own answer": round(cost, 1),
    }  # fmt: skip


def _changes(world: World) -> dict[str, Callable[[Rows, np.random.Generator], Rows]]:
    live, labels = world.live
    few = live[labels < 5]
    deviation = float(live.std(0).mean())
    return {
        "mean shift (contrast 0.8)": lambda rows, random: rows * np.float32(0.8),
        "small mean shift (contrast 0.95)": lambda rows, random: rows * np.float32(0.95),
        "variance shift (noise)": lambda rows, random: rows + random.normal(0, 0.7 * deviation, rows.shape),
        "small variance shift (noise)": lambda rows, random: rows + random.normal(0, 0.35 * deviation, rows.shape),
        "slice shift (classes 0 to 4)": lambda rows, random: few[random.integers(0, len(few), len(rows))],
    }


def _drift(world: World, change: Callable[[Rows, np.random.Generator], Rows]) -> Iterator[int | None]:
    live = world.live[0]
    for seed in range(SEEDS):
        random = np.random.default_rng(seed)
        guarded = Guarded(world)
        guarded.stage.watch.principals = None
        for _ in range(CLEAN // ROWS):
            guarded.send(live[random.integers(0, len(live), ROWS)])
        changed = change(live[random.integers(0, len(live), CHANGED)], random).astype(np.float32)
        yield guarded.until(changed, lambda one: one.finding.rule.endswith("-drift"), "customer", ROWS)


def _bias() -> Iterator[int | None]:
    """A fifth of the people, for whom positive decisions fall from one half to three tenths."""

    def labelled(random: np.random.Generator, count: int, few: float) -> tuple[Rows, Rows, list[str]]:
        groups = random.choice(["few", "many"], count, p=[0.2, 0.8])
        decided = (random.random(count) < np.where(groups == "few", few, 0.5)).astype(int)
        return np.where(random.random(count) < 0.9, decided, 1 - decided), decided, groups.tolist()

    for seed in range(SEEDS):
        random = np.random.default_rng(seed)
        truth, decided, groups = labelled(random, 5000, 0.5)
        watch = Watch(Feedback(groups={"kind": Group()}), performance_of(truth, decided, {"kind": groups}))
        watch.add(*_with_names(labelled(random, 2000, 0.5)))
        yield next(
            (count for count in range(20, 20_000, 20)
             if any(one.rule == "bias-shift" for one in watch.add(*_with_names(labelled(random, 20, 0.3))))),
            None,
        )  # fmt: skip


def _with_names(rows: tuple[Rows, Rows, list[str]]) -> tuple[Rows, Rows, dict[str, list[str]]]:
    return rows[0], rows[1], {"kind": rows[2]}


def _searches(world: World) -> dict[str, Any]:
    """Queries until a search is an incident, mixed one to one into honest ones of the same principal."""
    network = torch.nn.Linear(world.live[0].shape[1], 10)
    with torch.no_grad():
        network.weight.copy_(torch.from_numpy(world.model.coef_))
        network.bias.copy_(torch.from_numpy(world.model.intercept_))
    classifier = of_module(network, 10)
    plain, asked = classifier.forward, []

    def forward(points: torch.Tensor) -> torch.Tensor:
        asked.append(points.detach().clone())
        return plain(points)

    classifier.forward = forward  # type: ignore[method-assign]
    live, labels = world.live
    right = np.flatnonzero(world.model.predict(live) == labels)
    found = {}
    for name, attack, epsilon in (
        ("PGD", PGD(steps=200, step=0.01), 0.01), ("HopSkipJump", HopSkipJump(queries=600, start="noise"), 0.01),
    ):  # fmt: skip
        delays = []
        for at in right[:SEEDS]:
            asked.clear()
            attack(
                classifier,
                torch.from_numpy(live[at : at + 1]),
                torch.from_numpy(labels[at : at + 1]),
                [epsilon],
                seed=0,
            )
            queries = torch.cat(asked).numpy()
            honest = live[right[SEEDS : SEEDS + len(queries)]]
            mixed = np.stack([queries[: len(honest)], honest[: len(queries)]], 1).reshape(-1, live.shape[1])
            guarded = Guarded(world)
            delay = guarded.until(mixed, lambda one: one.finding.rule == "query-search", "eve", 1)
            delays.append(None if delay is None else (delay + 1) // 2)
        found[name] = _delays(iter(delays))
    return found


def _extractions(world: World) -> dict[str, Any]:
    live, random = world.live[0], np.random.default_rng(2)
    count = min(400, len(live) // 2)
    pool, test = live[: len(live) // 2], live[len(live) // 2 :]
    chosen = list(range(50))
    while len(chosen) < count:  # where the copy is least sure
        copy = LogisticRegression(max_iter=200).fit(pool[chosen], _varied(world.model.predict(pool[chosen])))
        scores = np.sort(copy.predict_proba(pool), 1)
        unsure = np.argsort(scores[:, -1] - scores[:, -2])
        chosen += [at for at in unsure.tolist() if at not in set(chosen)][:50]
    streams = {
        "natural inputs": pool[random.permutation(len(pool))[:count]],
        "active learning": pool[chosen[:count]],
        "random inputs": random.random((count, live.shape[1])).astype(np.float32),
    }
    found = {}
    for name, queries in streams.items():
        guarded = Guarded(world)
        told: dict[str, int] = {}
        for number, query in enumerate(queries):
            guarded.send(query[None], "eve")
            for one in guarded.incidents:
                if one.principal:
                    told.setdefault(one.finding.rule, number + 1)
        asyncio.run(guarded.stage.watch.flush())
        assert guarded.stage.watch.principals is not None
        (account,) = guarded.stage.watch.principals.report()
        found[name] = {
            "queries": len(queries), "first incident by rule": told, "account": account,
            "fidelity of the copy": round(_fidelity(world, queries, test), 3),
        }  # fmt: skip
    return found


def _fidelity(world: World, queries: Rows, test: Rows | None = None) -> float:
    """On how much of `test` a copy agrees that was made with what the model answers."""
    test = world.reference[0][len(world.reference[0]) // 2 :] if test is None else test
    answers = world.model.predict(queries)
    if len(set(answers.tolist())) < 2:
        return float((world.model.predict(test) == answers[0]).mean())
    copy = LogisticRegression(max_iter=200).fit(queries, answers)
    return float((copy.predict(test) == world.model.predict(test)).mean())


def _varied(answers: Rows) -> Rows:
    if len(set(answers.tolist())) > 1:
        return answers
    answers = answers.copy()
    answers[0] = (answers[0] + 1) % 10  # a copy takes two classes
    return answers


def _delays(found: Iterator[int | None]) -> dict[str, Any]:
    delays = list(found)
    seen = [one for one in delays if one is not None]
    return {
        "median": statistics.median(seen) if seen else None, "largest": max(seen, default=None),
        "missed": 1 - len(seen) / max(len(delays), 1),
    }  # fmt: skip


def _tensor(name: str, rows: Rows) -> Tensor:
    return Tensor(name, "FP32", rows.shape, rows, {})


def _fashion(folder: Path) -> tuple[Rows, Rows]:
    parts = [
        np.frombuffer(gzip.decompress((folder / f"{part}-{kind}-ubyte.gz").read_bytes()), np.uint8, offset=offset)
        for kind, offset in (("images-idx3", 16), ("labels-idx1", 8))
        for part in ("train", "t10k")
    ]
    images = np.concatenate(parts[:2]).reshape(-1, 784).astype(np.float32) / 255
    return images, np.concatenate(parts[2:]).astype(np.int64)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("fashion", type=Path, nargs="?")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    arguments.folder.mkdir(parents=True, exist_ok=True)
    inputs, labels = load_digits(return_X_y=True)
    sets = {"digits": ((inputs / 16).astype(np.float32), labels.astype(np.int64))}
    if arguments.fashion is not None:
        sets["fashion"] = _fashion(arguments.fashion)
    results = {}
    for name, (rows, truth) in sets.items():
        results[name] = measured(made(name, rows, truth, arguments.folder))
        print(json.dumps({name: results[name]}, indent=1), flush=True)
    (arguments.folder / "detection.json").write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
