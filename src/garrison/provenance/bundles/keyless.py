"""Sigstore: signatures with a key that lives for minutes, certified for an account and witnessed by a public log.

What is checked, `sigstore`'s own verifier checks, offline: the chain to the instance's authority at a time that the log
or a timestamp authority tells, the certificate's entry in the certificate log, the signature, and that the log has it
(https://docs.sigstore.dev/about/security/, and the numbered steps of `sigstore.verify.verifier`). The account's name is
matched here as a pattern, and then given to it as it stands; the provider must be the one that is trusted.
"""

import os
from typing import TYPE_CHECKING, Any

import msgspec

from garrison.core.errors import GarrisonError, UsageError
from garrison.core.policy import Identity
from garrison.provenance.bundles.certificates import matching_name
from garrison.provenance.dsse import IN_TOTO
from garrison.provenance.trust import Refused, Signatory

if TYPE_CHECKING:
    from sigstore.models import ClientTrustConfig, TrustedRoot

    from garrison.provenance.bundles.reading import Bundle

_SHIPPED = "https%3A%2F%2Ftuf-repo-cdn.sigstore.dev"
"""The public instance, as the library calls the directory of what it ships."""
_MISSING = "Sigstore needs an extra: pip install 'garrison[sigstore]'"


class Kept(msgspec.Struct, frozen=True):
    """What the log and the certificate vouch for."""

    payload: bytes
    payload_type: str
    signatory: Signatory


class _Entry(msgspec.Struct, rename="camel"):
    integrated_time: str | int = 0
    inclusion_promise: dict[str, Any] | None = None


class _Material(msgspec.Struct, rename="camel"):
    tlog_entries: tuple[_Entry, ...] = ()


class _Logged(msgspec.Struct, rename="camel"):
    verification_material: _Material


def kept(identity: Identity, bundle: "Bundle", base: str) -> Kept:
    """What the identity signed. Raises `Refused`, and `UsageError` where the library or the trusted root is missing."""
    if not bundle.logged or not bundle.certificates:
        raise Refused("signed without Sigstore: no certificate with an entry of its log")
    try:
        from sigstore.models import Bundle as SigstoreBundle
        from sigstore.verify import Verifier, policy
    except ImportError:
        raise UsageError(_MISSING) from None
    from cryptography.x509 import load_der_x509_certificate

    root = _trusted_root(os.path.join(base, identity.trusted_root) if identity.trusted_root else "")
    # Over bytes that an attacker chose, the library may raise anything; whatever it is, it is no yes.
    try:
        certificate = load_der_x509_certificate(bundle.certificates[0])
        name = matching_name(certificate, identity.subject)
        verifier = Verifier(trusted_root=root)
        payload_type, payload = verifier.verify_dsse(
            SigstoreBundle.from_json(bundle.data), policy.Identity(identity=name, issuer=identity.issuer)
        )
        time = _witnessed(bundle.data)
    except Refused:
        raise
    except Exception as error:
        said = " ".join(str(error).split())[:300]
        raise Refused(f"Sigstore's verification failed: {said or type(error).__name__}") from None
    who = Signatory(kind="sigstore", identity=identity.name, subject=name, issuer=identity.issuer, time=time)
    return Kept(payload, payload_type, who)


class KeylessSigner:
    """Signs whole bundles, for the account that an identity token is of; needs a network."""

    def __init__(self, token: str = "", trust_config: str = "") -> None:
        """`token` is by default the one that the environment offers, as that of a CI job; `trust_config` is a file that
        names another instance than the public one. Raises `UsageError` for a token that is missing or of no use."""
        try:
            from sigstore.errors import Error
            from sigstore.oidc import IdentityToken, detect_credential
        except ImportError:
            raise UsageError(_MISSING) from None
        try:
            found = token or detect_credential()
            if not found:
                raise UsageError("no identity token for Sigstore: the environment offers none, and none was given")
            self._token = IdentityToken(found)
        except Error as error:
            raise UsageError(f"Sigstore: {' '.join(str(error).split())}") from None
        self._trust_config = trust_config

    def bundle(self, payload: bytes, payload_type: str) -> bytes:
        """A bundle of the payload. Raises `GarrisonError` where the instance cannot be reached or does not sign."""
        from sigstore.dsse import Statement
        from sigstore.sign import SigningContext

        if payload_type != IN_TOTO:
            raise UsageError("Sigstore signs in-toto statements, and nothing else here")
        try:
            context = SigningContext.from_trust_config(_configuration(self._trust_config))
            with context.signer(self._token) as signer:
                return signer.sign_dsse(Statement(payload)).to_json().encode()
        except GarrisonError:
            raise
        except Exception as error:  # of the library, of what it speaks HTTP with, of the certificates it is given
            cause = error.__cause__ or error
            raise GarrisonError(f"Sigstore does not sign: {' '.join(str(cause).split())[:300]}") from None


def _configuration(path: str) -> "ClientTrustConfig":
    from sigstore.models import ClientTrustConfig

    from garrison.provenance.keys import contents

    if not path:
        return ClientTrustConfig.production()
    try:
        return ClientTrustConfig.from_json(contents(path).decode())
    except ValueError as error:
        raise UsageError(f"{path}: no trust configuration of Sigstore: {error}") from None


def _trusted_root(path: str) -> "TrustedRoot":
    from importlib.resources import as_file, files

    from sigstore.models import TrustedRoot

    place: Any
    if path:
        place = path
        try:
            return TrustedRoot.from_file(path)
        except OSError as error:
            raise UsageError(f"{path}: {error.strerror}") from None
        except Exception as error:
            raise UsageError(f"{path}: no trusted root of Sigstore: {error}") from None
    with as_file(files("sigstore._store") / _SHIPPED / "trusted_root.json") as place:
        return TrustedRoot.from_file(str(place))


def _witnessed(data: bytes) -> float | None:
    """When the log took the entry in, where it promised so; the promise has been verified."""
    for entry in msgspec.json.decode(data, type=_Logged).verification_material.tlog_entries:
        if entry.inclusion_promise and int(entry.integrated_time):
            return float(entry.integrated_time)
    return None
