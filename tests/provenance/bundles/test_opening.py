"""Bundles with keys: what is written opens, and for nobody else."""

import base64
import datetime
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from hypothesis import given
from hypothesis import strategies as st

from garrison.core.errors import UsageError
from garrison.core.policy import Identity
from garrison.provenance.bundles import opened, write
from garrison.provenance.dsse import IN_TOTO, pre_authentication_encoding
from garrison.provenance.keys import KeySigner, pem
from garrison.provenance.trust import Refused, Trust

NOW = datetime.datetime(2026, 6, 1, tzinfo=datetime.UTC)
KINDS = {
    "P-256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "P-384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "P-521": lambda: ec.generate_private_key(ec.SECP521R1()),
    "Ed25519": ed25519.Ed25519PrivateKey.generate,
}
SIGNER = KeySigner(KINDS["P-256"]())
PAYLOAD = b'{"what": "is signed"}'


@pytest.fixture
def trust(tmp_path: Path) -> Trust:
    return trusting(tmp_path, SIGNER)


def trusting(directory: Path, *signers: KeySigner) -> Trust:
    identities = []
    for number, signer in enumerate(signers):
        (directory / f"{number}.pem").write_bytes(pem(signer.public_key))
        identities.append(Identity(name=f"signer-{number}", public_key=f"{number}.pem"))
    return Trust(identities=tuple(identities), base=str(directory))


def changed(bundle: bytes, *path: str | int, to: Any) -> bytes:
    """The bundle with another value at a place in it."""
    document = json.loads(bundle)
    place = document
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = to
    return json.dumps(document).encode()


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_written_opens_and_is_the_same_each_time(kind: str, tmp_path: Path) -> None:
    signer = KeySigner(KINDS[kind]())
    bundle = write(PAYLOAD, signer)
    assert bundle == write(PAYLOAD, signer)
    found = opened(bundle, trusting(tmp_path, SIGNER, signer), now=NOW)
    assert (found.payload, found.payload_type) == (PAYLOAD, IN_TOTO)
    assert (found.signatory.kind, found.signatory.identity, found.signatory.time) == ("key", "signer-1", None)


@given(payload=st.binary(max_size=200), kind=st.text(max_size=20))
def test_any_payload_comes_back(payload: bytes, kind: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    trust = trusting(tmp_path_factory.getbasetemp(), SIGNER)
    found = opened(write(payload, SIGNER, payload_type=kind), trust, now=NOW)
    assert (found.payload, found.payload_type) == (payload, kind)


def test_the_hint_is_the_digest_of_the_pem_text() -> None:
    material = json.loads(write(PAYLOAD, SIGNER))["verificationMaterial"]
    assert material == {
        "publicKey": {"hint": hashlib.sha256(pem(SIGNER.public_key)).hexdigest()},
        "tlogEntries": [],
    }


def test_nobody_else_s_signature_counts(tmp_path: Path) -> None:
    others = [KeySigner(KINDS[kind]()) for kind in KINDS]
    with pytest.raises(Refused, match=r"none of the 4 trusted identities signed it: signer-0: .*; signer-3: "):
        opened(write(PAYLOAD, SIGNER), trusting(tmp_path, *others), now=NOW)


def test_without_trust_nothing_opens() -> None:
    with pytest.raises(UsageError, match="no identity is trusted"):
        opened(write(PAYLOAD, SIGNER), Trust(identities=()), now=NOW)


@pytest.mark.parametrize(
    "identity",
    [
        Identity(name="nothing"),
        Identity(name="two", public_key="a", authorities="b", subject="c"),
        Identity(name="no-subject", authorities="b"),
        Identity(name="no-subject", issuer="b"),
        Identity(name="subject", public_key="a", subject="c"),
        Identity(name="root", public_key="a", trusted_root="c"),
        Identity(name="anyone", issuer="https://accounts.example.com", subject="*"),
        Identity(name="no-file", public_key="nowhere.pem"),
    ],
)
def test_identities_that_say_no_one_thing(identity: Identity, tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        opened(write(PAYLOAD, SIGNER), Trust(identities=(identity,), base=str(tmp_path)), now=NOW)


def test_any_signature_of_a_bare_envelope_counts(trust: Trust) -> None:
    signed = pre_authentication_encoding("a/b", PAYLOAD)
    signatures = [
        {"sig": base64.urlsafe_b64encode(signer.sign(signed)).decode(), "keyid": "x"}
        for signer in (KeySigner(KINDS["Ed25519"]()), SIGNER)
    ]
    envelope = {"payload": base64.b64encode(PAYLOAD).decode(), "payloadType": "a/b", "signatures": signatures, "x": 1}
    found = opened(json.dumps(envelope).encode(), trust, now=NOW)
    assert (found.payload, found.payload_type) == (PAYLOAD, "a/b")
    for wrong in ([], signatures[:1], signatures * 20):
        with pytest.raises(Refused):
            opened(json.dumps({**envelope, "signatures": wrong}).encode(), trust, now=NOW)


def test_what_older_writers_put_in_place_of_the_hint(trust: Trust) -> None:
    bundle = write(PAYLOAD, SIGNER)
    old = {"rawBytes": "LS0t", "keyDetails": "PKIX_ECDSA_P256_SHA_256"}
    assert opened(changed(bundle, "verificationMaterial", to={"publicKey": old}), trust, now=NOW).payload == PAYLOAD


B = "application/vnd.dev.sigstore.bundle"
WRONG = {
    "another type": lambda b: changed(b, "mediaType", to=f"{B}.v0.4+json"),
    "no type": lambda b: changed(b, "mediaType", to=None),
    "an unknown field": lambda b: changed(b, "more", to=1),
    "an unknown field in the material": lambda b: changed(b, "verificationMaterial", "more", to=1),
    "an unknown field in the envelope": lambda b: changed(b, "dsseEnvelope", "more", to=1),
    "no material": lambda b: changed(b, "verificationMaterial", to={}),
    "two materials": lambda b: changed(b, "verificationMaterial", "certificate", to={"rawBytes": "AA=="}),
    "an empty chain": lambda b: changed(b, "verificationMaterial", to={"x509CertificateChain": {"certificates": []}}),
    "no envelope": lambda b: changed(b, "dsseEnvelope", to=None),
    "a signature over a digest as well": lambda b: changed(b, "messageSignature", to={"signature": "AA=="}),
    "no signature": lambda b: changed(b, "dsseEnvelope", "signatures", to=[]),
    "two signatures": lambda b: changed(
        b, "dsseEnvelope", "signatures", to=json.loads(b)["dsseEnvelope"]["signatures"] * 2
    ),
    "no base64": lambda b: changed(b, "dsseEnvelope", "payload", to="!"),
    "another payload type": lambda b: changed(b, "dsseEnvelope", "payloadType", to="text/plain"),
    "a number for the type": lambda b: changed(b, "dsseEnvelope", "payloadType", to=1),
    "an empty file": lambda b: b"",
    "a list": lambda b: b"[" + b + b"]",
    "neither": lambda b: b"{}",
    "more after it": lambda b: b + b"{}",
    "cut off": lambda b: b[:-1],
    "UTF-16": lambda b: b.decode().encode("utf-16"),
    "a byte order mark": lambda b: b"\xef\xbb\xbf" + b,
    "a key twice": lambda b: b[:-1] + b',"mediaType":"' + B.encode() + b'.v0.3+json"}',
    "a key twice, deep": lambda b: b.replace(b'"keyid":""', b'"keyid":"","keyid":""'),
    "a key twice, escaped": lambda b: b.replace(b'"keyid":""', rb'"keyid":"","key\u0069d":""'),
    "deep": lambda b: b'{"mediaType":' + b"[" * 100_000,
    "NaN": lambda b: changed(b, "verificationMaterial", "tlogEntries", to=[float("nan")]),
    "too many strings": lambda b: b'{"mediaType":' + b'"' * 3_000_000,
    "too much structure": lambda b: changed(b, "verificationMaterial", "tlogEntries", to=[0] * 600_000),
}


@pytest.mark.parametrize("what", WRONG)
def test_documents_that_are_no_bundle_of_ours(what: str, trust: Trust) -> None:
    altered = WRONG[what](write(PAYLOAD, SIGNER))
    with pytest.raises(Refused):
        opened(altered, trust, now=NOW)


@given(data=st.binary(max_size=300))
def test_bytes_of_any_kind_are_refused(data: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    trust = trusting(tmp_path_factory.getbasetemp(), SIGNER)
    with pytest.raises(Refused):
        opened(data, trust, now=NOW)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=5,
)


def places(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """The paths to everything in a document."""
    below = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [*([path] if path else []), *(place for key, inner in below for place in places(inner, (*path, key)))]


BUNDLE = write(PAYLOAD, SIGNER)


@given(path=st.sampled_from(places(json.loads(BUNDLE))), value=VALUES)
def test_whatever_stands_anywhere_only_the_payload_comes_back(
    path: tuple[str | int, ...], value: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    trust = trusting(tmp_path_factory.getbasetemp(), SIGNER)
    try:
        found = opened(changed(BUNDLE, *path, to=value), trust, now=NOW)
    except Refused:
        return
    assert (found.payload, found.payload_type) == (PAYLOAD, IN_TOTO)


def test_signatures_of_release_0_2(trust: Trust) -> None:
    """Its envelopes were signed otherwise; with any other payload the old way does not count."""
    old = b'{"predicateType": "https://model_signing/Digests/v0.1", "subject": "\xc3\xa9\'"}'
    for payload, holds in ((old, True), (PAYLOAD, False)):
        signature = SIGNER.sign(f"DSSEV1 28 {IN_TOTO} {len(payload)} {payload!r}".encode())
        text = base64.b64encode(signature).decode()
        bundle = changed(write(payload, SIGNER), "dsseEnvelope", "signatures", to=[{"sig": text}])
        if holds:
            assert opened(bundle, trust, now=NOW).payload == payload
        else:
            with pytest.raises(Refused):
                opened(bundle, trust, now=NOW)


def test_a_text_without_an_end_is_refused_at_once(trust: Trust) -> None:
    with pytest.raises(Refused, match="Unterminated"):
        opened(b'"' + b'\\"' * 5_000_000, trust, now=NOW)


@pytest.mark.parametrize(
    "document", ['{{"{0}": 1, "{0}": 2}}', '{{"mediaType": "", "{0}": 2}}', '{{"mediaType": "{0}"}}']
)
def test_a_reason_is_not_as_long_as_what_is_refused(document: str, trust: Trust) -> None:
    with pytest.raises(Refused) as error:
        opened(document.format("k" * 100_000).encode(), trust, now=NOW)
    assert len(str(error.value)) <= 4000


@pytest.mark.parametrize("subject", ["*", "?*", "*@*", "https://*", "*:*", "*@*.*", "-*"])
def test_whoever_has_an_account_is_nobody(subject: str, tmp_path: Path) -> None:
    identity = Identity(name="all", issuer="https://example.com", subject=subject)
    with pytest.raises(UsageError, match="anyone"):
        opened(write(PAYLOAD, SIGNER), Trust(identities=(identity,)), now=NOW)
