"""Evasion: the attacks that libraries share, within linf 0.1, judged by the model itself.

    python benchmarks/robustness_tasks/evasion.py LIBRARY FOLDER

An input counts as robust if the model is right about it and about what the library made of it; what lies outside of the
budget or the bounds is put back into them first. Queries are the points that the model was asked about.
"""

import math
import statistics
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from world import CLASSES, EPSILON, MODELS, SEED, Results, World, main, seed, timed

STEPS, STEP = 40, 0.01
BATCH = 250
FEW, FEWER, FEWEST = 100, 50, 10
"""Inputs for AutoAttack, for Square and for HopSkipJump."""
SQUARE_QUERIES = 1000
QUERIES = (300, 1000)
"""Of HopSkipJump for one input; all that it asks counts, the best point of all is kept."""

Attacking = Callable[[torch.nn.Module, Tensor, Tensor, int], Any]
"""What a model is to take inputs (n, 1, 28, 28) with labels (n,) for wrongly, from a seed: a tensor or an array."""


@dataclass
class Attacks:
    """One library's attacks; none that it does not have."""

    pgd: Attacking
    square: Attacking | None = None
    autoattack: dict[int, Attacking] | None = None
    """By the steps of its gradient attacks."""
    auto_pgd: Attacking | None = None
    hopskipjump: Attacking | None = None
    """On one input at a time."""


class Asked(torch.nn.Module):
    """The model, which counts the points that it is asked about, and knows the nearest wrong one to an input."""

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.model = model
        self.points = 0
        self.nearest = math.inf
        """In L2, of the points asked about since `watch`."""
        self._watched: tuple[Tensor, int, int] | None = None
        self.eval()

    def watch(self, one: Tensor, label: int, limit: int) -> None:
        """Raise `Spent` after so many more points."""
        self._watched, self.points, self.nearest = (one, label, limit), 0, math.inf

    def forward(self, points: Tensor) -> Tensor:
        points = points.float()  # some ask in float64
        scores: Tensor = self.model(points)
        before, self.points = self.points, self.points + len(scores)
        if self._watched is not None:
            one, label, limit = self._watched
            allowed = max(0, limit - before)
            wrong = scores[:allowed].argmax(1) != label
            away = (points[:allowed].detach() - one).flatten(1).norm(dim=1)[wrong]
            self.nearest = min([self.nearest, *away.tolist()])
            if self.points > limit:
                raise Spent
        return scores


class Spent(Exception):
    """The queries are spent."""


def measure(library: Callable[[], Attacks], world: World, results: Results) -> None:
    torch.set_num_threads(1)
    images, labels = map(torch.from_numpy, world.images("test", world.settings["inputs"]))
    attacks = library()
    models = {name: Asked(world.model(name)) for name in MODELS}
    repeats = world.settings["seeds"]
    tried = [
        ("PGD", attacks.pgd, len(images), repeats),
        ("Square", attacks.square, FEWER, repeats),
        ("APGD on two losses", attacks.auto_pgd, len(images), 1),
    ]
    for name, model in models.items():
        for what, attack, count, times in tried:
            if attack is not None:
                _within_budget(f"{what}, {name}", attack, model, images[:count], labels[:count], times, results)
        if attacks.hopskipjump is not None:
            _by_decisions(name, attacks.hopskipjump, model, images, labels, results)
    for steps, attack in (attacks.autoattack or {}).items():  # last, for one of them takes more than its time
        for name, model in models.items():
            what = f"AutoAttack, {steps} steps, {name}"
            _within_budget(what, attack, model, images[:FEW], labels[:FEW], 1, results)


def _within_budget(
    what: str, attack: Attacking, model: Asked, images: Tensor, labels: Tensor, repeats: int, results: Results
) -> None:
    """Means over seeds, and the median time."""
    times, robust, queries = [], [], []
    for repeat in range(repeats):
        seed(SEED + repeat)
        model.points = 0
        with timed() as clock:
            found = attack(model, images, labels, SEED + repeat)
        times.append(clock.seconds)
        queries.append(model.points / len(images))
        robust.append(_robust(model.model, images, labels, found))
    results.add(
        what,
        robust_accuracy=statistics.mean(robust),
        CPU_s=statistics.median(times),
        queries=statistics.mean(queries),
    )


@torch.no_grad()
def _robust(model: torch.nn.Module, images: Tensor, labels: Tensor, found: Any) -> float:
    """The share that the model is right about, as it was and as it is now."""
    moved = torch.as_tensor(found).detach()
    within = torch.minimum(torch.maximum(moved, images - EPSILON), images + EPSILON).clamp(0, 1)
    right = (model(images).argmax(1) == labels) & (model(within).argmax(1) == labels)
    return int(right.sum()) / len(labels)


def _by_decisions(name: str, attack: Attacking, model: Asked, images: Tensor, labels: Tensor, results: Results) -> None:
    """The distance to the first inputs that the model is right about, which are attacked one by one."""
    with torch.no_grad():
        right = (model.model(images[:FEW]).argmax(1) == labels[:FEW]).nonzero().flatten()[:FEWEST]
    for queries in QUERIES:
        lengths = []
        with timed() as clock:
            for place in right.tolist():
                seed(SEED)
                one, label = images[place : place + 1], labels[place : place + 1]
                watched = Asked(model.model)
                watched.watch(one, int(label), queries)
                with suppress(Spent):
                    attack(watched, one, label, SEED)
                lengths.append(watched.nearest)
        results.add(
            f"HopSkipJump, {queries} queries, {name}",
            median_L2=statistics.median(lengths),
            CPU_s=clock.seconds,
            queries=queries,
        )


def garrison() -> Attacks:
    from garrison.robustness.attacks import autoattack
    from garrison.robustness.attacks.apgd import APGDCE, APGDDLR
    from garrison.robustness.attacks.attack import Attack
    from garrison.robustness.attacks.hopskipjump import HopSkipJump
    from garrison.robustness.attacks.pgd import PGD
    from garrison.robustness.attacks.square import Square
    from garrison.robustness.classifier import of_module

    def of(*attacks: Attack) -> Attacking:
        def attack(model: torch.nn.Module, images: Tensor, labels: Tensor, seed: int) -> Any:
            classifier, found = of_module(model, CLASSES), images.clone()
            left = torch.arange(len(images))
            for one in attacks:
                outcome = one(classifier, images[left], labels[left], [EPSILON], seed=seed)
                found[left] = outcome.adversarial[0]
                left = left[~outcome.success[0]]
            return found

        return attack

    return Attacks(
        pgd=of(PGD(steps=STEPS, step=STEP, batch=BATCH)),
        auto_pgd=of(APGDCE(batch=BATCH), APGDDLR(batch=BATCH)),
        square=of(Square(queries=SQUARE_QUERIES)),
        autoattack={steps: of(*autoattack.standard("linf", CLASSES, steps=steps)) for steps in (10, 100)},
        hopskipjump=of(HopSkipJump(queries=max(QUERIES) + 1, start="noise")),
    )


def art() -> Attacks:
    from art.attacks.evasion import AutoAttack, HopSkipJump, ProjectedGradientDescentPyTorch, SquareAttack
    from art.estimators.classification import PyTorchClassifier

    def of(kind: Any, **settings: Any) -> Attacking:
        def attack(model: torch.nn.Module, images: Tensor, labels: Tensor, seed: int) -> Any:
            estimator = PyTorchClassifier(
                model,
                torch.nn.CrossEntropyLoss(),
                images.shape[1:],
                CLASSES,
                optimizer=torch.optim.Adam(model.parameters()),
                clip_values=(0.0, 1.0),
                device_type="cpu",
            )
            return kind(estimator, batch_size=BATCH, **settings).generate(images.numpy(), labels.numpy())

        return attack

    quiet = {"verbose": False}
    within = {"norm": np.inf, "eps": EPSILON}
    return Attacks(
        pgd=of(ProjectedGradientDescentPyTorch, **within, eps_step=STEP, max_iter=STEPS, num_random_init=1, **quiet),
        square=of(SquareAttack, **within, max_iter=SQUARE_QUERIES, **quiet),
        autoattack={100: of(AutoAttack, **within, eps_step=STEP)},
        hopskipjump=of(HopSkipJump, norm=2, max_iter=64, max_eval=1000, init_eval=100, **quiet),
    )


def foolbox() -> Attacks:
    from foolbox import PyTorchModel
    from foolbox.attacks import HopSkipJumpAttack, LinfPGD

    def pgd(model: torch.nn.Module, images: Tensor, labels: Tensor, seed: int) -> Any:
        wrapped = PyTorchModel(model, bounds=(0, 1), device="cpu")
        attack = LinfPGD(steps=STEPS, abs_stepsize=STEP)
        parts = zip(images.split(BATCH), labels.split(BATCH), strict=True)
        return torch.cat([attack(wrapped, some, their, epsilons=EPSILON)[1] for some, their in parts])

    def hopskipjump(model: torch.nn.Module, images: Tensor, labels: Tensor, seed: int) -> Any:
        wrapped = PyTorchModel(model, bounds=(0, 1), device="cpu")
        return HopSkipJumpAttack(steps=64, max_gradient_eval_steps=1000)(wrapped, images, labels, epsilons=None)[1]

    return Attacks(pgd=pgd, hopskipjump=hopskipjump)


def torchattacks() -> Attacks:
    import torchattacks as library

    def of(kind: Any, **settings: Any) -> Attacking:
        def attack(model: torch.nn.Module, images: Tensor, labels: Tensor, seed: int) -> Any:
            seeded = {"seed": seed} if kind is not library.PGD else {}
            ready = kind(model, eps=EPSILON, **seeded, **settings)
            parts = zip(images.split(BATCH), labels.split(BATCH), strict=True)
            return torch.cat([ready(some, their).detach() for some, their in parts])

        return attack

    def autoattack(steps: int) -> Attacking:
        """Its own takes 10 steps, where the authors of AutoAttack take 100."""

        def attack(model: torch.nn.Module, images: Tensor, labels: Tensor, seed: int) -> Any:
            ready = library.AutoAttack(model, eps=EPSILON, n_classes=CLASSES, seed=seed)
            for one in ready._autoattack.attacks:
                if hasattr(one, "steps"):
                    one.steps = steps
            return ready(images, labels)

        return attack

    return Attacks(
        pgd=of(library.PGD, alpha=STEP, steps=STEPS),
        square=of(library.Square, n_queries=SQUARE_QUERIES),
        autoattack={steps: autoattack(steps) for steps in (10, 100)},
    )


LIBRARIES = {
    library.__name__: (lambda world, results, library=library: measure(library, world, results))
    for library in (garrison, art, foolbox, torchattacks)
}

if __name__ == "__main__":
    main(LIBRARIES)
