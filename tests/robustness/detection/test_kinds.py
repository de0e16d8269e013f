"""Every kind of detector: it tells adversarial from benign, keeps its budget, and does the same once stored."""

import dataclasses
import functools
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn

from garrison.core.errors import UsageError
from garrison.robustness.classifier import Classifier, of_function, of_module
from garrison.robustness.data import Data
from garrison.robustness.detection import training
from garrison.robustness.detection.detector import Detector, Recipe
from garrison.robustness.detection.kinds import KINDS
from garrison.robustness.detection.stored import StoredDetector
from garrison.robustness.detection.storing import Origin, store

LEAST = {
    "combination": 0.85, "autoencoder": 0.7, "distillation": 0.85, "neighbours": 0.85, "ensemble": 0.85,
    "squeezing": 0.55, "mahalanobis": 0.7, "lid": 0.6,
}  # fmt: skip
"""AUROC against PGD; energy is blind to it."""


@pytest.fixture(scope="module")
def detectors(digits_network: nn.Module, fitting: Data, held_out: Tensor) -> dict[str, Detector]:
    classifier = of_module(digits_network, 10, name="digits")

    @functools.cache
    def fit(kind: str) -> Detector:
        found = KINDS[kind]().fit(classifier, fitting, seed=1)
        found.calibrate(held_out, 0.05)
        return found

    return _Lazy(fit)


class _Lazy(dict[str, Detector]):
    """Fits what is asked for."""

    def __init__(self, fit: object) -> None:
        self._fit = fit

    def __missing__(self, kind: str) -> Detector:
        return self._fit(kind)  # type: ignore[operator, no-any-return]


@pytest.mark.parametrize("kind", LEAST)
def test_adversarial_inputs_score_higher(
    kind: str, detectors: dict[str, Detector], unseen: tuple[Tensor, Tensor], adversarial: Tensor
) -> None:
    benign, bad = detectors[kind].score(unseen[0]), detectors[kind].score(adversarial)
    assert len(bad) > 50
    auroc = roc_auc_score(np.r_[np.zeros(len(benign)), np.ones(len(bad))], np.r_[benign, bad])
    assert auroc >= LEAST[kind]


@pytest.mark.parametrize("kind", KINDS)
def test_the_stored_detector_scores_and_flags_as_the_fitted_one(
    kind: str, detectors: dict[str, Detector], unseen: tuple[Tensor, Tensor], adversarial: Tensor, tmp_path: Path
) -> None:
    detector = detectors[kind]
    inputs = torch.cat([unseen[0], adversarial]).numpy()
    store(detector, str(tmp_path / "d"), inputs[:20], Origin("digits", "digits"))
    stored = StoredDetector.load(tmp_path / "d")
    ours, theirs = detector.score(inputs), stored.scores(inputs)
    np.testing.assert_allclose(theirs, ours, rtol=1e-3, atol=1e-4 * max(1.0, float(np.ptp(ours))))
    assert detector.calibration is not None
    clear = np.abs(ours - detector.calibration.threshold) > 1e-3 * np.ptp(ours)
    assert (stored.flags(inputs) == detector.flag(inputs))[clear].all()
    assert stored.cost is not None and stored.cost.microseconds > 0
    assert not any(path.suffix in (".pkl", ".pt", ".npy") for path in (tmp_path / "d").iterdir())


@pytest.mark.parametrize("kind", KINDS)
def test_scores_do_not_depend_on_the_batch(
    kind: str, detectors: dict[str, Detector], unseen: tuple[Tensor, Tensor]
) -> None:
    inputs = unseen[0][:8]
    alone = np.concatenate([detectors[kind].score(one.unsqueeze(0)) for one in inputs])
    together = detectors[kind].score(inputs)
    np.testing.assert_allclose(alone, together, rtol=1e-3, atol=1e-4 * max(1.0, float(np.ptp(together))))


@pytest.mark.parametrize("kind", KINDS)
def test_scores_have_gradients_for_an_attack_that_knows_of_the_detector(
    kind: str, detectors: dict[str, Detector], adversarial: Tensor
) -> None:
    moved = adversarial[:20].clone().requires_grad_()
    (gradient,) = torch.autograd.grad(detectors[kind].module(moved).sum(), moved)
    assert gradient.isfinite().all()
    assert gradient.flatten(1).abs().sum(1).gt(0).float().mean() > 0.5


@pytest.mark.parametrize("kind", ["distillation", "ensemble", "neighbours"])
def test_the_same_seed_gives_the_same_detector(
    kind: str, digits_classifier: Classifier, fitting: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "LEAST_STEPS", 10)
    small = Data(fitting.inputs[:400], fitting.labels[:400], "image")
    first, again, other = (KINDS[kind]().fit(digits_classifier, small, seed=seed) for seed in (3, 3, 4))
    inputs = fitting.inputs[400:500]
    assert (first.score(inputs) == again.score(inputs)).all()
    assert kind == "neighbours" or (first.score(inputs) != other.score(inputs)).any()


@pytest.mark.parametrize("kind", KINDS)
def test_tables_are_data_too(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "LEAST_STEPS", 20)
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, 600)
    inputs = (random.normal(size=(600, 6)) + 2 * labels[:, None]).astype(np.float32) * 100
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 2))
    with torch.no_grad():
        model[0].weight.copy_(torch.full((8, 6), 0.01))
        model[0].bias.zero_()
        model[2].weight.copy_(torch.stack([torch.full((8,), -1.0), torch.full((8,), 1.0)]))
        model[2].bias.copy_(torch.tensor([50.0, -50.0]) * 0.96)
    classifier = of_module(model, 2, low=float(inputs.min()), high=float(inputs.max()))
    detector = KINDS[kind]().fit(classifier, Data(inputs[:400], labels[:400], "table"))
    detector.calibrate(inputs[400:], 0.05)
    store(detector, str(tmp_path / "d"), inputs[:10], Origin("m", "d"))
    assert np.isfinite(StoredDetector.load(tmp_path / "d").scores(inputs)).all()


def test_a_kind_is_a_recipe_with_a_name_of_its_own() -> None:
    assert all(isinstance(make(), Recipe) and dataclasses.is_dataclass(make) for make in KINDS.values())
    assert [make.kind for make in KINDS.values()] == list(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_a_black_box_cannot_be_built_around(kind: str, fitting: Data) -> None:
    labels = torch.from_numpy(fitting.labels)
    told = dict(zip([one.tobytes() for one in fitting.inputs], labels, strict=True))
    blind = of_function(
        lambda given: nn.functional.one_hot(torch.stack([told[one.tobytes()] for one in given]), 10).numpy(),
        10,
        outputs="probabilities",
    )
    with pytest.raises(UsageError, match=r"graph|logits"):
        KINDS[kind]().fit(blind, fitting)


def test_probabilities_are_taken_as_such(probabilities: object, fitting: Data, digits_classifier: Classifier) -> None:
    assert callable(probabilities)
    same = KINDS["squeezing"]().fit(probabilities(), fitting).score(fitting.inputs[:50])
    np.testing.assert_allclose(
        same, KINDS["squeezing"]().fit(digits_classifier, fitting).score(fitting.inputs[:50]), atol=1e-5
    )
    with pytest.raises(UsageError, match="logits"):
        KINDS["energy"]().fit(probabilities(), fitting)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"labels": np.full(1200, 10)}, "10 classes"),
        ({"labels": np.full(1200, -1)}, "10 classes"),
        ({"inputs": np.full((1200, 1, 8, 8), np.nan, np.float32)}, "not finite"),
        ({"inputs": ["a"] * 1200, "kind": "text"}, "text"),
        ({"inputs": np.zeros((0, 1, 8, 8), np.float32), "labels": np.zeros(0, np.int64)}, "right about 0 of 0"),
    ],
)
def test_bad_data_is_said_to_be_so(
    change: dict[str, object], said: str, digits_classifier: Classifier, fitting: Data
) -> None:
    with pytest.raises(UsageError, match=said):
        KINDS["squeezing"]().fit(digits_classifier, dataclasses.replace(fitting, **change))  # type: ignore[arg-type]


def test_labels_off_by_one_are_said_to_be_so(digits_classifier: Classifier, fitting: Data) -> None:
    wrong = dataclasses.replace(fitting, inputs=fitting.inputs[:20], labels=(fitting.labels[:20] + 1) % 10)
    with pytest.raises(UsageError, match="check that the labels"):
        KINDS["distillation"]().fit(digits_classifier, wrong)


def test_inputs_that_are_not_finite_are_flagged(detectors: dict[str, Detector], unseen: tuple[Tensor, Tensor]) -> None:
    bad = unseen[0][:3].clone()
    bad[1, 0, 0, 0] = torch.nan
    assert detectors["squeezing"].flag(bad)[1]
    with pytest.raises(UsageError, match="shape"):
        detectors["squeezing"].score(torch.zeros(2, 1, 9, 9))


def test_a_detector_without_threshold_flags_nothing(digits_classifier: Classifier, fitting: Data) -> None:
    with pytest.raises(UsageError, match="calibrate"):
        KINDS["energy"]().fit(digits_classifier, fitting).flag(fitting.inputs)
