"""Attestations are what the libraries of in-toto, DSSE and Sigstore take for such, and theirs are what is read here."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format
from in_toto_attestation.predicates.provenance.v1 import provenance_pb2
from in_toto_attestation.v1 import statement_pb2
from in_toto_attestation.v1.statement import Statement
from securesystemslib.dsse import Envelope
from securesystemslib.signer import CryptoSigner, SSlibKey
from sigstore.dsse import Envelope as SigstoreEnvelope
from sigstore.dsse import StatementBuilder
from sigstore.dsse import Subject as SigstoreSubject
from sigstore.dsse import _verify as sigstore_verify

from garrison.provenance import bundles
from garrison.provenance.attestations import Provenance, attest, attested, opened, subject_of
from garrison.provenance.attestations.checking import checked
from garrison.provenance.attestations.predicates import TRAINING, described
from garrison.provenance.attestations.storage import Stored
from tests.provenance.attestations.samples import LATER, PREDICATES
from tests.provenance.attestations.test_statement import SIGNER, WHEN
from tests.provenance.bundles.test_opening import trusting


@pytest.fixture
def model(tmp_path: Path) -> Path:
    directory = tmp_path / "model"
    directory.mkdir()
    (directory / "weights").write_bytes(b"weights")
    return directory


def envelope_of(model: Path, kind: str) -> dict[str, Any]:
    bundle = attest([subject_of(*attested(str(model)))], PREDICATES[kind], SIGNER)
    envelope: dict[str, Any] = json.loads(bundle)["dsseEnvelope"]
    return envelope


@pytest.mark.parametrize("kind", PREDICATES)
def test_in_toto_reads_every_statement(kind: str, model: Path) -> None:
    body = Envelope.from_dict(envelope_of(model, kind)).payload
    message = json_format.Parse(body, statement_pb2.Statement())
    Statement.copy_from_pb(message).validate()
    assert json_format.MessageToDict(message)["predicate"] == json.loads(body)["predicate"]


def test_slsa_s_own_message_reads_the_provenance() -> None:
    text = json.dumps(described(PREDICATES["training"]))
    message = json_format.Parse(text, provenance_pb2.Provenance())
    assert message.build_definition.resolved_dependencies[0].annotations["role"] == "dataset"
    assert message.run_details.builder.id == "https://example.org/cluster"


@pytest.mark.parametrize("kind", PREDICATES)
def test_dsse_of_securesystemslib_verifies_ours(kind: str, model: Path) -> None:
    key = SSlibKey.from_crypto(SIGNER.public_key, keyid="any")
    document = envelope_of(model, kind)
    document["signatures"][0]["keyid"] = "any"  # that library asks for one, and nobody signs it
    assert Envelope.from_dict(document).verify([key], 1) == {"any": key}


@pytest.mark.parametrize("kind", PREDICATES)
def test_dsse_of_sigstore_verifies_ours(kind: str, model: Path) -> None:
    envelope = SigstoreEnvelope._from_json(json.dumps(envelope_of(model, kind)))
    key: Any = SIGNER.public_key
    assert json.loads(sigstore_verify(key, envelope))["predicateType"]


def test_what_securesystemslib_signed_is_read(model: Path, tmp_path: Path) -> None:
    body = Envelope.from_dict(envelope_of(model, "approval")).payload
    theirs = Envelope(body, "application/vnd.in-toto+json", {})
    theirs.sign(CryptoSigner(SIGNER._key))
    data = json.dumps(theirs.to_dict()).encode()
    (found,) = checked(str(model), [Stored(place="theirs", data=data)], trusting(tmp_path, SIGNER), now=WHEN)
    assert found.holds and found.attestation and found.attestation.predicate == PREDICATES["approval"]


def test_a_statement_that_sigstore_built_is_read(tmp_path: Path) -> None:
    file = tmp_path / "model.bin"
    file.write_bytes(b"weights")
    statement = (
        StatementBuilder()
        .subjects([SigstoreSubject(name="model.bin", digest={"sha256": hashlib.sha256(b"weights").hexdigest()})])
        .predicate_type(TRAINING)
        .predicate(described(PREDICATES["training"]))
        .build()
    )
    bundle = bundles.write(statement._contents, SIGNER)
    trust = trusting(tmp_path, SIGNER)
    (found,) = checked(str(file), [Stored(place="theirs", data=bundle)], trust, now=LATER)
    assert found.holds
    assert isinstance(opened(bundle, trust, now=LATER).predicate, Provenance)


GITHUB: dict[str, Any] = {
    "buildDefinition": {
        "buildType": "https://actions.github.io/buildtypes/workflow/v1",
        "externalParameters": {"workflow": {"ref": "refs/heads/main", "repository": "https://github.com/x/y"}},
        "internalParameters": {"github": {"event_name": "push", "repository_id": "1"}},
        "resolvedDependencies": [
            {"uri": "git+https://github.com/x/y@refs/heads/main", "digest": {"gitCommit": "c" * 40}},
            {"name": "data", "digest": {"sha256": "0" * 64}, "annotations": {"role": "dataset"}},
        ],
    },
    "runDetails": {
        "builder": {"id": "https://github.com/x/y/.github/workflows/train.yml@refs/heads/main"},
        "metadata": {"invocationId": "https://github.com/x/y/actions/runs/1/attempts/1"},
    },
}
"""As GitHub's attest-build-provenance writes it."""


def test_provenance_of_other_builders_is_read_and_its_roles_are_not_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from garrison.cli.main import main

    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.bin").write_bytes(b"weights")
    digest = {"sha256": hashlib.sha256(b"weights").hexdigest()}
    statement = StatementBuilder().subjects([SigstoreSubject(name="model.bin", digest=digest)])
    body = statement.predicate_type(TRAINING).predicate(GITHUB).build()._contents
    bundle = bundles.write(body, SIGNER)
    found = opened(bundle, trusting(tmp_path, SIGNER), now=WHEN).predicate
    assert isinstance(found, Provenance) and found.inputs("dataset") == [] and found.created is None
    (tmp_path / "evidence.json").write_bytes(bundle)
    assert main(["attest", "verify", "model.bin", "--evidence", "evidence.json", "--public-key", "0.pem"]) == 0
    said = capsys.readouterr().out
    assert said.startswith(
        "build: by https://github.com/x/y/.github/workflows/train.yml@refs/heads/main, from git+https"
    )
    assert "training" not in said
