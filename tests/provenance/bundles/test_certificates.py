"""Chains of certificates: which lead to an authority, and what each of their flaws says."""

import datetime
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from garrison.core.errors import UsageError
from garrison.core.policy import Identity
from garrison.provenance.bundles import CertificateSigner, Opened, opened, write
from garrison.provenance.bundles.certificates import matching_name
from garrison.provenance.keys import KeySigner
from garrison.provenance.trust import Refused, Trust
from tests.provenance.authorities import BEGIN, END, NOBODY_S, NOW, SIGNING, Holder, authority, email, key_usage

PAYLOAD = b"{}"
DAY = datetime.timedelta(days=1)
ROOT = authority()
MIDDLE = ROOT.authority("middle")
RSA_ROOT = authority("rsa", key=rsa.generate_private_key(65537, 2048))


def bundle(holder: Holder, chain: list[bytes] | None = None) -> bytes:
    return write(PAYLOAD, CertificateSigner(KeySigner(holder.key), holder.chain if chain is None else chain))


def found(
    data: bytes,
    directory: Path,
    *,
    root: Holder = ROOT,
    subject: str = "alice@example.com",
    now: datetime.datetime = NOW,
) -> Opened:
    (directory / "root.pem").write_bytes(root.pem)
    identity = Identity(name="alice", authorities="root.pem", subject=subject)
    return opened(data, Trust(identities=(identity,), base=str(directory)), now=now)


GOOD: dict[str, tuple[Holder, Holder]] = {
    "below the root": (ROOT.signer(), ROOT),
    "below another": (MIDDLE.signer(), ROOT),
    "the middle one trusted": (MIDDLE.signer(), MIDDLE),
    "P-384": (MIDDLE.signer(key=ec.generate_private_key(ec.SECP384R1())), ROOT),
    "P-521": (MIDDLE.signer(key=ec.generate_private_key(ec.SECP521R1())), ROOT),
    "an RSA authority": (RSA_ROOT.signer(), RSA_ROOT),
    "no key usage": (ROOT.signer(extensions=()), ROOT),
    "an authority for signing": (ROOT.authority("m", [(SIGNING, False)]).signer(), ROOT),
    "as long as its authority allows": (ROOT.authority("m", length=0).signer(), ROOT),
    "within its authority's names": (
        ROOT.authority(
            "m",
            [(x509.NameConstraints(permitted_subtrees=[x509.RFC822Name("example.com")], excluded_subtrees=None), True)],
        ).signer(),
        ROOT,
    ),
}


@pytest.mark.parametrize("what", GOOD)
def test_chains_that_lead_to_the_authority(what: str, tmp_path: Path) -> None:
    signer, root = GOOD[what]
    signatory = found(bundle(signer), tmp_path, root=root).signatory
    assert (signatory.kind, signatory.identity, signatory.subject) == ("certificate", "alice", "alice@example.com")
    assert signer.issuer and signatory.issuer == signer.issuer.name.rfc4514_string()


def limited(holder: Holder, **names: Any) -> Holder:
    constraints = x509.NameConstraints(**{"permitted_subtrees": None, "excluded_subtrees": None, **names})
    return holder.authority("limited", [(constraints, True)])


BELOW = MIDDLE.signer()
ALONE = Holder("alice@example.com", ec.generate_private_key(ec.SECP256R1()), None, extensions=[(SIGNING, False)])
USAGES = ExtendedKeyUsageOID
BAD: dict[str, tuple[Callable[[], bytes], str]] = {
    "expired": (lambda: bundle(ROOT.signer(end=NOW - DAY)), "expired on 2026-05-31"),
    "not yet valid": (lambda: bundle(ROOT.signer(begin=NOW + DAY)), "not valid before 2026-06-02"),
    "its authority expired": (lambda: bundle(ROOT.authority("m", end=NOW - DAY).signer()), "expired"),
    "for TLS servers": (
        lambda: bundle(ROOT.signer(usage=x509.ExtendedKeyUsage([USAGES.SERVER_AUTH]))),
        "no codeSigning",
    ),
    "for anything": (
        lambda: bundle(ROOT.signer(usage=x509.ExtendedKeyUsage([USAGES.ANY_EXTENDED_KEY_USAGE]))),
        "no codeSigning",
    ),
    "for it says not what": (lambda: bundle(ROOT.signer(usage=None)), "extendedKeyUsage|2.5.29.37|required"),
    "not for signatures": (
        lambda: bundle(ROOT.signer(extensions=[(key_usage("key_agreement"), True)])),
        "digital signatures",
    ),
    "of another root with the same name": (lambda: bundle(authority().signer()), "."),
    "of another middle with the same name": (
        lambda: bundle(authority("x").authority("middle").signer(), None),
        ".",
    ),
    "without what leads to the root": (lambda: bundle(BELOW, BELOW.chain[:1]), "exhausted"),
    "its own authority": (lambda: bundle(ALONE, [ALONE.der]), "exhausted"),
    "issued by a signer": (
        lambda: bundle(Holder("", ec.generate_private_key(ec.SECP256R1()), ROOT.signer("m@x"), extensions=[])),
        ".",
    ),
    "issued by who is no authority": (lambda: bundle(ROOT.authority("m", ca=False).signer()), "cA must be asserted"),
    "issued by who may not": (
        lambda: bundle(ROOT.authority("m", usage=key_usage("digital_signature")).signer()),
        "signing certificates",
    ),
    "issued by an authority for TLS": (
        lambda: bundle(ROOT.authority("m", [(x509.ExtendedKeyUsage([USAGES.SERVER_AUTH]), False)]).signer()),
        "other things",
    ),
    "deeper than its authority allows": (lambda: bundle(ROOT.authority("m", length=0).authority("n").signer()), "."),
    "outside of its authority's names": (
        lambda: bundle(limited(ROOT, permitted_subtrees=[x509.RFC822Name("example.org")]).signer()),
        ".",
    ),
    "among the names its authority must not give": (
        lambda: bundle(limited(ROOT, excluded_subtrees=[x509.RFC822Name("example.com")]).signer()),
        ".",
    ),
    "an unknown critical extension": (
        lambda: bundle(ROOT.signer(extensions=[(NOBODY_S, True)])),
        "critical",
    ),
    "an unknown critical extension of its authority": (
        lambda: bundle(ROOT.authority("m", [(NOBODY_S, True)]).signer()),
        "critical",
    ),
    "somebody else": (lambda: bundle(ROOT.signer("mallory@example.com")), "'mallory@example.com', and not of 'alice"),
    "nobody": (lambda: bundle(ROOT.signer("")), "of nobody"),
}


@pytest.mark.parametrize("what", BAD)
def test_chains_with_a_flaw(what: str, tmp_path: Path) -> None:
    make, reason = BAD[what]
    with pytest.raises(Refused, match=reason):
        found(make(), tmp_path)


def with_sha1(holder: Holder) -> bytes:
    """The certificate, signed again with SHA-1, as no library does any more."""
    sha256, sha1 = (bytes.fromhex(f"06092a864886f70d0101{last}") for last in ("0b", "05"))
    signed = holder.certificate.tbs_certificate_bytes.replace(sha256, sha1)
    signature = RSA_ROOT.key.sign(signed, padding.PKCS1v15(), hashes.SHA1())
    return holder.der.replace(sha256, sha1).replace(holder.certificate.signature, signature)


def test_what_signed_the_chain_weakly(tmp_path: Path) -> None:
    holder = RSA_ROOT.signer()
    data = bundle(holder)
    assert found(data, tmp_path, root=RSA_ROOT)
    with pytest.raises(Refused):
        found(data.replace(base64(holder.der), base64(with_sha1(holder))), tmp_path, root=RSA_ROOT)
    small = authority("small", key=rsa.generate_private_key(65537, 1024))
    with pytest.raises(Refused):
        found(bundle(small.signer()), tmp_path, root=small)


def test_the_signer_s_key_must_be_of_a_kind_that_signs_models(tmp_path: Path) -> None:
    holder = ROOT.signer(key=rsa.generate_private_key(65537, 2048))
    with pytest.raises(UsageError):
        bundle(holder)
    own = ROOT.signer()
    swapped = bundle(own).replace(base64(own.der), base64(holder.der))
    with pytest.raises(Refused, match="P-256"):
        found(swapped, tmp_path)


def base64(data: bytes) -> bytes:
    from base64 import b64encode

    return b64encode(data)


def test_another_s_certificate_with_one_s_own_signature(tmp_path: Path) -> None:
    alice, mallory = ROOT.signer(), ROOT.signer("mallory@example.com")
    with pytest.raises(UsageError, match="not that of the signing key"):
        write(PAYLOAD, CertificateSigner(KeySigner(mallory.key), alice.chain))
    swapped = bundle(mallory).replace(base64(mallory.der), base64(alice.der))
    with pytest.raises(Refused, match="not of the certificate's key"):
        found(swapped, tmp_path)


def test_the_first_and_the_last_second_count(tmp_path: Path) -> None:
    data = bundle(ROOT.signer())
    for moment in (BEGIN, END):
        assert found(data, tmp_path, now=moment)
    for moment in (BEGIN - datetime.timedelta(seconds=1), END + datetime.timedelta(seconds=1)):
        with pytest.raises(Refused):
            found(data, tmp_path, now=moment)


def test_the_authority_must_be_valid_too_at_the_time_that_is_asked_for(tmp_path: Path) -> None:
    years = [datetime.datetime(year, 6, 1, tzinfo=datetime.UTC) for year in (2020, 2021, 2022, 2023)]
    root = authority(begin=years[0], end=years[2])
    data = bundle(root.signer(begin=years[0], end=years[3] + DAY))
    assert found(data, tmp_path, root=root, now=years[1])
    with pytest.raises(Refused):
        found(data, tmp_path, root=root, now=years[3])


@pytest.mark.parametrize(
    "pattern, holds",
    [
        ("*@example.com", True),
        ("alice@*", True),
        ("https://example.com/*", True),
        ("Alice@example.com", False),
        ("example.com", False),
        ("name", False),
    ],
)
def test_names_are_matched_as_they_stand(pattern: str, holds: bool, tmp_path: Path) -> None:
    names = x509.SubjectAlternativeName(
        [x509.UniformResourceIdentifier("https://example.com/a"), x509.RFC822Name("alice@example.com")]
    )
    data = bundle(ROOT.signer("", extensions=[(names, False)]))
    if holds:
        assert found(data, tmp_path, subject=pattern)
    else:
        with pytest.raises(Refused):
            found(data, tmp_path, subject=pattern)


MAIL, URI, HOST = x509.RFC822Name, x509.UniformResourceIdentifier, x509.DNSName


@pytest.mark.parametrize(
    "name, pattern, holds",
    [
        (URI("alice@example.com"), "alice@example.com", False),
        (HOST("alice@example.com"), "alice@example.com", False),
        (URI("https://elsewhere/a@example.com"), "*@example.com", False),
        (URI("host.example.com"), "host.example.com", False),
        (MAIL("host.example.com"), "host.example.com", False),
        (MAIL("a@host.example.com"), "*.example.com", False),
        (HOST("host.example.com"), "*.example.com", True),
        (URI("https://example.com/a@b"), "https://example.com/*", True),
        (MAIL("alice@example.com"), "*", True),
        (URI("https://example.com/a"), "*", True),
        (MAIL("robot[bot]@example.com"), "robot[bot]@example.com", True),
        (MAIL("robotb@example.com"), "robot[bot]@example.com", False),
        (MAIL("alice@example.com"), "[a-z]*@example.com", False),
        (MAIL("alice@example.com"), "", False),
    ],
)
def test_a_name_counts_as_what_it_is(name: x509.GeneralName, pattern: str, holds: bool) -> None:
    holder = ROOT.signer("", extensions=[(x509.SubjectAlternativeName([name]), False)])
    if holds:
        assert matching_name(holder.certificate, pattern) == name.value
    else:
        with pytest.raises(Refused):
            matching_name(holder.certificate, pattern)


@pytest.mark.parametrize("limits", [([MAIL("example.org")], None), ([HOST("example.org")], None), (None, [HOST("a")])])
def test_below_an_authority_with_limits_no_common_name_counts(limits: Any, tmp_path: Path) -> None:
    limited = ROOT.authority("limited", [(x509.NameConstraints(*limits), True)])
    key = ec.generate_private_key(ec.SECP256R1())
    holder = Holder("alice@example.com", key, limited, extensions=[(SIGNING, False)])
    with pytest.raises(Refused, match="limits"):
        found(bundle(holder), tmp_path)


def test_the_common_name_counts_only_where_there_is_no_other(tmp_path: Path) -> None:
    def holder(*extensions: tuple[x509.ExtensionType, bool]) -> Holder:
        key = ec.generate_private_key(ec.SECP256R1())
        return Holder("Alice", key, ROOT, extensions=[(SIGNING, False), *extensions])

    assert found(bundle(holder()), tmp_path, subject="Alice").signatory.subject == "Alice"
    with pytest.raises(Refused):
        found(bundle(holder((email("bob@example.com"), False))), tmp_path, subject="Alice")


def test_bundles_with_a_key_have_no_certificate(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="without a certificate"):
        found(write(PAYLOAD, KeySigner(ROOT.signer().key)), tmp_path)


def test_a_trusted_key_counts_whatever_comes_with_it(tmp_path: Path) -> None:
    from garrison.provenance.keys import pem

    holder = ROOT.signer()
    (tmp_path / "key.pem").write_bytes(pem(holder.key.public_key()))
    identity = Identity(name="key", public_key="key.pem")
    assert opened(bundle(holder), Trust(identities=(identity,), base=str(tmp_path)), now=NOW).signatory.kind == "key"


def test_certificates_that_cannot_be_read(tmp_path: Path) -> None:
    holder = ROOT.signer()
    for broken in (b"", b"\x30\x00", holder.der[:-1], holder.der + b"\0"):
        with pytest.raises(Refused):
            found(bundle(holder).replace(base64(holder.der), base64(broken)), tmp_path)


def test_an_authority_that_cannot_be_read(tmp_path: Path) -> None:
    identity = Identity(name="alice", authorities=str(tmp_path / "root.pem"), subject="*")
    for content in (b"", b"-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n"):
        (tmp_path / "root.pem").write_bytes(content)
        with pytest.raises(UsageError):
            opened(bundle(ROOT.signer()), Trust(identities=(identity,)), now=NOW)


def test_a_longer_chain_than_anyone_has(tmp_path: Path) -> None:
    holder = ROOT.signer()
    with pytest.raises(Refused, match="a chain of 17"):
        found(bundle(holder, holder.chain * 17), tmp_path)


def test_keys_for_attestations_only(tmp_path: Path) -> None:
    holder = ROOT.signer(key=ed25519.Ed25519PrivateKey.generate())
    assert found(bundle(holder), tmp_path)


def test_a_certificate_whose_signature_ends_within_a_byte(tmp_path: Path) -> None:
    """Its last bits can be zero, and then be left out without a change to what is checked."""
    while (holder := ROOT.signer()).certificate.signature[-1] & 1:
        pass
    signature = holder.certificate.signature
    altered = holder.der.removesuffix(b"\0" + signature) + b"\1" + signature
    with pytest.raises(Refused, match="within a byte"):
        found(bundle(holder).replace(base64(holder.der), base64(altered)), tmp_path)


@pytest.mark.parametrize("version", [b"\x00", b"\x01", b"\x03", b"\x12"])
def test_a_certificate_of_another_version(version: bytes, tmp_path: Path) -> None:
    holder = ROOT.signer()
    altered = holder.der.replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01" + version)
    with pytest.raises(Refused):
        found(bundle(holder).replace(base64(holder.der), base64(altered)), tmp_path)
