"""Whose signatures count: what a user or a policy trusts, and who a signature turned out to be from."""

import hashlib
import re
from typing import TYPE_CHECKING, Literal

import msgspec

from garrison.core.errors import GarrisonError, UsageError
from garrison.core.policy import Identity

if TYPE_CHECKING:
    from garrison.provenance.keys import PublicKey


_REASON = 4000
"""Characters. Reasons repeat what was refused, and that may have names of any length."""


class Refused(GarrisonError):
    """A signature, a statement or a sealed file that does not hold; the text says why."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason if len(reason) <= _REASON else f"{reason[: _REASON - 1]}…")


class Signatory(msgspec.Struct, frozen=True, kw_only=True):
    """Who signed, as far as a checked signature tells."""

    kind: Literal["key", "certificate", "sigstore"]
    identity: str
    """The name that the trusting side gave this identity."""
    subject: str
    """A key's SHA-256 (of its SubjectPublicKeyInfo in DER, in hexadecimal), or the name in the certificate."""
    issuer: str = ""
    """The certificate's issuer; with Sigstore the OpenID provider."""
    key: str = ""
    """Of a certificate with a key that lasts: the key's SHA-256, as `subject` of a key."""
    time: float | None = None
    """When it was signed, in seconds since 1970, by a witness other than the signer; `None` where none tells."""


_NAMED = re.compile(r"[^\W_](?!\w*:)")
"""A letter or a digit that is not of a URI's scheme, as in `*@*` or `https://*` none is."""


class Trust(msgspec.Struct, frozen=True, kw_only=True):
    """A signature counts if one of these identities made it; nothing else ever counts."""

    identities: tuple[Identity, ...]
    base: str = ""
    """The directory that relative paths of identities begin at."""


def kind_of(identity: Identity) -> Literal["key", "certificate", "sigstore"]:
    """What the identity's signatures are checked with. Raises `UsageError` for an identity that does not say it."""
    kinds: list[Literal["key", "certificate", "sigstore"]] = []
    if identity.public_key:
        kinds.append("key")
    if identity.authorities:
        kinds.append("certificate")
    if identity.issuer:
        kinds.append("sigstore")
    if len(kinds) != 1:
        raise UsageError(f"identity {identity.name!r}: one of public-key, authorities and issuer must be given")
    if (kinds[0] != "key") != bool(identity.subject):
        raise UsageError(f"identity {identity.name!r}: subject belongs to authorities and to issuer, which require it")
    if kinds[0] == "sigstore" and not _NAMED.search(identity.subject):
        raise UsageError(f"identity {identity.name!r}: {identity.subject!r} is anyone who has an account there")
    if identity.trusted_root and kinds[0] != "sigstore":
        raise UsageError(f"identity {identity.name!r}: trusted-root belongs to issuer")
    return kinds[0]


def fingerprint(key: "PublicKey") -> str:
    """A key's SHA-256, of its SubjectPublicKeyInfo in DER, in hexadecimal."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()
