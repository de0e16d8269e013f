"""Membership inference: who was in the training set of a forest, of boosted trees, a linear model and a network.

    python benchmarks/robustness_tasks/membership.py LIBRARY FOLDER      # garrison, art

Each target is trained with its members, the network until it overfits. garrison asks shadow models, which the owner's
recipe trains with halves of members and others; ART's black-box attack is given half of both to learn from, and is
measured on the rest. CPU seconds have the training of shadows and of attack models in them.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from separation import area, true_positives
from world import SEED, Results, World, main, seed, timed, untrained

Array = NDArray[Any]
SHADOW_SEED = SEED + 1
"""Another than the target's: shadows that share it share its training set."""
SECONDS = "CPU s"
CHECKS = ("null-membership", "shadow-splits", "shadow-members", "area-falls-with-shadows")


@dataclass(frozen=True)
class Target:
    """A trained model, its members and others."""

    name: str
    model: Any
    inputs: Array
    """(2n, ...): members, then others."""
    labels: Array
    train: Callable[[Array, Array, int], Any]
    """The owner's recipe: inputs, labels, seed."""
    shadows: int

    @property
    def half(self) -> int:
        return len(self.labels) // 2


def targets(world: World) -> Iterator[Target]:
    """The four models, trained anew, the same each time; the network alone without the folder of Adult."""
    if world.settings["adult"]:
        yield from _estimators(Path(world.settings["adult"]))
    inputs, labels = world.images("train", 5000)
    yield Target("network", _network(inputs[:2500], labels[:2500], SEED), inputs, labels, _network, 16)


def _estimators(folder: Path) -> Iterator[Target]:
    from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    table, income = _adult(folder)
    chosen = np.random.default_rng(100).permutation(len(income))[:8000]
    estimators: list[tuple[str, Any, int]] = [
        ("forest", RandomForestClassifier(100, random_state=0), 16),
        ("boosting", HistGradientBoostingClassifier(random_state=0), 8),
        ("linear", make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)), 8),
    ]
    for name, estimator, shadows in estimators:

        def train(inputs: Array, labels: Array, seed: int, estimator: Any = estimator) -> Any:
            from sklearn.base import clone

            fresh = clone(estimator)
            if "random_state" in fresh.get_params():
                fresh.set_params(random_state=seed)
            return fresh.fit(inputs, labels)

        inputs, labels = table[chosen], income[chosen]
        yield Target(name, train(inputs[:4000], labels[:4000], 0), inputs, labels, train, shadows)


def _adult(folder: Path) -> tuple[Array, Array]:
    """The rows of Adult without missing values, categories as 0 and 1, and whether income is above 50,000."""
    import pandas

    frames = [pandas.read_csv(path, header=None, skipinitialspace=True) for path in sorted(folder.glob("*.csv"))]
    rows = pandas.concat(frames).replace("?", None).dropna()
    table = pandas.get_dummies(rows[rows.columns[:-1]])
    income = rows[rows.columns[-1]].str.startswith(">50K")
    return table.to_numpy(np.float32), income.to_numpy(np.int64)


def _network(inputs: Array, labels: Array, seed: int) -> Any:
    """Fifteen epochs, which the network overfits in."""
    import torch
    from torch import nn

    given, truth = torch.from_numpy(inputs), torch.from_numpy(labels)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = untrained()
        optimizer = torch.optim.Adam(model.parameters(), 1e-3)
        for _ in range(15):
            for batch in torch.split(torch.randperm(len(truth)), 128):
                optimizer.zero_grad()
                nn.functional.cross_entropy(model(given[batch]), truth[batch]).backward()
                optimizer.step()
    return model.eval()


def garrison(world: World, results: Results) -> None:
    import torch

    from garrison.robustness.classifier import Classifier, of_function, of_module
    from garrison.robustness.data import Data
    from garrison.robustness.privacy.membership import measure

    def wrapped(target: Target, model: Any) -> Classifier:
        if isinstance(model, torch.nn.Module):
            return of_module(model, 10)
        return of_function(model.predict_proba, 2, outputs="probabilities")

    for target in targets(world):
        kind = "image" if target.inputs.ndim == 4 else "table"
        members = Data(target.inputs[: target.half], target.labels[: target.half], kind)
        others = Data(target.inputs[target.half :], target.labels[target.half :], kind)

        def recipe(inputs: torch.Tensor, labels: torch.Tensor, seed: int, target: Target = target) -> Classifier:
            return wrapped(target, target.train(inputs.numpy(), labels.numpy(), seed))

        classifier = wrapped(target, target.model)
        with timed() as clock:
            found = measure(
                classifier, members, others, train=recipe, shadows=target.shadows, samples=target.half, seed=SHADOW_SEED
            )
        rows = {}
        for one in found:
            rows[one.attack.partition(",")[0]] = {
                "AUC": one.auc.value,
                **{f"TPR at {100 * float(rate):g}% FPR": share.value for rate, share in one.true_positives.items()},
                "failed checks": float(sum(check.verdict == "failed" for check in one.checks)),
            }
        _report(results, target, rows, clock.seconds)
        if target.name == "linear":
            _leaks(results, target, recipe, classifier, members, others)


def _leaks(results: Results, target: Target, recipe: Any, classifier: Any, members: Any, others: Any) -> None:
    """How many of garrison's attacks a check fails in, where one shadow was trained with the target's training set.

    Once the owner's recipe keeps to the training set that it knows and lets the splits say otherwise; once the splits
    themselves are the target's, which is what the same seed for both does.
    """
    import torch

    from garrison.robustness.privacy.game import Game, confidences, splits, views
    from garrison.robustness.privacy.membership import ATTACKS, measure
    from garrison.robustness.privacy.membership_checks import checks

    seeds: list[int] = []

    def leaking(inputs: torch.Tensor, labels: torch.Tensor, seed: int) -> Any:
        seeds.append(seed)
        if len(seeds) == 1:
            inputs, labels = (torch.from_numpy(one[: target.half]) for one in (target.inputs, target.labels))
        return recipe(inputs, labels, seed)

    failed = [
        check.name
        for one in measure(classifier, members, others, train=leaking, shadows=8, samples=target.half, seed=SHADOW_SEED)
        for check in one.checks
        if check.verdict == "failed"
    ]
    inputs, labels = torch.from_numpy(target.inputs), torch.from_numpy(target.labels)
    inside = np.arange(len(labels)) < target.half
    chosen = splits(8, len(labels), np.random.default_rng(SHADOW_SEED))
    chosen[0], chosen[1] = inside, ~inside
    seen = views("table", 1)
    shadows = [recipe(inputs[one], labels[one], seed) for seed, one in enumerate(torch.from_numpy(chosen))]
    asked = np.stack([confidences(shadow, inputs, labels, seen) for shadow in shadows])
    game = Game(confidences(classifier, inputs, labels, seen), asked, chosen, inside)
    same = [
        check.name
        for score in ATTACKS.values()
        for check in checks(game, score, (0.01,), 0)
        if check.verdict == "failed"
    ]
    for plant, fired in (("one shadow trained with the members", failed), ("one shadow's split the target's", same)):
        results.add(plant, **{f"{name} fails": float(fired.count(name)) for name in CHECKS})


def art(world: World, results: Results) -> None:
    import torch
    from art.attacks.inference.membership_inference import MembershipInferenceBlackBox
    from art.estimators.classification import PyTorchClassifier
    from art.estimators.classification.scikitlearn import ScikitlearnClassifier

    for target in targets(world):
        if isinstance(target.model, torch.nn.Module):
            model = PyTorchClassifier(target.model, torch.nn.CrossEntropyLoss(), (1, 28, 28), 10, clip_values=(0, 1))
        else:
            model = ScikitlearnClassifier(target.model)
        known, rows, seconds = target.half // 2, {}, 0.0
        own, rest = target.inputs[: target.half], target.inputs[target.half :]
        truth, others = target.labels[: target.half], target.labels[target.half :]
        for kind in ("rf", "nn"):
            seed()
            with timed() as clock:
                attack = MembershipInferenceBlackBox(model, attack_model_type=kind)
                attack.fit(own[:known], truth[:known], rest[:known], others[:known])
                scores = [
                    np.ravel(attack.infer(inputs[known:], labels[known:], probabilities=True)[..., -1])
                    for inputs, labels in ((own, truth), (rest, others))
                ]
            rows[f"black box, {kind}"] = {
                "AUC": area(*scores),
                **{f"TPR at {100 * rate:g}% FPR": true_positives(*scores, rate) for rate in (0.001, 0.01)},
                SECONDS: clock.seconds,
            }
            seconds += clock.seconds
        _report(results, target, rows, seconds)


def _report(results: Results, target: Target, rows: dict[str, dict[str, float]], seconds: float) -> None:
    """Each attack, and for each measure the best that the library has."""
    for name, measures in rows.items():
        results.add(f"{target.name}, {name}", **measures)
    best = {
        one: max(row[one] for row in rows.values()) for one in next(iter(rows.values())) if one[:3] in ("AUC", "TPR")
    }
    results.add(f"{target.name}, the strongest", **best, **{SECONDS: seconds})


if __name__ == "__main__":
    main({"garrison": garrison, "art": art})
