"""Recipients and identities that a quantum computer does not open either: ML-KEM-768 with X25519, the `age1pq1…`.

Sources: https://age-encryption.org/v1, section "The MLKEM768-X25519 (i.e. X-Wing) hybrid post-quantum recipient type";
RFC 9180, section 6.1; draft-ietf-hpke-pq-03; draft-connolly-cfrg-xwing-kem, section "Key generation" (the seed).
"""

import hashlib
import os
from typing import TYPE_CHECKING, Final

from garrison.provenance.sealing.encoding import base64_text, bech32_text
from garrison.provenance.sealing.refusals import MalformedHeader
from garrison.provenance.sealing.stanzas import Stanza, checked
from garrison.provenance.sealing.x25519 import public_key

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.hpke import Suite

RECIPIENT = "age1pq"
IDENTITY = "age-secret-key-pq-"
"""The Bech32 prefixes."""
KIND = "mlkem768x25519"
_INFO = b"age-encryption.org/mlkem768x25519"
_SEED = 32
_LATTICE = 1184
"""Bytes of ML-KEM's part of a recipient; X25519's follows."""
_CIPHERTEXT = 1088
"""Bytes of ML-KEM's part of an encapsulated key; X25519's share follows."""
_SHARE = 32


class HybridRecipient:
    company: Final = "post-quantum"

    def __init__(self, key: bytes) -> None:
        """Raises `ValueError` for what is no key, or one of low order."""
        from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PublicKey
        from cryptography.hazmat.primitives.hpke import MLKEM768X25519PublicKey

        self._bytes = key
        self._public = MLKEM768X25519PublicKey(
            MLKEM768PublicKey.from_public_bytes(key[:_LATTICE]), public_key(key[_LATTICE:])
        )

    def __str__(self) -> str:
        return bech32_text(RECIPIENT, self._bytes)

    def wrap(self, file_key: bytes) -> Stanza:
        both = _suite().encrypt(file_key, self._public, _INFO)
        size = _CIPHERTEXT + _SHARE
        return Stanza((KIND, base64_text(both[:size]).decode()), both[size:])


class HybridIdentity:
    def __init__(self, seed: bytes) -> None:
        """Raises `ValueError` for what is no seed."""
        from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
        from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
        from cryptography.hazmat.primitives.hpke import MLKEM768X25519PrivateKey

        if len(seed) != _SEED:
            raise ValueError(f"a seed of {len(seed)} bytes, not {_SEED}")
        self._seed = seed
        expanded = hashlib.shake_256(seed).digest(96)
        self._lattice = MLKEM768PrivateKey.from_seed_bytes(expanded[:64])
        self._curve = X25519PrivateKey.from_private_bytes(expanded[64:])
        self._private = MLKEM768X25519PrivateKey(self._lattice, self._curve)

    @classmethod
    def generate(cls) -> "HybridIdentity":
        return cls(os.urandom(_SEED))

    def __str__(self) -> str:
        return bech32_text(IDENTITY, self._seed).upper()

    @property
    def recipient(self) -> HybridRecipient:
        return HybridRecipient(
            self._lattice.public_key().public_bytes_raw() + self._curve.public_key().public_bytes_raw()
        )

    def unwrap(self, stanza: Stanza) -> bytes | None:
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey

        if stanza.kind != KIND:
            return None
        (encapsulated,) = checked(stanza, _CIPHERTEXT + _SHARE)
        try:
            # cryptography answers a share of low order like a wrong key, where the format asks to refuse the file.
            self._curve.exchange(X25519PublicKey.from_public_bytes(encapsulated[_CIPHERTEXT:]))
        except ValueError:
            raise MalformedHeader(f"a stanza {KIND} whose share makes a secret of zeros") from None
        try:
            return _suite().decrypt(encapsulated + stanza.body, self._private, _INFO)
        except InvalidTag:
            return None


def _suite() -> "Suite":
    from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

    return Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305)
