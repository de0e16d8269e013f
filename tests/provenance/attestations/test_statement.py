"""Attestations: what is signed comes back for those who trust the signer, and nothing else does."""

import datetime
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from garrison.core.errors import UsageError
from garrison.core.policy import Identity
from garrison.provenance import bundles
from garrison.provenance.attestations import Approval, about, attest, attested, manifests, opened, subject_of
from garrison.provenance.attestations.predicates import APPROVAL, Scan, described, type_of
from garrison.provenance.keys import KeySigner
from garrison.provenance.statements import STATEMENT, Subject
from garrison.provenance.trust import Refused, Trust
from tests.provenance.attestations.samples import LATER, NOW, PREDICATES, SHA256
from tests.provenance.bundles.test_opening import changed, trusting
from tests.provenance.sigstore_instance import ACCOUNT, ISSUER, MINUTE, Instance

SIGNER = KeySigner(ec.generate_private_key(ec.SECP256R1()))
STRANGER = KeySigner(ec.generate_private_key(ec.SECP256R1()))
SUBJECT = Subject(name="model.bin", digest={"sha256": SHA256})
WHEN = LATER - datetime.timedelta(seconds=1)


@pytest.fixture
def trust(tmp_path: Path) -> Trust:
    return trusting(tmp_path, SIGNER)


def statement(**changes: Any) -> bytes:
    """A statement in JSON, with other values than usual."""
    usual = {
        "_type": STATEMENT,
        "subject": [{"name": "model.bin", "digest": {"sha256": SHA256}}],
        "predicateType": APPROVAL,
        "predicate": described(PREDICATES["approval"]),
    }
    return msgspec.json.encode({**usual, **changes})


@pytest.mark.parametrize("kind", PREDICATES)
def test_every_kind_comes_back_and_is_the_same_each_time(kind: str, trust: Trust) -> None:
    bundle = attest([SUBJECT], PREDICATES[kind], SIGNER)
    assert bundle == attest([SUBJECT], PREDICATES[kind], SIGNER)
    found = opened(bundle, trust, now=LATER if kind == "training" else WHEN)
    assert (found.predicate, found.predicate_type) == (PREDICATES[kind], type_of(PREDICATES[kind]))
    assert found.subjects == (SUBJECT,)
    assert (found.signatory.kind, found.signatory.identity) == ("key", "signer-0")


def test_a_bare_envelope_counts_as_well(trust: Trust) -> None:
    envelope = json.loads(attest([SUBJECT], PREDICATES["approval"], SIGNER))["dsseEnvelope"]
    assert opened(json.dumps(envelope).encode(), trust, now=WHEN).predicate == PREDICATES["approval"]


def test_times_bound_what_counts(trust: Trust) -> None:
    bundle = attest([SUBJECT], PREDICATES["approval"], SIGNER)
    opened(bundle, trust, now=NOW)
    opened(bundle, trust, now=NOW - datetime.timedelta(minutes=4))  # clocks differ
    with pytest.raises(Refused, match="yet to come"):
        opened(bundle, trust, now=NOW - datetime.timedelta(minutes=6))
    with pytest.raises(Refused, match="expired on 2026-06-08 12:00:00 UTC"):
        opened(bundle, trust, now=LATER)


def test_a_scan_that_has_yet_to_begin_does_not_count(trust: Trust) -> None:
    scan = PREDICATES["scan"]
    assert isinstance(scan, Scan)
    bundle = attest([SUBJECT], msgspec.structs.replace(scan, started=LATER), SIGNER)
    with pytest.raises(Refused, match="it is from 2026-06-08 12:00:00 UTC, which is yet to come"):
        opened(bundle, trust, now=NOW)


def test_what_a_witness_saw_was_not_made_later(tmp_path: Path) -> None:
    instance = Instance()
    (tmp_path / "root.json").write_text(json.dumps(instance.trusted_root()))
    identity = Identity(name="alice", subject=ACCOUNT, issuer=ISSUER, trusted_root="root.json")
    trust = Trust(identities=(identity,), base=str(tmp_path))
    for minutes, holds in ((0, True), (-1000, True), (4, True), (6, False)):
        created = instance.now + minutes * MINUTE
        payload = statement(predicate=described(Approval(created=created, decision="approved")))
        bundle = instance.bundle(payload, when=instance.now)
        if holds:
            assert opened(bundle, trust, now=instance.now + 600 * MINUTE).signatory.subject == ACCOUNT
        else:
            with pytest.raises(Refused, match="and was signed before, on"):
                opened(bundle, trust, now=instance.now + 600 * MINUTE)


def test_strangers_and_what_nobody_signed_never_count(trust: Trust) -> None:
    bundle = attest([SUBJECT], PREDICATES["approval"], STRANGER)
    with pytest.raises(Refused):
        opened(bundle, trust, now=WHEN)
    own = attest([SUBJECT], PREDICATES["approval"], SIGNER)
    unsigned = changed(own, "dsseEnvelope", "signatures", to=[])
    moved = changed(own, "dsseEnvelope", "payload", to=json.loads(bundle)["dsseEnvelope"]["payload"] + "AAAA")
    for altered in (unsigned, moved, statement(), b"", b"{}", b"null", b"[" * 100_000, b"\xff"):
        with pytest.raises(Refused):
            opened(altered, trust, now=WHEN)


@pytest.mark.parametrize("position", range(0, 1500, 37))
def test_no_flipped_bit_goes_unnoticed(position: int, trust: Trust) -> None:
    bundle = bytearray(attest([SUBJECT], PREDICATES["approval"], SIGNER))
    if position < len(bundle):
        bundle[position] ^= 1
        try:
            found = opened(bytes(bundle), trust, now=WHEN)
        except Refused:
            return
        # A bit of what nobody signs, such as the hint at the key.
        assert found.predicate == PREDICATES["approval"] and found.subjects == (SUBJECT,)


HOSTILE = {
    "another type of payload": bundles.write(statement(), SIGNER, payload_type="application/json"),
    "no JSON": bundles.write(b"\xff\xfe", SIGNER),
    "no object": bundles.write(b"[]", SIGNER),
    "another version": bundles.write(statement(_type="https://in-toto.io/Statement/v0.1"), SIGNER),
    "another predicate": bundles.write(statement(predicateType="https://example.org/x"), SIGNER),
    "a predicate under another's name": bundles.write(statement(predicateType=type_of(PREDICATES["version"])), SIGNER),
    "no subject": bundles.write(statement(subject=[]), SIGNER),
    "subjects without an end": bundles.write(statement(subject=[{"digest": {"sha256": SHA256}}] * 1001), SIGNER),
    "a subject without a digest": bundles.write(statement(subject=[{"name": "model.bin"}]), SIGNER),
    "a digest that is a number": bundles.write(statement(subject=[{"digest": {"sha256": 1}}]), SIGNER),
    "a field with an endless name": bundles.write(statement(predicate={"x" * 1_000_000: 1}), SIGNER),
    "a field with a name of lines": bundles.write(statement(predicate={"x\nrefused: no": 1}), SIGNER),
    "a predicate that is a list": bundles.write(statement(predicate=[]), SIGNER),
    "a key twice": bundles.write(statement().replace(b'"decision":', b'"decision":"rejected","decision":'), SIGNER),
    "NaN": bundles.write(statement().replace(b'"approved"', b"NaN"), SIGNER),
    "nested deep": bundles.write(b'{"predicate":' + b"[" * 100_000 + b"]" * 100_000 + b"}", SIGNER),
    "half a surrogate": bundles.write(statement().replace(b'"Reviewed."', b'"\\ud800"'), SIGNER),
    "a time without a zone": bundles.write(statement().replace(b"12:00:00Z", b"12:00:00"), SIGNER),
    "a number beyond all": bundles.write(statement().replace(b'"Reviewed."', b"1" + b"0" * 5000), SIGNER),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_statements_are_refused_even_signed(case: str, trust: Trust) -> None:
    with pytest.raises(Refused) as refused:
        opened(HOSTILE[case], trust, now=WHEN)
    assert "\n" not in str(refused.value) and len(str(refused.value)) < 600


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def paths(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The paths of all that is in a JSON value."""
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield (*path, key)
            yield from paths(inner, (*path, key))


@given(data=st.data(), kind=st.sampled_from(sorted(PREDICATES)), value=JSON)
def test_whatever_stands_anywhere_in_a_statement_is_read_or_refused(
    data: st.DataObject, kind: str, value: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    predicate = PREDICATES[kind]
    body = statement(predicateType=type_of(predicate), predicate=described(predicate))
    path = data.draw(st.sampled_from(sorted(paths(json.loads(body)), key=repr)))
    trust = trusting(tmp_path_factory.getbasetemp(), SIGNER)
    try:
        found = opened(bundles.write(changed(body, *path, to=value), SIGNER), trust, now=WHEN)
    except Refused:
        return
    again = attest(found.subjects, found.predicate, SIGNER)
    assert opened(again, trust, now=WHEN) == found


def test_nothing_is_signed_that_nobody_could_read(trust: Trust) -> None:
    naive = datetime.datetime(2026, 1, 1)
    for wrong in (Approval(created=naive, decision="approved"), Approval(created=NOW, decision="no")):  # type: ignore[arg-type]
        with pytest.raises(Refused):
            attest([SUBJECT], wrong, SIGNER)


def test_text_that_is_no_unicode_cannot_be_signed() -> None:
    with pytest.raises(UsageError, match="no Unicode"):
        attest([SUBJECT], Approval(created=NOW, decision="approved", comment="\udcff"), SIGNER)


def test_an_attestation_is_about_its_own_model_alone(trust: Trust, tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.write_bytes(b"one")
    other.write_bytes(b"other")
    found = opened(attest([subject_of(*attested(str(one)))], PREDICATES["approval"], SIGNER), trust, now=WHEN)
    about(found, manifests(str(one), found.subjects))
    with pytest.raises(Refused, match="another model"):
        about(found, manifests(str(other), found.subjects))
    with pytest.raises(Refused, match="another model"):
        about(found, [])
    both = [subject_of(*attested(str(path))) for path in (other, one)]
    found = opened(attest(both, PREDICATES["approval"], SIGNER), trust, now=WHEN)
    about(found, manifests(str(one), found.subjects))
