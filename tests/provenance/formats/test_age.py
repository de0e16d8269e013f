"""Sealed files in a scan: recognised, and never taken for examined."""

import io
import tarfile

import pytest
from hypothesis import given

from garrison.core.facts import Artifact
from tests.provenance.sealing.age_writer import HybridKey, X25519Key, armor, header, payload, scrypt_stanza, stanza
from tests.support import assert_no_failure, damaged, examine_bytes, findings_of

SEALED = header(X25519Key().stanza(), stanza(["grease"], b"")) + payload(b"weights")
HYBRID = header(HybridKey().stanza()) + payload(bytes(70_000))


@pytest.mark.parametrize(
    "data, details",
    [
        (SEALED, {"recipients": 2, "kinds": "X25519, grease", "armored": False}),
        (armor(SEALED), {"recipients": 2, "kinds": "X25519, grease", "armored": True}),
        (HYBRID, {"recipients": 1, "kinds": "mlkem768x25519", "armored": False}),
        (
            header(scrypt_stanza(b"words", 2)) + payload(b""),
            {"recipients": 1, "kinds": "scrypt", "armored": False},
        ),
    ],
)
def test_a_sealed_file_is_known_and_not_examined(data: bytes, details: dict[str, object]) -> None:
    (found,) = examine_bytes(data, "model.safetensors.age")
    assert found.formats == ["age"]
    assert found.state == "not-understood" and "sealed" in found.reason
    assert found.facts == [Artifact(format="age", details=details)]  # type: ignore[arg-type]
    assert findings_of(data, "model.safetensors.age") == []


def test_a_sealed_file_that_is_called_a_model_is_no_model() -> None:
    assert [finding.rule for finding in findings_of(SEALED, "model.pkl")] == ["format-mismatch"]


def test_a_sealed_member_is_found() -> None:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as archive:
        member = tarfile.TarInfo("weights.age")
        member.size = len(SEALED)
        archive.addfile(member, io.BytesIO(SEALED))
    states = {item.subject: item.state for item in examine_bytes(target.getvalue(), "a.tar")}
    assert states == {"a.tar": "examined", "a.tar!/weights.age": "not-understood"}


@pytest.mark.parametrize("data", [SEALED[:60], b"age-encryption.org/v2\n", armor(SEALED)[:200]])
def test_a_broken_header_is_malformed(data: bytes) -> None:
    (found,) = examine_bytes(data, "x.age")
    assert found.state == "partial"
    assert [finding.rule for finding in findings_of(data, "x.age")] == ["malformed"]


def test_what_a_header_says_is_cut() -> None:
    many = [stanza([f"{number:03}" + "k" * 500], b"") for number in range(200)]
    (found,) = examine_bytes(header(*many) + payload(b""), "x.age")
    assert all(len(str(fact)) < 1000 for fact in found.facts)


@given(damaged(SEALED, armor(SEALED), HYBRID))
def test_no_damage_makes_the_reader_fail(data: bytes) -> None:
    assert_no_failure(data, "x.age")
