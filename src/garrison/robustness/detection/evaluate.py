"""How detectors do against attacks, those included that know of them."""

import math
import time
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from garrison.core.errors import UsageError
from garrison.core.robustness_card import Detection, Estimate, rate
from garrison.robustness.attacks.attack import Attack
from garrison.robustness.classifier import Classifier
from garrison.robustness.data import Data
from garrison.robustness.detection.aware import calmed
from garrison.robustness.detection.detector import BATCH, Detector, benign

RATES = (0.01, 0.05)
"""False-positive rates that true-positive rates are given at."""
_TIMED = 50


def evaluate(
    detectors: Mapping[str, Detector],
    classifier: Classifier,
    data: Data,
    attacks: Sequence[tuple[Attack, float]],
    *,
    adaptive: float | None = None,
    seed: int = 0,
) -> tuple[Detection, ...]:
    """Each detector against each attack under its budget, and against one that knows of it within linf `adaptive`.

    The attacks see what the classifier decides rightly of the first half of `data`; the benign inputs that they are
    held against are the second half, whatever is decided. Only what an attack turned into a misclassified input
    counts as adversarial. An attack that turned nothing is left out. Raises `UsageError` for data that are too few,
    and for detectors that are not calibrated.
    """
    if any(detector.calibration is None for detector in detectors.values()):
        raise UsageError("detectors are evaluated at their thresholds; calibrate them first")
    half = len(data) // 2
    if half < 20:
        raise UsageError(
            f"{len(data):,} inputs; evaluating detectors takes 40 at the least, half of them as benign ones"
        )
    attacked, labels = benign(classifier, Data(data.inputs[:half], data.labels[:half], data.kind, name=data.name))
    clean = np.asarray(data.inputs[half:], dtype=np.float32)
    found: list[Detection] = []
    moved = [(attack.name, _moved(attack, classifier, attacked, labels, epsilon, seed)) for attack, epsilon in attacks]
    for name, detector in detectors.items():
        usual = detector.score(clean)
        cost = _microseconds(detector, clean)
        for attack, (inputs, wrong) in moved:
            found += _detection(name, detector, attack, False, usual, inputs, wrong, cost)
        if adaptive is not None:
            inputs, wrong = _calmed(classifier, detector, attacked, labels, adaptive, seed)
            found += _detection(name, detector, f"detector-aware linf:{adaptive:.6g}", True, usual, inputs, wrong, cost)
    return tuple(found)


def _moved(
    attack: Attack, classifier: Classifier, inputs: Tensor, labels: Tensor, epsilon: float, seed: int
) -> tuple[Tensor, Tensor]:
    outcome = attack(classifier, inputs, labels, [epsilon], seed=seed)
    return outcome.adversarial[0], outcome.success[0]


def _calmed(
    classifier: Classifier, detector: Detector, inputs: Tensor, labels: Tensor, epsilon: float, seed: int
) -> tuple[Tensor, Tensor]:
    parts = [
        calmed(classifier, detector.module, some, those, epsilon, seed=seed)
        for some, those in zip(torch.split(inputs, BATCH), torch.split(labels, BATCH), strict=True)
    ]
    return torch.cat([part[0] for part in parts]), torch.cat([part[1] for part in parts])


def _detection(
    name: str,
    detector: Detector,
    attack: str,
    adaptive: bool,
    usual: NDArray[np.float32],
    inputs: Tensor,
    wrong: Tensor,
    cost: float,
) -> list[Detection]:
    if not wrong.any():
        return []
    bad = inputs[wrong]
    scores = detector.score(bad)
    undetected = int((~detector.flag(bad)).sum())
    return [
        Detection(
            detector=name,
            attack=attack,
            adaptive=adaptive,
            auroc=auroc(usual, scores),
            true_positives={f"{share:g}": true_positives(usual, scores, share) for share in RATES},
            evades_both=rate(undetected, len(inputs)),
            microseconds=cost,
            samples=len(bad),
        )
    ]


def auroc(benign_scores: NDArray[np.floating], scores: NDArray[np.floating]) -> Estimate:
    """The probability that an adversarial input scores higher than a benign one, equals counting half.

    The interval is that of Hanley and McNeil (1982). What is not a number counts as higher than all.
    """
    low, high = (np.nan_to_num(np.asarray(one, dtype=np.float64), nan=np.inf) for one in (benign_scores, scores))
    ordered = np.sort(low)
    below = np.searchsorted(ordered, high, "left") + np.searchsorted(ordered, high, "right")
    area = float(below.mean() / 2 / len(low))
    one, two = area / (2 - area), 2 * area * area / (1 + area)
    spread = area * (1 - area) + (len(high) - 1) * (one - area * area) + (len(low) - 1) * (two - area * area)
    half = 1.959963984540054 * math.sqrt(max(spread, 0.0) / (len(low) * len(high)))
    return Estimate(value=area, low=max(0.0, area - half), high=min(1.0, area + half))


def true_positives(benign_scores: NDArray[np.floating], scores: NDArray[np.floating], share: float) -> Estimate:
    """The share of adversarial inputs that score above all but `share` of the benign ones, with Wilson's interval.

    The interval takes the benign scores as given.
    """
    ordered = np.sort(np.nan_to_num(np.asarray(benign_scores, dtype=np.float64), nan=np.inf))
    threshold = ordered[len(ordered) - 1 - math.floor(share * len(ordered) + 1e-9)]
    found = rate(int((~(np.asarray(scores) <= threshold)).sum()), len(scores))
    return Estimate(value=found.value, low=found.low, high=found.high)


def _microseconds(detector: Detector, inputs: NDArray[np.float32]) -> float:
    """Median over inputs one at a time, as fitted; a stored detector says its own."""
    taken = []
    for one in inputs[:_TIMED]:
        started = time.perf_counter()
        detector.score(one[np.newaxis])
        taken.append(time.perf_counter() - started)
    return round(float(np.median(taken)) * 1e6, 1)
