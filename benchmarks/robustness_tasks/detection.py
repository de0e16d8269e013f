"""Detectors of adversarial inputs, on adversarial inputs that all of them see, and on ones made against each.

    python benchmarks/robustness_tasks/detection.py LIBRARY FOLDER      # garrison first, art, alibi-detect

garrison's run writes `adversarial.npz`: what fools the model of inputs that it decided rightly. PGD takes all of its
steps, so that the model is confident of what is wrong. Benign are inputs that nobody fitted with, whatever the model
decides. The attack that knows of a detector goes through it by its gradient; alibi-detect's, in another framework, are
spared it. The worst column is over all attacks but that one.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from separation import area, true_positives
from world import EPSILON, SEED, Results, World, main, timed

FITTED = 12_000
"""Training images that detectors are fitted with."""
ATTACKED, AWARE = 400, 100
"""Test images that are attacked, and by the attack that knows of the detector."""
BENIGN, CALIBRATING = slice(1000, 3000), slice(3000, 6000)
"""Of the test images."""
STEPS = 60
SINGLE, BATCH = 200, 256

Scoring = Callable[[np.ndarray], np.ndarray]
"""Inputs (n, 1, 28, 28) to scores (n,), higher for what is more suspicious."""


def garrison(world: World, results: Results) -> None:
    import tempfile

    import torch

    from garrison.robustness.classifier import of_module
    from garrison.robustness.data import Data
    from garrison.robustness.detection.kinds import KINDS
    from garrison.robustness.detection.stored import StoredDetector
    from garrison.robustness.detection.storing import Origin, store

    model = world.model("std")
    classifier = of_module(model, 10)
    _adversarial(world, classifier)
    trial = Trial(world, results)
    data = Data(*world.images("train", FITTED), "image")
    calibrating = world.images("test")[0][CALIBRATING]
    for kind, recipe in KINDS.items():
        torch.manual_seed(SEED)
        with timed() as fit:
            detector = recipe().fit(classifier, data, seed=SEED)
            detector.calibrate(calibrating, 0.01)
        with tempfile.TemporaryDirectory() as folder:
            store(detector, f"{folder}/detector", calibrating[:BATCH], Origin("std", "Fashion-MNIST"))
            stored = StoredDetector.load(f"{folder}/detector")
        trial.measure(kind, stored.scores, fit.seconds)
        trial.measure_aware(kind, model, detector.module)


def art(world: World, results: Results) -> None:
    import torch
    from art.attacks.evasion import ProjectedGradientDescent
    from art.defences.detector.evasion import (
        BinaryActivationDetector,
        BinaryInputDetector,
        SubsetScanningDetector,
    )
    from art.estimators.classification import PyTorchClassifier
    from torch import nn
    from world import untrained

    def wrapped(module: Any, shape: tuple[int, ...], classes: int) -> Any:
        optimizer = torch.optim.Adam(module.parameters(), 1e-3)
        return PyTorchClassifier(module, nn.CrossEntropyLoss(), shape, classes, optimizer, clip_values=(0, 1))

    trial = Trial(world, results)
    model = world.model("std")
    classifier = wrapped(model, (1, 28, 28), 10)
    inputs = world.images("train", FITTED // 4)[0]
    # They are trained on an attack: PGD, which half of the columns are.
    bad = ProjectedGradientDescent(classifier, eps=EPSILON, eps_step=0.01, max_iter=40, verbose=False).generate(inputs)
    both = np.concatenate([inputs, bad])
    which = np.eye(2, dtype=np.float32)[np.repeat([0, 1], len(inputs))]

    torch.manual_seed(SEED)
    network = nn.Sequential(*untrained()[:-1], nn.Linear(64, 2))
    detector = BinaryInputDetector(wrapped(network, (1, 28, 28), 2))
    with timed() as fit:
        detector.fit(both, which, batch_size=128, nb_epochs=5)
    network.eval()
    margin = nn.Sequential(network, nn.Linear(2, 1, bias=False))
    margin[1].weight.data = torch.tensor([[-1.0, 1.0]])
    trial.measure("BinaryInputDetector", lambda given: _margin(detector.detect(given)[0]), fit.seconds)
    trial.measure_aware("BinaryInputDetector", model, nn.Sequential(margin, nn.Flatten(0)))

    torch.manual_seed(SEED)
    dense = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 2))
    layer = _penultimate(classifier, inputs[:2])
    activations = BinaryActivationDetector(classifier, wrapped(dense, (64,), 2), layer)
    with timed() as fit:
        activations.fit(both, which, batch_size=128, nb_epochs=20)
    dense.eval()
    whole = nn.Sequential(*model[:-1], dense, margin[1], nn.Flatten(0))
    trial.measure("BinaryActivationDetector", lambda given: _margin(activations.detect(given)[0]), fit.seconds)
    trial.measure_aware("BinaryActivationDetector", model, whole)

    with timed() as fit:
        scanning = SubsetScanningDetector(classifier, inputs[:1000], layer, verbose=False)
    trial.measure(
        "SubsetScanningDetector",
        lambda given: np.ravel(scanning.detect(given)[0]["scores"]), fit.seconds,
    )  # fmt: skip


def alibi_detect(world: World, results: Results) -> None:
    import os

    os.environ["TF_USE_LEGACY_KERAS"] = "1"
    import tensorflow as tf
    from alibi_detect.ad import AdversarialAE, ModelDistillation

    trial, layers = Trial(world, results), tf.keras.layers
    tf.keras.utils.set_random_seed(SEED)
    model = tf.keras.Sequential([
        layers.Conv2D(16, 3, padding="same", activation="relu", input_shape=(28, 28, 1)), layers.MaxPool2D(),
        layers.Conv2D(32, 3, padding="same", activation="relu"), layers.MaxPool2D(),
        layers.Flatten(), layers.Dense(64, activation="relu"), layers.Dense(10, activation="softmax"),
    ])  # fmt: skip
    with np.load(world.folder / "std.npz", allow_pickle=False) as weights:
        values = list(weights.values())
    for place in (0, 2):
        values[place] = values[place].transpose(2, 3, 1, 0)
    # What is flattened is channels first in torch, and last here.
    values[4] = values[4].reshape(64, 32, 7, 7).transpose(2, 3, 1, 0).reshape(-1, 64)
    values[6] = values[6].T
    model.set_weights(values)

    inputs = world.images("train", FITTED)[0].transpose(0, 2, 3, 1)
    encoder = tf.keras.Sequential([
        layers.InputLayer(input_shape=(28, 28, 1)),
        layers.Conv2D(32, 4, strides=2, padding="same", activation="relu"),
        layers.Conv2D(64, 4, strides=2, padding="same", activation="relu"),
        layers.Flatten(), layers.Dense(40),
    ])  # fmt: skip
    decoder = tf.keras.Sequential([
        layers.InputLayer(input_shape=(40,)), layers.Dense(7 * 7 * 64, activation="relu"), layers.Reshape((7, 7, 64)),
        layers.Conv2DTranspose(32, 4, strides=2, padding="same", activation="relu"),
        layers.Conv2DTranspose(1, 4, strides=2, padding="same", activation="sigmoid"),
    ])  # fmt: skip
    small = tf.keras.Sequential([
        layers.InputLayer(input_shape=(28, 28, 1)), layers.Conv2D(16, 3, padding="same", activation="relu"),
        layers.MaxPool2D(), layers.Conv2D(32, 3, padding="same", activation="relu"), layers.MaxPool2D(),
        layers.Flatten(), layers.Dense(10, activation="softmax"),
    ])  # fmt: skip
    detectors = {
        "AdversarialAE": AdversarialAE(encoder_net=encoder, decoder_net=decoder, model=model),
        "ModelDistillation": ModelDistillation(distilled_model=small, model=model),
    }
    images, labels = world.images("test")
    decided = model.predict(_last(images), verbose=0).argmax(1)
    results.add("the model in this framework", accuracy=float((decided == labels).mean()))
    for name, detector in detectors.items():
        with timed() as fit:
            detector.fit(inputs, epochs=10, verbose=False)
        trial.measure(name, lambda given, detector=detector: np.ravel(detector.score(_last(given))), fit.seconds)


def _last(images: np.ndarray) -> np.ndarray:
    """Channels last."""
    return np.ascontiguousarray(images.transpose(0, 2, 3, 1))


def _margin(report: dict[str, Any]) -> np.ndarray:
    """Of ART's report on a binary detector, whose scores are logits."""
    logits = np.asarray(report["predictions"])
    return logits[:, 1] - logits[:, 0]


def _penultimate(classifier: Any, example: np.ndarray) -> int:
    """The layer whose 64 numbers the last one is given, by the place that ART counts it at."""
    shapes = [
        classifier.get_activations(example, place, len(example)).shape for place in range(len(classifier.layer_names))
    ]
    return max(place for place, shape in enumerate(shapes) if shape[1:] == (64,))


def _adversarial(world: World, classifier: Any) -> None:
    """Write the adversarial inputs, once."""
    from garrison.robustness.attacks.carlini_wagner import CarliniWagner
    from garrison.robustness.attacks.square import Square

    if (world.folder / "adversarial.npz").exists():
        return
    inputs, labels = _right(world, classifier, ATTACKED)
    cw = CarliniWagner(searches=3)(classifier, inputs, labels, [10.0], seed=SEED)
    square = Square(queries=1000)(classifier, inputs, labels, [EPSILON], seed=SEED)
    found = {
        "PGD 0.1": _pgd(classifier, inputs, labels, 0.1),
        "PGD 0.03": _pgd(classifier, inputs, labels, 0.03),
        "C&W L2": cw.adversarial[0],
        "Square 0.1": square.adversarial[0],
    }
    part = world.folder / "adversarial.part.npz"
    np.savez(part, **{name: one[classifier.labels(one) != labels].numpy() for name, one in found.items()})
    part.rename(world.folder / "adversarial.npz")


def _right(world: World, model: Any, count: int) -> tuple[Any, Any]:
    """Of the first test images, those that the model decides rightly."""
    import torch

    inputs, labels = (torch.from_numpy(one) for one in world.images("test", count))
    with torch.no_grad():
        right = model(inputs).argmax(1) == labels
    return inputs[right], labels[right]


def _pgd(model: Any, inputs: Any, labels: Any, epsilon: float, steps: int = 40) -> Any:
    import torch

    noise = torch.Generator().manual_seed(SEED)
    delta = (torch.rand(inputs.shape, generator=noise) * 2 - 1) * epsilon
    for _ in range(steps):
        delta = delta.detach().requires_grad_()
        loss = torch.nn.functional.cross_entropy(model((inputs + delta).clamp(0, 1)), labels, reduction="sum")
        (slope,) = torch.autograd.grad(loss, delta)
        delta = (delta + epsilon / 10 * slope.sign()).clamp(-epsilon, epsilon)
    return (inputs + delta).clamp(0, 1).detach()


def _aware(model: Any, detector: Any, inputs: Any, labels: Any) -> tuple[Any, Any]:
    """Steps against the model where it is right, against the detector where it is wrong (Bryniarski et al. 2021).

    The calmest of the wrong points, and whether there was one.
    """
    import torch

    noise = torch.Generator().manual_seed(SEED)
    moved = (inputs + EPSILON * (torch.rand(inputs.shape, generator=noise) * 2 - 1)).clamp(0, 1)
    found, lowest = inputs.clone(), torch.full((len(inputs),), torch.inf)
    for step in range(STEPS):
        moved = moved.detach().requires_grad_()
        scores, suspicion = model(moved), detector(moved)
        right = scores.argmax(1) == labels
        better = ~right & (suspicion < lowest)
        found[better], lowest[better] = moved.detach()[better], suspicion.detach()[better]
        own = scores.gather(1, labels[:, None])[:, 0]
        margin = own - scores.scatter(1, labels[:, None], -torch.inf).amax(1)
        (slope,) = torch.autograd.grad(torch.where(right, margin, suspicion).sum(), moved)
        size = EPSILON * (0.25 if step < STEPS // 3 else 0.1 if step < 2 * STEPS // 3 else 0.03)
        moved = (moved.detach() - size * slope.sign()).clamp(0, 1)
        moved = inputs + (moved - inputs).clamp(-EPSILON, EPSILON)
    return found, lowest.isfinite()


class Trial:
    """A library's detectors, measured one after the other."""

    def __init__(self, world: World, results: Results) -> None:
        file = world.folder / "adversarial.npz"
        if not file.exists():
            raise SystemExit(f"{file}: is not there; run garrison first, which writes what all are measured on")
        with np.load(file, allow_pickle=False) as adversarial:
            self._adversarial = dict(adversarial)
        self._benign = world.images("test")[0][BENIGN]
        self._world, self._results = world, results
        self._worst: list[tuple[float, float]] = []

    def measure(self, name: str, score: Scoring, fit: float) -> None:
        """Against what was found against the model alone; `fit` are the seconds that the detector took."""
        usual = score(self._benign)
        rates = {attack: _rates(score(bad), usual) for attack, bad in self._adversarial.items()}
        for attack, measured in rates.items():
            self._results.add(f"{name}, {attack}", **measured)
        self._worst.append(tuple(min(one[measure] for one in rates.values()) for measure in ("AUROC", "TPR at 1% FPR")))
        for which, (area_then, share) in ((name, self._worst[-1]), ("the best detector", max(self._worst))):
            self._results.add(f"{which} at its worst", **{"AUROC": area_then, "TPR at 1% FPR": share})
        with timed() as single:
            for one in self._benign[:SINGLE]:
                score(one[np.newaxis])
        with timed() as batch:
            score(self._benign[:BATCH])
        cost = {"us for one": single.seconds / SINGLE * 1e6, "us of 256": batch.seconds / BATCH * 1e6}
        self._results.add(f"{name}, cost", **{"CPU s": fit}, **cost)

    def measure_aware(self, name: str, model: Any, detector: Any) -> None:
        """Against an attack that knows of it; `detector` is the torch module."""
        import torch

        inputs, labels = _right(self._world, model, AWARE)
        found, wrong = _aware(model, detector, inputs, labels)
        with torch.no_grad():
            usual = torch.cat([detector(batch) for batch in torch.from_numpy(self._benign).split(BATCH)])
            scores = detector(found[wrong])
        quiet = float((scores <= usual.sort().values[-1 - len(usual) // 100]).sum()) / len(inputs)
        self._results.add(f"{name}, aware of it", **_rates(scores.numpy(), usual.numpy()), **{"evades both": quiet})


def _rates(scores: np.ndarray, usual: np.ndarray) -> dict[str, float]:
    return {
        "AUROC": area(scores, usual),
        "TPR at 1% FPR": true_positives(scores, usual, 0.01),
        "TPR at 5% FPR": true_positives(scores, usual, 0.05),
    }


if __name__ == "__main__":
    main({"garrison": garrison, "art": art, "alibi-detect": alibi_detect})
