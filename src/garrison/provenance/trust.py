"""Whose signatures count: what a user or a policy trusts, and who a signature turned out to be from."""

from typing import Literal

import msgspec

from garrison.core.errors import GarrisonError
from garrison.core.policy import Identity


class Refused(GarrisonError):
    """A signature, a statement or a sealed file that does not hold; the text says why."""


class Signatory(msgspec.Struct, frozen=True, kw_only=True):
    """Who signed, as far as a checked signature tells."""

    kind: Literal["key", "certificate", "sigstore"]
    identity: str
    """The name that the trusting side gave this identity."""
    subject: str
    """A key's SHA-256 (of its SubjectPublicKeyInfo in DER, in hexadecimal), or the name in the certificate."""
    issuer: str = ""
    """The certificate's issuer; with Sigstore the OpenID provider."""
    time: float | None = None
    """When it was signed, in seconds since 1970, by a witness other than the signer; `None` where none tells."""


class Trust(msgspec.Struct, frozen=True, kw_only=True):
    """A signature counts if one of these identities made it; nothing else ever counts."""

    identities: tuple[Identity, ...]
    base: str = ""
    """The directory that relative paths of identities begin at."""
