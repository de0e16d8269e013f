"""Signatures in a scan: what they say is told, and nothing of it is believed."""

import json

import pytest
from hypothesis import given

from garrison.core.facts import Artifact
from garrison.provenance.bundles import write
from garrison.provenance.keys import KeySigner
from tests.reporting.bom.trees import bundle
from tests.support import assert_no_failure, damaged, examine_bytes, findings_of

SIGNED = bundle()
DSSE = json.loads(SIGNED)["dsseEnvelope"]
TOLD = {
    "payload_type": "application/vnd.in-toto+json",
    "signatures": 1,
    "signer": "key",
    "predicate": "https://model_signing/signature/v1.0",
    "subjects": 1,
    "subject": "repo",
    "sha256": "ef" * 32,
}


def told(data: bytes) -> dict[str, object]:
    last = examine_bytes(data, "model.sig")[-1]
    assert last.formats[0] == "signature" and findings_of(data, "model.sig") == []
    return next(dict(fact.details) for fact in last.facts if isinstance(fact, Artifact) and fact.format == "signature")


def test_bundles_and_envelopes_say_what_they_are_about() -> None:
    assert told(SIGNED) == TOLD
    assert told(json.dumps(DSSE, indent=2).encode()) == TOLD


def test_what_is_written_here_is_known() -> None:
    from cryptography.hazmat.primitives.asymmetric import ec

    signed = write(b"anything", KeySigner(ec.generate_private_key(ec.SECP256R1())), payload_type="text/plain")
    assert told(signed) == {"payload_type": "text/plain", "signatures": 1, "signer": "key"}


@pytest.mark.parametrize(
    "broken",
    [
        {**json.loads(SIGNED), "dsseEnvelope": {**DSSE, "payload": "e30="}},
        {**json.loads(SIGNED), "dsseEnvelope": None},
        {**json.loads(SIGNED), "more": 1},
        {**DSSE, "signatures": 5},
    ],
)
def test_what_is_none_is_not_understood(broken: object) -> None:
    last = examine_bytes(json.dumps(broken).encode(), "model.sig")[-1]
    assert last.state == "not-understood" and "signature" in last.formats


@pytest.mark.parametrize("data", [b"{}", b'{"payloadType": 1}', b'{"mediaType": "text/plain"}', b'["payloadType"]'])
def test_other_documents_are_none(data: bytes) -> None:
    assert "signature" not in examine_bytes(data, "model.sig")[-1].formats


@given(damaged(SIGNED, json.dumps(DSSE).encode()))
def test_damage_ends_in_a_state(data: bytes) -> None:
    assert_no_failure(data, "model.sig")
