"""Attestations beside a model: which hold, and why the others do not."""

import datetime
import json
from pathlib import Path

import pytest

from garrison.provenance.attestations import Stored, attest, attested, directory_of, store, stored, subject_of
from garrison.provenance.attestations.checking import checked
from garrison.provenance.statements import Subject
from garrison.provenance.trust import Trust
from tests.provenance.attestations.samples import LATER, PREDICATES, SHA256
from tests.provenance.attestations.test_statement import SIGNER, STRANGER, WHEN
from tests.provenance.bundles.test_opening import trusting


@pytest.fixture
def model(tmp_path: Path) -> str:
    directory = tmp_path / "model"
    directory.mkdir()
    (directory / "weights").write_bytes(b"weights")
    for kind, predicate in PREDICATES.items():
        if kind != "training":
            store(
                attest([subject_of(*attested(str(directory)))], predicate, SIGNER), kind, directory_of(str(directory))
            )
    return str(directory)


@pytest.fixture
def trust(tmp_path: Path) -> Trust:
    return trusting(tmp_path, SIGNER)


def reasons(model: str, trust: Trust, *, now: datetime.datetime = WHEN, evidence: str = "") -> list[str]:
    return [one.reason for one in checked(model, stored(evidence or directory_of(model)), trust, now=now)]


def test_all_hold(model: str, trust: Trust) -> None:
    found = checked(model, stored(directory_of(model)), trust, now=WHEN)
    assert all(one.holds for one in found) and len(found) == 4
    assert {type(one.attestation.predicate).__name__ for one in found if one.attestation} == {
        "Scan",
        "Robustness",
        "Approval",
        "Version",
    }


def test_each_fails_for_its_own_reason(model: str, trust: Trust, tmp_path: Path) -> None:
    assert all("expired" in reason for reason in reasons(model, trust, now=LATER))
    (Path(model) / "more").touch()
    assert all("another model" in reason for reason in reasons(model, trust))
    (Path(model) / "more").unlink()
    assert all("not of this key" in reason for reason in reasons(model, trusting(tmp_path, STRANGER)))


def test_a_replayed_attestation_never_counts(model: str, trust: Trust, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "weights").write_bytes(b"payload")
    found = reasons(str(other), trust, evidence=directory_of(model))
    assert len(found) == 4 and all("another model" in reason for reason in found)


def test_hostile_neighbours_do_not_hide_the_others(model: str, trust: Trust) -> None:
    place = Path(directory_of(model))
    (place / "a.json").write_bytes(b"[" * 1_000_000)
    (place / "b.json").write_bytes(attest([subject_of(*attested(model))], PREDICATES["approval"], STRANGER))
    (place / "c.jsonl").write_bytes(b"\xff\n{}\n")
    (place / "d.json").symlink_to("/dev/zero")
    found = reasons(model, trust)
    assert found.count("") == 4 and len(found) == 9 and all("\n" not in reason for reason in found)


def test_the_model_is_not_read_for_what_nobody_trusted_signed(trust: Trust, tmp_path: Path) -> None:
    bundle = attest([Subject(digest={"sha256": SHA256})], PREDICATES["approval"], STRANGER)
    (found,) = checked(str(tmp_path / "none"), [Stored(place="x", data=bundle)], trust, now=WHEN)
    assert not found.holds and found.attestation is None


def test_several_in_one_file_count_each(model: str, trust: Trust, tmp_path: Path) -> None:
    lines = b"\n".join(one.data for one in stored(directory_of(model)))
    (tmp_path / "claims.jsonl").write_bytes(lines)
    assert reasons(model, trust, evidence=str(tmp_path / "claims.jsonl")) == [""] * 4


def test_what_another_tool_signed_about_the_file_counts(trust: Trust, tmp_path: Path) -> None:
    file = tmp_path / "model.bin"
    file.write_bytes(b"weights")
    subject = Subject(name="model.bin", digest={"sha256": subject_of(*attested(str(file))).digest["sha256"]})
    envelope = json.dumps(json.loads(attest([subject], PREDICATES["approval"], SIGNER))["dsseEnvelope"]).encode()
    (found,) = checked(str(file), [Stored(place="x", data=envelope)], trust, now=WHEN)
    assert found.holds
