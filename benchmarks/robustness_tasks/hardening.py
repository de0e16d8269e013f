"""Hardening: what adversarial training gains and costs, on the same images, for as many epochs and steps of the attack.

    python benchmarks/robustness_tasks/hardening.py LIBRARY FOLDER

Every training starts from the model that was trained as usual. The attack that judges is nobody's: PGD on two losses
with restarts, on test images. Points are percentage points, gained under attack and lost without.
"""

from typing import Any

import torch
from torch import Tensor
from world import CLASSES, EPSILON, SEED, Results, World, main, seed, timed

TESTED = 500
EPOCHS, STEPS, BATCH = 3, 7, 128
BETA = 6.0
"""Of TRADES, as its authors set it."""
JUDGING_STEPS, RESTARTS = 30, 2


def garrison(world: World, results: Results) -> None:
    from garrison.core.robustness_card import Budget
    from garrison.robustness.attacks.pgd import PGD
    from garrison.robustness.hardening import Recipe, adversarial_training, trades

    images, labels = map(torch.from_numpy, world.images("train", world.settings["trained"]))
    common: dict[str, Any] = {
        "budget": Budget(norm="linf", epsilon=EPSILON),
        "classes": CLASSES,
        "test": (images[:1], labels[:1]),  # judged below, out of the time
        "attacks": [PGD(steps=1)],
        "seed": SEED,
        "recipe": Recipe(epochs=EPOCHS, steps=STEPS, batch=BATCH),
    }
    for name, train, more in (("PGD-AT", adversarial_training, {}), ("TRADES", trades, {"beta": BETA})):
        model = world.model("std")
        with timed() as clock:
            hardened = train(model, images, labels, **common, **more)
        _judge(name, world, hardened.model, clock.seconds, results)


def art(world: World, results: Results) -> None:
    import numpy as np
    from art.attacks.evasion import ProjectedGradientDescentPyTorch
    from art.defences.trainer import AdversarialTrainerMadryPGD, AdversarialTrainerTRADESPyTorch
    from art.estimators.classification import PyTorchClassifier

    images, labels = world.images("train", world.settings["trained"])
    step = 2.5 * EPSILON / STEPS
    for name in ("PGD-AT", "TRADES"):
        seed()
        model = world.model("std")
        estimator = PyTorchClassifier(
            torch.nn.Sequential(model),  # of several layers, its TRADES takes the first's outputs for the scores
            torch.nn.CrossEntropyLoss(),
            (1, 28, 28),
            CLASSES,
            optimizer=torch.optim.Adam(model.parameters(), 1e-3),
            clip_values=(0.0, 1.0),
            device_type="cpu",
        )
        with timed() as clock:
            if name == "PGD-AT":
                trainer = AdversarialTrainerMadryPGD(
                    estimator, EPOCHS, BATCH, eps=EPSILON, eps_step=step, max_iter=STEPS
                )
                trainer.fit(images, labels)
            else:
                attack = ProjectedGradientDescentPyTorch(
                    estimator, np.inf, EPSILON, step, max_iter=STEPS, num_random_init=1, batch_size=BATCH, verbose=False
                )
                trainer = AdversarialTrainerTRADESPyTorch(estimator, attack, BETA)
                trainer.fit(images, labels, nb_epochs=EPOCHS, batch_size=BATCH)
        _judge(name, world, model, clock.seconds, results)


def _judge(name: str, world: World, hardened: Any, seconds: float, results: Results) -> None:
    images, labels = map(torch.from_numpy, world.images("test", TESTED))
    clean, robust = _accuracy(hardened.eval(), images, labels)
    clean_before, robust_before = _accuracy(world.model("std"), images, labels)
    gained, lost = 100 * (robust - robust_before), 100 * (clean_before - clean)
    results.add(
        name,
        clean=clean,
        robust=robust,
        robust_points_gained=gained,
        clean_points_lost=lost,
        gained_for_each_lost=gained / lost if lost > 0 else None,
        CPU_s=seconds,
    )


def _accuracy(model: Any, images: Tensor, labels: Tensor) -> tuple[float, float]:
    """The shares that are right as they are, and whatever the attack does."""
    noise = torch.Generator().manual_seed(SEED)
    with torch.no_grad():
        right = model(images).argmax(1) == labels
    robust = right.clone()
    for turn in range(2 * RESTARTS):
        delta = (torch.rand(images.shape, generator=noise) * 2 - 1) * EPSILON
        for _ in range(JUDGING_STEPS):
            moved = (images + delta).clamp(0, 1).requires_grad_()
            scores = model(moved)
            robust &= scores.argmax(1) == labels
            (slope,) = torch.autograd.grad(_loss(scores, labels, by_margin=bool(turn % 2)), moved)
            delta = (delta + 2.5 * EPSILON / JUDGING_STEPS * slope.sign()).clamp(-EPSILON, EPSILON)
        with torch.no_grad():
            robust &= model((images + delta).clamp(0, 1)).argmax(1) == labels
    return int(right.sum()) / len(labels), int(robust.sum()) / len(labels)


def _loss(scores: Tensor, labels: Tensor, *, by_margin: bool) -> Tensor:
    if not by_margin:
        return torch.nn.functional.cross_entropy(scores, labels, reduction="sum")
    others = scores.scatter(1, labels[:, None], -torch.inf).amax(1)
    return (others - scores.gather(1, labels[:, None]).squeeze(1)).sum()


if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.optim.Adam(torch.nn.Linear(1, 1).parameters())  # imports a compiler, once, which is nobody's cost
    main({"garrison": garrison, "art": art})
