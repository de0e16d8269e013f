"""Sigstore: what an instance of our own signs opens, and no part of it can be altered."""

import base64
import datetime
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from garrison.core.errors import GarrisonError, UsageError
from garrison.core.policy import Identity
from garrison.provenance.bundles import KeylessSigner, Opened, opened, write
from garrison.provenance.dsse import IN_TOTO
from garrison.provenance.keys import KeySigner
from garrison.provenance.trust import Refused, Trust
from tests.provenance.sigstore_instance import ACCOUNT, ISSUER, MINUTE, Instance, token

INSTANCE = Instance()
OTHER = Instance()
STATEMENT = (
    b'{"_type": "https://in-toto.io/Statement/v1", "subject": [{"name": "m", "digest": {"sha256": "'
    + b"0" * 64
    + b'"}}], "predicateType": "https://example.com/p", "predicate": {}}'
)


def found(data: bytes, directory: Path, *, root: Any = None, subject: str = ACCOUNT, issuer: str = ISSUER) -> Opened:
    (directory / "root.json").write_text(json.dumps(root or INSTANCE.trusted_root()))
    identity = Identity(name="alice", subject=subject, issuer=issuer, trusted_root="root.json")
    now = datetime.datetime.now(datetime.UTC)
    return opened(data, Trust(identities=(identity,), base=str(directory)), now=now)


def test_what_an_account_signed_opens_long_after_its_certificate_expired(tmp_path: Path) -> None:
    begin = INSTANCE.now - 600 * MINUTE
    opened = found(INSTANCE.bundle(STATEMENT, begin=begin, when=begin + MINUTE), tmp_path)
    assert (opened.payload, opened.payload_type) == (STATEMENT, IN_TOTO)
    who = opened.signatory
    assert (who.kind, who.identity, who.subject, who.issuer) == ("sigstore", "alice", ACCOUNT, ISSUER)
    assert who.time == (begin + MINUTE).timestamp()


@pytest.mark.parametrize("pattern", ["*@example.com", "alice@*", "?lice@example.com"])
def test_the_account_may_be_a_pattern(pattern: str, tmp_path: Path) -> None:
    assert found(INSTANCE.bundle(STATEMENT), tmp_path, subject=pattern).signatory.subject == ACCOUNT


@pytest.mark.parametrize("pattern", ["bob@example.com", "*@example.net", "Alice@example.com", "example.com"])
def test_nobody_else_s_account_counts(pattern: str, tmp_path: Path) -> None:
    with pytest.raises(Refused, match="and not of"):
        found(INSTANCE.bundle(STATEMENT), tmp_path, subject=pattern)


def entry(document: dict[str, Any]) -> dict[str, Any]:
    return document["verificationMaterial"]["tlogEntries"][0]  # type: ignore[no-any-return]


def flipped(value: str) -> str:
    data = bytearray(base64.b64decode(value))
    data[len(data) // 2] ^= 1
    return base64.b64encode(data).decode()


def at(*path: str) -> Callable[[dict[str, Any]], None]:
    """Flip a bit of the base64 at a place in the log's entry."""

    def alter(document: dict[str, Any]) -> None:
        place = entry(document)
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = flipped(place[path[-1]])

    return alter


def put(*path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def alter(document: dict[str, Any]) -> None:
        place = entry(document)
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = value

    return alter


def other_payload(document: dict[str, Any]) -> None:
    document["dsseEnvelope"]["payload"] = base64.b64encode(STATEMENT.replace(b"0", b"1", 1)).decode()


def other_signature(document: dict[str, Any]) -> None:
    signature = document["dsseEnvelope"]["signatures"][0]
    signature["sig"] = flipped(signature["sig"])


def other_s(part: str) -> Callable[[dict[str, Any]], None]:
    """A part of another bundle of the same account."""

    def alter(document: dict[str, Any]) -> None:
        other = json.loads(INSTANCE.bundle(STATEMENT.replace(b"0", b"1", 1)))
        document["verificationMaterial"][part] = other["verificationMaterial"][part]

    return alter


def without(*path: str) -> Callable[[dict[str, Any]], None]:
    def alter(document: dict[str, Any]) -> None:
        place = entry(document)
        for step in path[:-1]:
            place = place[step]
        del place[path[-1]]

    return alter


def checkpoint(document: dict[str, Any]) -> None:
    proof = entry(document)["inclusionProof"]
    proof["checkpoint"]["envelope"] = proof["checkpoint"]["envelope"].replace("- 1\n2\n", "- 1\n3\n")


LATER = INSTANCE.now + 20 * MINUTE
ALTERED: dict[str, Callable[[], bytes]] = {
    "the payload": lambda: INSTANCE.bundle(STATEMENT, other_payload),
    "the signature": lambda: INSTANCE.bundle(STATEMENT, other_signature),
    "another's certificate": lambda: INSTANCE.bundle(STATEMENT, other_s("certificate")),
    "another's entry": lambda: INSTANCE.bundle(STATEMENT, other_s("tlogEntries")),
    "no entry": lambda: INSTANCE.bundle(STATEMENT, lambda d: d["verificationMaterial"].update(tlogEntries=[])),
    "two entries": lambda: INSTANCE.bundle(
        STATEMENT, lambda d: d["verificationMaterial"].update(tlogEntries=[entry(d), entry(d)])
    ),
    "the log's body": lambda: INSTANCE.bundle(STATEMENT, at("canonicalizedBody")),
    "the log's promise": lambda: INSTANCE.bundle(STATEMENT, at("inclusionPromise", "signedEntryTimestamp")),
    "no promise": lambda: INSTANCE.bundle(STATEMENT, without("inclusionPromise")),
    "the time": lambda: INSTANCE.bundle(STATEMENT, put("integratedTime", value="1")),
    "no time": lambda: INSTANCE.bundle(STATEMENT, without("integratedTime")),
    "a time that is no number": lambda: INSTANCE.bundle(STATEMENT, put("integratedTime", value="soon")),
    "the log's name": lambda: INSTANCE.bundle(STATEMENT, at("logId", "keyId")),
    "the entry's place": lambda: INSTANCE.bundle(STATEMENT, put("logIndex", value="2")),
    "the place in the tree": lambda: INSTANCE.bundle(STATEMENT, put("inclusionProof", "logIndex", value="0")),
    "the tree's root": lambda: INSTANCE.bundle(STATEMENT, at("inclusionProof", "rootHash")),
    "the tree's size": lambda: INSTANCE.bundle(STATEMENT, put("inclusionProof", "treeSize", value="3")),
    "the path in the tree": lambda: INSTANCE.bundle(STATEMENT, put("inclusionProof", "hashes", value=[])),
    "no proof": lambda: INSTANCE.bundle(STATEMENT, without("inclusionProof")),
    "the checkpoint": lambda: INSTANCE.bundle(STATEMENT, checkpoint),
    "no checkpoint": lambda: INSTANCE.bundle(STATEMENT, without("inclusionProof", "checkpoint")),
    "another kind of entry": lambda: INSTANCE.bundle(
        STATEMENT, put("kindVersion", value={"kind": "intoto", "version": "0.0.2"})
    ),
    "signed after the certificate expired": lambda: INSTANCE.bundle(STATEMENT, when=LATER),
    "signed before it was valid": lambda: INSTANCE.bundle(STATEMENT, begin=LATER),
    "another account": lambda: INSTANCE.bundle(STATEMENT, account="mallory@example.com"),
    "another provider": lambda: INSTANCE.bundle(STATEMENT, issuer="https://accounts.example.net"),
    "for TLS": lambda: INSTANCE.bundle(STATEMENT, usage=ExtendedKeyUsageOID.CLIENT_AUTH),
    "not in the certificate log": lambda: INSTANCE.bundle(STATEMENT, ct_key=OTHER.ct_key),
    "of another authority": lambda: INSTANCE.bundle(STATEMENT, root_key=OTHER.root_key),
    "of another instance": lambda: OTHER.bundle(STATEMENT),
    "with a key": lambda: write(STATEMENT, KeySigner(ec.generate_private_key(ec.SECP256R1()))),
}


@pytest.mark.parametrize("what", ALTERED)
def test_no_part_can_be_altered(what: str, tmp_path: Path) -> None:
    with pytest.raises(Refused):
        found(ALTERED[what](), tmp_path)


def test_an_account_s_certificate_is_no_company_s(tmp_path: Path) -> None:
    """The instance's root as an authority: the certificate expired, and nobody asks the log."""
    from cryptography.hazmat.primitives.serialization import Encoding

    (tmp_path / "root.pem").write_bytes(INSTANCE.root.public_bytes(Encoding.PEM))
    identity = Identity(name="alice", authorities=str(tmp_path / "root.pem"), subject=ACCOUNT)
    with pytest.raises(Refused, match="expired"):
        opened(INSTANCE.bundle(STATEMENT), Trust(identities=(identity,)), now=LATER)


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"mediaType": "x"}', None])
def test_a_trusted_root_that_cannot_be_read(content: str | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "root.json").write_text(content)
    identity = Identity(name="alice", subject="*", issuer=ISSUER, trusted_root=str(tmp_path / "root.json"))
    with pytest.raises(UsageError):
        opened(INSTANCE.bundle(STATEMENT), Trust(identities=(identity,)), now=INSTANCE.now)


def test_the_public_instance_knows_nothing_of_ours() -> None:
    identity = Identity(name="alice", subject=ACCOUNT, issuer=ISSUER)
    with pytest.raises(Refused):
        opened(INSTANCE.bundle(STATEMENT), Trust(identities=(identity,)), now=INSTANCE.now)


def test_what_the_real_client_signs_opens(tmp_path: Path) -> None:
    with INSTANCE.served() as configuration:
        (tmp_path / "instance.json").write_text(json.dumps(configuration))
        bundle = write(STATEMENT, KeylessSigner(token(), str(tmp_path / "instance.json")))
    opened = found(bundle, tmp_path)
    assert opened.payload == STATEMENT and opened.signatory.subject == ACCOUNT


def test_an_instance_that_does_not_answer(tmp_path: Path) -> None:
    (tmp_path / "instance.json").write_text(json.dumps(INSTANCE.configuration("http://127.0.0.1:9")))
    signer = KeylessSigner(token(), str(tmp_path / "instance.json"))
    with pytest.raises(GarrisonError, match="does not sign"):
        write(STATEMENT, signer)
    with pytest.raises(UsageError, match="nothing else"):
        write(STATEMENT, signer, payload_type="text/plain")


def test_configurations_that_cannot_be_read(tmp_path: Path) -> None:
    for content in ("", "{}", "\xff"):
        (tmp_path / "instance.json").write_bytes(content.encode("latin-1"))
        with pytest.raises(UsageError):
            write(STATEMENT, KeylessSigner(token(), str(tmp_path / "instance.json")))


@pytest.mark.parametrize("wrong", ["none", token(seconds=-60), token(audience="somebody")])
def test_tokens_that_are_of_no_use(wrong: str) -> None:
    with pytest.raises(UsageError, match="token"):
        KeylessSigner(wrong)


def test_no_token_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GITHUB_ACTIONS", "GITLAB_CI", "CIRCLECI", "BUILDKITE", "GCE_METADATA_HOST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("sigstore.oidc.detect_credential", lambda *_: None)
    with pytest.raises(UsageError, match="no identity token"):
        KeylessSigner()
