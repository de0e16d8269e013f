"""What is measured of detectors, against attacks that know of them too."""

import dataclasses
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn

from garrison.core.errors import UsageError
from garrison.core.robustness_card import Access, Norm
from garrison.robustness.attacks.attack import Attack, Outcome, Progress
from garrison.robustness.classifier import Classifier
from garrison.robustness.data import Data
from garrison.robustness.detection.aware import calmed
from garrison.robustness.detection.detector import Detector
from garrison.robustness.detection.evaluate import auroc, evaluate, true_positives
from garrison.robustness.detection.squeezing import Squeezing
from tests.robustness.conftest import Digits
from tests.robustness.detection.conftest import data_of


@dataclasses.dataclass(frozen=True)
class Sign:
    """One step along the sign of the gradient."""

    name: ClassVar[str] = "sign"
    access: ClassVar[Access] = "gradients"
    norms: ClassVar[tuple[Norm, ...]] = ("linf",)

    @property
    def norm(self) -> Norm:
        return "linf"

    def __call__(
        self,
        classifier: Classifier,
        inputs: Tensor,
        labels: Tensor,
        epsilons: Sequence[float],
        *,
        seed: int,
        progress: Progress | None = None,
    ) -> Outcome:
        moved = inputs.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(nn.functional.cross_entropy(classifier(moved), labels), moved)
        moved = classifier.clip(inputs + epsilons[0] * gradient.sign())
        count = torch.ones(len(inputs), dtype=torch.int64)
        wrong = (classifier.labels(moved) != labels).unsqueeze(0)
        return Outcome(tuple(epsilons), moved.unsqueeze(0), wrong, count, count, count.unsqueeze(0))


@pytest.fixture
def detector(digits_classifier: Classifier, fitting: Data, held_out: Tensor) -> Detector:
    found = Squeezing().fit(digits_classifier, fitting)
    found.calibrate(held_out, 0.05)
    return found


def test_an_attack_that_knows_of_the_detector_evades_both_more_often(
    detector: Detector, digits_classifier: Classifier, digits: Digits
) -> None:
    assert isinstance(Sign(), Attack)
    data = data_of(digits.test[:300], digits.test_labels[:300])
    usual, aware = evaluate({"squeezing": detector}, digits_classifier, data, [(Sign(), 0.2)], adaptive=0.2)
    assert (usual.attack, usual.adaptive, usual.detector) == ("sign", False, "squeezing")
    assert aware.adaptive and "linf:0.2" in aware.attack
    assert aware.evades_both is not None and usual.evades_both is not None
    assert aware.evades_both.value > usual.evades_both.value
    assert aware.auroc.value < usual.auroc.value
    assert set(usual.true_positives) == {"0.01", "0.05"}
    assert usual.samples <= usual.evades_both.of <= 150
    assert usual.microseconds > 0


def test_an_aware_attack_stays_within_its_budget_and_is_the_same_each_time(
    detector: Detector, digits_classifier: Classifier, digits: Digits
) -> None:
    inputs, labels = digits.test[:60], digits.test_labels[:60]
    found, wrong = calmed(digits_classifier, detector.module, inputs, labels, 0.15, steps=20, seed=1)
    again, _ = calmed(digits_classifier, detector.module, inputs, labels, 0.15, steps=20, seed=1)
    assert torch.equal(found, again)
    assert (found - inputs).abs().max() <= 0.15 + 1e-6 and found.min() >= 0 and found.max() <= 1
    assert torch.equal(digits_classifier.labels(found)[wrong] != labels[wrong], torch.ones(int(wrong.sum())).bool())
    assert torch.equal(found[~wrong], inputs[~wrong])


def test_the_area_is_that_of_scikit_learn_and_its_interval_covers() -> None:
    random = np.random.default_rng(0)
    low, high = random.normal(size=300).round(1), random.normal(1, size=200).round(1)
    found = auroc(low, high)
    assert found.value == pytest.approx(roc_auc_score(np.r_[np.zeros(300), np.ones(200)], np.r_[low, high]))
    covered = 0
    for _ in range(200):
        one = auroc(random.normal(size=100), random.normal(1, size=100))
        assert one.low is not None and one.high is not None
        covered += one.low <= 0.7602 <= one.high  # the normal distribution's at 1/√2
    assert 180 <= covered <= 200


def test_true_positives_are_those_above_what_the_rate_allows() -> None:
    benign = np.arange(100.0)
    found = true_positives(benign, np.array([97.0, 98.0, 98.5, 200.0, np.nan]), 0.01)
    assert found.value == pytest.approx(3 / 5)
    assert true_positives(benign, benign, 0.05).value == pytest.approx(0.05)


def test_what_cannot_be_evaluated_is_said(detector: Detector, digits_classifier: Classifier, digits: Digits) -> None:
    with pytest.raises(UsageError, match="40 at the least"):
        evaluate({"s": detector}, digits_classifier, data_of(digits.test[:30], digits.test_labels[:30]), [])
    detector.calibration = None
    with pytest.raises(UsageError, match="calibrate"):
        evaluate({"s": detector}, digits_classifier, data_of(digits.test, digits.test_labels), [])
