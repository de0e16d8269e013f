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
5. A name counts as what it is: an e-mail address in the place of a URI is nobody's, and a pattern for addresses matches
   no URI. An authority that may name only some is limited in each kind by itself (4.2.1.10), and in common names not
   at all, so that below it those do not count.

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

    `chain` is in DER, the signer's first; `authorities` is a file of certificates in PEM; `pattern` is one for
    `matching_name`. Raises `Refused`, and `UsageError` for authorities that cannot be read.
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
        above = verifier.verify(first, rest).chain[1:]
    except verification.VerificationError as error:
        raise Refused(f"the certificate of {_named(first)}: {error}") from None
    if not _has(first, x509.SubjectAlternativeName) and any(_has(one, x509.NameConstraints) for one in above):
        raise Refused(f"the certificate of {_named(first)} has no name that its authority's limits would hold for")
    return Vouched(key, matching_name(first, pattern), first.issuer.rfc4514_string())


def _has(certificate: "x509.Certificate", extension: "type[x509.ExtensionType]") -> bool:
    return any(isinstance(one.value, extension) for one in certificate.extensions)


def matching_name(certificate: "x509.Certificate", pattern: str) -> str:
    """The first of its names that a pattern matches, in which `*` stands for anything and `?` for any character.

    A pattern with a colon is for URIs, another with an at sign for e-mail addresses, any other for hosts; one of
    nothing but `*` and `?` is for all, and a common name may be anything. Raises `Refused`.
    """
    names = names_of(certificate)
    asked = _kind_of(pattern) if pattern.strip("*?") else ""
    wanted = pattern.replace("[", "[[]")  # which in a name is a bracket, as in `robot[bot]`, and no set of characters
    for name, kind in names:
        if (not kind or not asked or kind == asked) and fnmatch.fnmatchcase(name, wanted):
            return name
    told = ", ".join(repr(name) for name, _ in names)
    raise Refused(f"the certificate is of {told or 'nobody'}, and not of {pattern!r}")


def names_of(certificate: "x509.Certificate") -> list[tuple[str, str]]:
    """Its subject alternative names that are addresses, URIs or hosts and look it, each with its kind.

    Its common name if it has none, without a kind.
    """
    from cryptography import x509

    try:
        alternatives = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return [(str(name.value), "") for name in certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)]
    kinds = {x509.RFC822Name: "address", x509.UniformResourceIdentifier: "URI", x509.DNSName: "host"}
    found = [(name.value, kinds[type(name)]) for name in alternatives if type(name) in kinds]
    return [(name, kind) for name, kind in found if _kind_of(name) == kind]


def _kind_of(name: str) -> str:
    """What a name can only be, or what a pattern can only be for."""
    return "URI" if ":" in name else "address" if "@" in name else "host"


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
