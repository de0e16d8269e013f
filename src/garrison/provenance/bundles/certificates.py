"""Certificates: a chain from the signer's own to an authority that is trusted, checked as RFC 5280 says.

The path is validated by `cryptography` (section 6.1: signatures, validity, names, path lengths, name constraints,
critical extensions that nobody knows), with what signing asks for in place of what web servers ask for:

1. The first certificate is the signer's: it is meant for signing code (extended key usage `codeSigning`, named itself
   and not by way of "any"), and its key usage, where it has one, allows digital signatures.
2. Every other one is an authority's: basic constraints say so, and its key usage allows signing certificates. Where it
   limits what its certificates are for, code signing is among that.
3. All are valid at the given time, the authority included: nobody has witnessed that the signature is any older.
4. The first one's names (RFC 5280, 4.2.1.6: subject alternative names; without them the common name) have the one that
   is asked for. Which root vouches for it is for the user to say: those of the web are never meant.

Revocation is not checked, since no list travels with a bundle: an authority's file that no longer lists a certificate,
or an identity that leaves the policy, is how one is taken back.
"""

import datetime
import fnmatch
from typing import TYPE_CHECKING, NamedTuple

from garrison.core.errors import UsageError
from garrison.provenance.keys import supported
from garrison.provenance.trust import Refused

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cryptography import x509

    from garrison.provenance.keys import PublicKey

_DEPTH = 8
"""How many authorities may stand between a signer and a root."""


class Vouched(NamedTuple):
    """What an authority vouches for."""

    key: "PublicKey"
    name: str
    """The one that was asked for."""
    issuer: str


def vouched(chain: "Sequence[bytes]", authorities: str, pattern: str, now: datetime.datetime) -> Vouched:
    """The first certificate's key, for whoever has the name.

    `chain` is in DER, the signer's first; `authorities` is a file of certificates in PEM; `pattern` is a shell pattern.
    Raises `Refused`, and `UsageError` for authorities that cannot be read.
    """
    roots = _certificates_in(authorities)
    if not chain:
        raise Refused("signed without a certificate")
    # Over bytes that an attacker chose, the library may raise anything; whatever it is, it is no yes.
    try:
        return _vouched(chain, roots, pattern, now)
    except Refused:
        raise
    except Exception as error:
        raise Refused(f"a certificate that cannot be read: {' '.join(str(error).split())}") from None


def _vouched(
    chain: "Sequence[bytes]", roots: "list[x509.Certificate]", pattern: str, now: datetime.datetime
) -> Vouched:
    from cryptography import x509
    from cryptography.x509 import verification

    first, *rest = map(x509.load_der_x509_certificate, chain)
    for certificate, der in zip((first, *rest), chain, strict=True):
        _check_valid(certificate, now)
        if not der.endswith(b"\0" + certificate.signature):
            raise Refused(f"the certificate of {_named(certificate)} ends within a byte, where nobody would look")
    key = supported_key(first)
    verifier = (
        verification.PolicyBuilder()
        .store(verification.Store(roots))
        .time(now)
        .max_chain_depth(_DEPTH)
        .extension_policies(ca_policy=_authority_policy(), ee_policy=_signer_policy())
        .build_client_verifier()
    )
    try:
        verifier.verify(first, rest)
    except verification.VerificationError as error:
        raise Refused(f"the certificate of {_named(first)}: {error}") from None
    return Vouched(key, matching_name(first, pattern), first.issuer.rfc4514_string())


def matching_name(certificate: "x509.Certificate", pattern: str) -> str:
    """The first of its names that a shell pattern matches. Raises `Refused`."""
    names = names_of(certificate)
    for name in names:
        if fnmatch.fnmatchcase(name, pattern):
            return name
    raise Refused(f"the certificate is of {', '.join(map(repr, names)) or 'nobody'}, and not of {pattern!r}")


def names_of(certificate: "x509.Certificate") -> list[str]:
    """Its subject alternative names that are text; its common name if it has none."""
    from cryptography import x509

    try:
        alternatives = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return [str(name.value) for name in certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)]
    kinds = (x509.RFC822Name, x509.UniformResourceIdentifier, x509.DNSName)
    return [name.value for name in alternatives if isinstance(name, kinds)]


def supported_key(certificate: "x509.Certificate") -> "PublicKey":
    """The certificate's key. Raises `Refused` if nothing here signs with such a key."""
    try:
        return supported(certificate.public_key(), "the certificate's key")
    except UsageError as error:
        raise Refused(str(error)) from None


def _check_valid(certificate: "x509.Certificate", now: datetime.datetime) -> None:
    """Checked again by the path's validation, of which the message says less."""
    if certificate.not_valid_after_utc < now:
        raise Refused(f"the certificate of {_named(certificate)} expired on {certificate.not_valid_after_utc:%Y-%m-%d}")
    if certificate.not_valid_before_utc > now:
        begin = f"{certificate.not_valid_before_utc:%Y-%m-%d}"
        raise Refused(f"the certificate of {_named(certificate)} is not valid before {begin}")


def _named(certificate: "x509.Certificate") -> str:
    return repr(certificate.subject.rfc4514_string() or "nobody")


def _certificates_in(path: str) -> "list[x509.Certificate]":
    from cryptography import x509

    from garrison.provenance.keys import contents

    try:
        return x509.load_pem_x509_certificates(contents(path))
    except ValueError as error:
        raise UsageError(f"{path}: no certificates in PEM that can be read: {error}") from None


def load_certificates(path: str) -> list[bytes]:
    """The certificates of a file in PEM, in DER. Raises `UsageError`."""
    from cryptography.hazmat.primitives.serialization import Encoding

    return [certificate.public_bytes(Encoding.DER) for certificate in _certificates_in(path)]


def _signer_policy() -> "x509.verification.ExtensionPolicy":
    from cryptography import x509
    from cryptography.x509 import oid
    from cryptography.x509.verification import Criticality, ExtensionPolicy

    def extended(_: object, __: x509.Certificate, usage: x509.ExtendedKeyUsage) -> None:
        if oid.ExtendedKeyUsageOID.CODE_SIGNING not in usage:
            raise ValueError("it is not meant for signing (no codeSigning among its extended key usages)")

    def usage(_: object, __: x509.Certificate, usage: x509.KeyUsage | None) -> None:
        if usage is not None and not usage.digital_signature:
            raise ValueError("its key usage does not allow digital signatures")

    return (
        ExtensionPolicy.permit_all()
        .require_present(x509.ExtendedKeyUsage, Criticality.AGNOSTIC, extended)
        .may_be_present(x509.KeyUsage, Criticality.AGNOSTIC, usage)
    )


def _authority_policy() -> "x509.verification.ExtensionPolicy":
    from cryptography import x509
    from cryptography.x509 import oid
    from cryptography.x509.verification import Criticality, ExtensionPolicy

    def usage(_: object, __: x509.Certificate, usage: x509.KeyUsage) -> None:
        if not usage.key_cert_sign:
            raise ValueError("its key usage does not allow signing certificates")

    def extended(_: object, __: x509.Certificate, usage: x509.ExtendedKeyUsage | None) -> None:
        allowed = (oid.ExtendedKeyUsageOID.CODE_SIGNING, oid.ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE)
        if usage is not None and not any(kind in usage for kind in allowed):
            raise ValueError("it is an authority for other things than signing")

    return (
        ExtensionPolicy.permit_all()
        .require_present(x509.BasicConstraints, Criticality.AGNOSTIC, None)
        .require_present(x509.KeyUsage, Criticality.AGNOSTIC, usage)
        .may_be_present(x509.ExtendedKeyUsage, Criticality.AGNOSTIC, extended)
    )
