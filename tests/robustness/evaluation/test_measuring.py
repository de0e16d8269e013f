"""A whole card: every part of it, what is left out and why, and what is handed out on the way."""

from pathlib import Path

import msgspec.structs
import numpy as np
import pytest
import torch
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from torch import nn

from garrison.core.errors import UsageError
from garrison.core.robustness_card import Card, Model
from garrison.robustness.budgets import parsed
from garrison.robustness.classifier import Classifier, QueriesSpent, of_function, of_module
from garrison.robustness.data import Data
from garrison.robustness.detection.energy import Energy
from garrison.robustness.detection.neighbours import Neighbours
from garrison.robustness.detection.storing import Origin, store
from garrison.robustness.evaluation.measuring import measure
from garrison.robustness.evaluation.measuring_texts import measure_texts
from garrison.robustness.evaluation.request import Request, parts
from garrison.robustness.text.classifier import TextClassifier
from tests.robustness.conftest import Digits

MODEL = Model(name="digits", format="module", classes=10, access="gradients", outputs="logits")
LINF = (parsed("linf:0.1"),)


def images(digits: Digits, *, train: bool = False) -> Data:
    inputs, labels = (digits.train, digits.train_labels) if train else (digits.test, digits.test_labels)
    return Data(inputs.numpy(), labels.numpy(), "image", name="digits", sha256="a" * 64)


def test_every_part_is_on_the_card(digits: Digits, digits_network: nn.Module) -> None:
    partial: list[Card] = []
    told: list[float] = []
    card = measure(
        of_module(digits_network, 10),
        images(digits),
        Request(budgets=LINF, effort="quick", samples=30, members=images(digits, train=True), seconds=None),
        described=MODEL,
        model=digits_network,
        progress=lambda share, name: told.append(share),
        partial=partial.append,
    )
    assert card.complete
    for name in ("evasion", "costs", "curves", "slices", "pictures", "corruptions", "inference", "extraction"):
        assert getattr(card, name), name
    assert card.inversion
    assert card.triggers
    assert card.advice
    assert card.omitted == ()
    assert not any(one.suspected for one in card.triggers)
    assert [check.name for check in card.checks if check.verdict == "failed"] == []
    assert partial
    assert not any(one.complete for one in partial)
    assert told == sorted(told)
    assert 0.9 < told[-1] <= 1


def test_what_cannot_be_done_is_listed_with_the_reason(digits: Digits, digits_network: nn.Module) -> None:
    @torch.no_grad()
    def scores(inputs: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
        return digits_network(torch.from_numpy(inputs)).softmax(1).numpy()  # type: ignore[no-any-return]

    card = measure(
        of_function(scores, 10, outputs="probabilities"),
        images(digits),
        Request(budgets=LINF, effort="quick", samples=10, parts=parts(["evasion", "membership", "inversion"])),
        described=model_with(access="scores"),
    )
    reasons = {one.what: one.why for one in card.omitted}
    assert "no training data" in reasons["membership inference"]
    assert "gradients" in reasons["inversion"]
    assert any("apgd-ce" in what for what in reasons)
    assert [row.attack for row in card.evasion[0].attacks] == ["square"]


def model_with(**changes: object) -> Model:
    return msgspec.structs.replace(MODEL, **changes)


def test_decisions_alone_are_attacked_too(digits: Digits, digits_network: nn.Module) -> None:
    @torch.no_grad()
    def decide(inputs: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
        return digits_network(torch.from_numpy(inputs)).argmax(1).numpy()  # type: ignore[no-any-return]

    card = measure(
        of_function(decide, 10, outputs="labels"),
        images(digits),
        Request(budgets=(parsed("l2:1.5"),), effort="quick", samples=5, parts=parts(["evasion"])),
        described=model_with(access="labels"),
    )
    assert [row.attack for row in card.evasion[0].attacks] == ["hop-skip-jump"]
    assert card.evasion[0].robust_accuracy.value < card.clean_accuracy.value


class Hiding(nn.Module):
    """The same network behind a step function: its gradients are zero nearly everywhere."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.network((inputs * 16).round() / 16)
        return found


def test_a_false_sense_of_safety_is_called_one(digits: Digits, digits_network: nn.Module) -> None:
    card = measure(
        of_module(Hiding(digits_network), 10),
        images(digits),
        Request(budgets=LINF, effort="quick", samples=30, parts=parts(["evasion"])),
        described=MODEL,
    )
    failed = {check.name for check in card.checks if check.verdict == "failed"}
    assert "zero-gradients" in failed
    assert "black-box-stronger" in failed
    assert card.advice[0].what.startswith("Measure again")


def test_a_model_that_goes_away_leaves_a_card(digits: Digits, digits_network: nn.Module) -> None:
    left = [2000]

    def forward(inputs: torch.Tensor) -> torch.Tensor:
        left[0] -= len(inputs)
        if left[0] < 0:
            raise QueriesSpent("the endpoint has gone")
        with torch.no_grad():
            return digits_network(inputs)  # type: ignore[no-any-return]

    classifier = Classifier(forward, 10, differentiable=False, counted=True)
    card = measure(
        classifier,
        images(digits),
        Request(budgets=LINF, effort="quick", samples=20, parts=parts(["evasion"])),
        described=model_with(access="scores"),
    )
    assert "gone" in card.evasion[0].attacks[0].incomplete
    assert "cut-short" in {check.name for check in card.checks if check.verdict == "failed"}


def test_tables_are_attacked_within_their_world() -> None:
    random = np.random.default_rng(0)
    inputs = random.random((200, 4), dtype=np.float32)
    data = Data(inputs, (inputs.sum(1) > 2).astype(np.int64), "table", features=("a", "b", "c", "d"))
    module = nn.Linear(4, 2)
    with torch.no_grad():
        module.weight.copy_(torch.tensor([[-1.0] * 4, [1.0] * 4]))
        module.bias.copy_(torch.tensor([2.0, -2.0]))
    card = measure(
        of_module(module, 2),
        data,
        Request(effort="quick", samples=20, parts=parts(["evasion"])),
        described=MODEL,
    )
    assert card.evasion[0].budget is None
    assert card.evasion[0].attacks[0].success.count > 0
    assert any("No constraints were given" in note for note in card.notes)
    assert "zero-gradients" not in {check.name for check in card.checks}
    assert card.pictures[0].media == "text/plain"


def test_texts_are_attacked_by_words() -> None:
    texts = [f"{word} film number {number}" for number in range(20) for word in ("good", "bad", "fine", "awful")]
    labels = [int(text.startswith(("good", "fine"))) for text in texts]
    pipeline = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(texts, labels)
    card = measure_texts(
        TextClassifier(pipeline.predict_proba, 2),
        Data(texts, np.array(labels), "text", name="films"),
        Request(effort="quick", samples=12),
        described=Model(name="films", format="joblib", classes=2, access="scores", outputs="probabilities"),
    )
    assert card.complete
    assert card.clean_accuracy.value == 1
    assert card.evasion[0].attacks[0].success.count > 0
    assert card.pictures


@pytest.mark.parametrize(
    ("request_of", "says"),
    [
        (lambda: Request(attacks=("magic",)), "no attack"),
        (lambda: Request(attacks=("hop-skip-jump",), budgets=(parsed("l1:3"),)), "hop-skip-jump"),
        (lambda: Request(samples=0), "none to attack"),
        (lambda: Request(seconds=0.0), "no time"),
        (lambda: Request(seed=-1), "no seed"),
        (lambda: Request(seed=1 << 64), "no seed"),
        (lambda: Request(parts=parts(["magic"])), "no part"),
    ],
)
def test_what_makes_no_sense_is_refused(digits: Digits, digits_classifier: Classifier, request_of, says: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(UsageError, match=says):
        measure(digits_classifier, images(digits), request_of(), described=MODEL)


def test_a_stored_detector_is_measured_under_an_attack_that_knows_of_it(
    digits: Digits, digits_network: nn.Module, tmp_path: Path
) -> None:
    classifier = of_module(digits_network, 10)
    detector = Neighbours().fit(classifier, images(digits, train=True))
    detector.calibrate(digits.test[:300], 0.05)
    store(detector, str(tmp_path / "detector"), digits.test[:20].numpy(), Origin(model="digits", data="digits"))
    data = Data(digits.test[300:].numpy(), digits.test_labels[300:].numpy(), "image", name="digits")
    request = Request(
        budgets=(parsed("linf:0.15"),),
        effort="quick",
        parts=parts(["detection"]),
        detectors=(str(tmp_path / "detector"),),
    )
    card = measure(classifier, data, request, described=MODEL)
    assert card.omitted == ()
    rows = {one.attack.split()[0]: one for one in card.detection}
    assert {"apgd-ce", "square", "detector-aware"} <= set(rows)
    aware = rows["detector-aware"]
    assert aware.adaptive
    assert aware.evades_both is not None
    assert rows["apgd-ce"].evades_both is not None
    assert aware.evades_both.value >= rows["apgd-ce"].evades_both.value


def test_a_detector_with_nothing_to_detect_is_said_to_be_unmeasured(
    digits: Digits, digits_network: nn.Module, tmp_path: Path
) -> None:
    classifier = of_module(digits_network, 10)
    detector = Energy().fit(classifier, images(digits, train=True))
    detector.calibrate(digits.test[:300], 0.05)
    store(detector, str(tmp_path / "detector"), digits.test[:20].numpy(), Origin(model="digits", data="digits"))
    request = Request(
        budgets=(parsed("l1:0.0001"),),
        effort="quick",
        parts=parts(["detection"]),
        detectors=(str(tmp_path / "detector"),),
    )
    card = measure(classifier, images(digits), request, described=MODEL)
    assert card.detection == ()
    assert "nothing to detect" in card.omitted[0].why


def test_a_directory_that_is_no_detector_is_an_omission_with_its_reason(
    digits: Digits, digits_network: nn.Module, tmp_path: Path
) -> None:
    request = Request(budgets=LINF, effort="quick", parts=parts(["detection"]), detectors=(str(tmp_path),))
    card = measure(of_module(digits_network, 10), images(digits), request, described=MODEL)
    assert "detector.json" in card.omitted[0].why
