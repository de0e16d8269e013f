"""A card of `garrison attack` as a statement: about the model that was attacked, and nothing that it does not say."""

import datetime
import hashlib
from pathlib import Path

import pytest

from garrison.core.robustness_card import Card, Model, rate
from garrison.provenance.attestations.cards import card as attested
from garrison.provenance.attestations.predicates import Robustness
from garrison.provenance.hashing.engine import digest
from garrison.provenance.hashing.manifest import Manifest, Serialization
from garrison.provenance.trust import Refused
from garrison.reporting.card.json_card import render
from tests.robustness.samples import card, evasion, full_card


@pytest.fixture
def model(tmp_path: Path) -> Path:
    (tmp_path / "model.pt").write_bytes(b"weights")
    return tmp_path / "model.pt"


@pytest.fixture
def manifest(model: Path) -> Manifest:
    return digest(model, [Serialization(algorithm="sha256")])[0]


def of(path: Path, /, **changes: object) -> Card:
    described = Model(
        name="model.pt",
        format="torchscript",
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        classes=10,
        access="gradients",
        outputs="logits",
    )
    return full_card(**{"model": described, **changes})


def test_the_numbers_are_those_of_the_card(model: Path, manifest: Manifest) -> None:
    said = attested(render(of(model)).encode(), manifest)
    assert isinstance(said, Robustness)
    robust = next(one for one in said.measurements if one.name == "robust-accuracy")
    assert (robust.value, robust.samples, robust.norm, robust.confidence) == (0.41, 1000, "linf", 0.95)
    assert robust.epsilon == pytest.approx(8 / 255)
    assert said.datasets[0].digest == {"sha256": "b" * 64}
    assert "upper bound" in said.limitations
    assert "zero-gradients" in said.limitations
    assert "no training data were given" in said.limitations


def test_it_expires_when_it_is_told(model: Path, manifest: Manifest) -> None:
    until = datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC)
    assert attested(render(of(model)).encode(), manifest, expires=until).expires == until


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"complete": False}, "not complete"),
        ({"model": card().model}, "of another model"),
        ({"data": type(card().data)(name="d", kind="image", count=1, used=1)}, "which data"),
        ({"evasion": (), "clean_accuracy": rate(0, 0), "inference": (), "extraction": (), "triggers": ()}, "no number"),
    ],
)
def test_what_says_nothing_of_the_model_is_refused(
    model: Path, manifest: Manifest, changes: dict[str, object], why: str
) -> None:
    with pytest.raises(Refused, match=why):
        attested(render(of(model, **{"corruptions": (), **changes})).encode(), manifest)


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"{}", b'{"card_version": "1.0"}', b'{"card_version": "1.0", "card_version": "1"}']
)
def test_what_is_no_card_is_refused(manifest: Manifest, data: bytes) -> None:
    with pytest.raises(Refused):
        attested(data, manifest)


def test_a_share_of_nothing_is_left_out(model: Path, manifest: Manifest) -> None:
    said = attested(render(of(model, evasion=(evasion(0, 0),))).encode(), manifest)
    assert "robust-accuracy" not in {one.name for one in said.measurements}


def test_a_card_that_contradicts_itself_is_not_attested(model: Path, manifest: Manifest) -> None:
    edited = render(of(model)).replace('"count": 410', '"count": 900').encode()
    with pytest.raises(Refused, match="contradicts itself"):
        attested(edited, manifest)


def test_what_doubts_membership_is_attested_with_it(model: Path, manifest: Manifest) -> None:
    said = attested(render(of(model, checks=())).encode(), manifest)
    assert "zero-gradients" in said.limitations
