"""Recipients and identities of P-256 keys that lie in a token or behind a service, the `age1tag1…`.

Sealing needs the public key alone. Opening asks whoever holds the private key for one key agreement, and only for
stanzas whose tag says that they are for it.

Sources: https://age-encryption.org/v1, section "The tagged recipient types"; RFC 9180, sections 4.1 and 5.1 (HPKE, of
which the agreement is done elsewhere, so that its two derivations are written out here).
"""

import hashlib
import hmac
from typing import TYPE_CHECKING, Final, Protocol

from garrison.provenance.sealing.encoding import base64_text, bech32_text
from garrison.provenance.sealing.refusals import MalformedHeader
from garrison.provenance.sealing.stanzas import Stanza, checked

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

RECIPIENT = "age1tag"
"""The Bech32 prefix."""
KIND = "p256tag"
_LABEL = b"age-encryption.org/p256tag"
_TAG = 4
_POINT = 65
_KEM = b"KEM\x00\x10"
_SUITE = b"HPKE\x00\x10\x00\x01\x00\x03"
"""DHKEM(P-256, HKDF-SHA256), HKDF-SHA256, ChaCha20Poly1305: RFC 9180, section 7."""


class KeyAgreement(Protocol):
    """A private key on P-256, wherever it lies."""

    @property
    def public_key(self) -> "EllipticCurvePublicKey": ...

    def exchange(self, peer: "EllipticCurvePublicKey") -> bytes:
        """The 32 bytes of the x-coordinate that ECDH with `peer` ends in."""
        ...


class TaggedRecipient:
    company: Final = "any"

    def __init__(self, key: "EllipticCurvePublicKey") -> None:
        """Raises `ValueError` for a key on another curve."""
        if key.curve.name != "secp256r1":
            raise ValueError(f"a key on the curve {key.curve.name}, not P-256")
        self._public = key

    @classmethod
    def from_point(cls, point: bytes) -> "TaggedRecipient":
        """Raises `ValueError` for what is no compressed point of the curve."""
        from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey

        if len(point) != 33:
            raise ValueError(f"a point of {len(point)} bytes, not 33")
        return cls(EllipticCurvePublicKey.from_encoded_point(SECP256R1(), point))

    def __str__(self) -> str:
        return bech32_text(RECIPIENT, _compressed(self._public))

    def wrap(self, file_key: bytes) -> Stanza:
        from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

        both = Suite(KEM.P256, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305).encrypt(file_key, self._public, _LABEL)
        share, body = both[:_POINT], both[_POINT:]
        tag = base64_text(_tag(share, self._public)).decode()
        return Stanza((KIND, tag, base64_text(share).decode()), body)


class TaggedIdentity:
    def __init__(self, agreement: KeyAgreement) -> None:
        """Raises `ValueError` for a key on another curve."""
        self.recipient = TaggedRecipient(agreement.public_key)
        self._agreement = agreement

    def unwrap(self, stanza: Stanza) -> bytes | None:
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
        from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

        if stanza.kind != KIND:
            return None
        tag, share = checked(stanza, _TAG, _POINT)
        public = self._agreement.public_key
        if not hmac.compare_digest(tag, _tag(share, public)):
            return None
        try:
            peer = EllipticCurvePublicKey.from_encoded_point(SECP256R1(), share)
        except ValueError:
            raise MalformedHeader(f"a stanza {KIND} whose share is no point of the curve") from None
        key, nonce = _schedule(self._agreement.exchange(peer), share + _uncompressed(public))
        try:
            return ChaCha20Poly1305(key).decrypt(nonce, stanza.body, None)
        except InvalidTag:
            return None


def _schedule(agreed: bytes, context: bytes) -> tuple[bytes, bytes]:
    """The key and the nonce of the first message: RFC 9180, `ExtractAndExpand` in 4.1 and `KeySchedule` in 5.1."""
    shared = _expanded(_KEM, _extracted(_KEM, b"", b"eae_prk", agreed), b"shared_secret", context, 32)
    mode = b"\x00" + _extracted(_SUITE, b"", b"psk_id_hash", b"") + _extracted(_SUITE, b"", b"info_hash", _LABEL)
    secret = _extracted(_SUITE, shared, b"secret", b"")
    return _expanded(_SUITE, secret, b"key", mode, 32), _expanded(_SUITE, secret, b"base_nonce", mode, 12)


def _extracted(suite: bytes, salt: bytes, label: bytes, key: bytes) -> bytes:
    return hmac.digest(salt, b"HPKE-v1" + suite + label + key, "sha256")


def _expanded(suite: bytes, key: bytes, label: bytes, info: bytes, size: int) -> bytes:
    labelled = size.to_bytes(2, "big") + b"HPKE-v1" + suite + label + info
    return hmac.digest(key, labelled + b"\x01", "sha256")[:size]


def _tag(share: bytes, public: "EllipticCurvePublicKey") -> bytes:
    return hmac.digest(_LABEL, share + hashlib.sha256(_compressed(public)).digest()[:4], "sha256")[:_TAG]


def _compressed(public: "EllipticCurvePublicKey") -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return public.public_bytes(Encoding.X962, PublicFormat.CompressedPoint)


def _uncompressed(public: "EllipticCurvePublicKey") -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
