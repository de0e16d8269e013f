"""Recipients and identities of X25519 keys, the `age1…` that `age-keygen` makes.

Source: https://age-encryption.org/v1, section "The X25519 recipient type".
"""

import os
from typing import TYPE_CHECKING, Final

from garrison.provenance.sealing.encoding import base64_text, bech32_text
from garrison.provenance.sealing.refusals import MalformedHeader
from garrison.provenance.sealing.stanzas import Stanza, checked, derived, unwrapped, wrapped

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey

RECIPIENT = "age"
IDENTITY = "age-secret-key-"
"""The Bech32 prefixes."""
KIND = "X25519"
_INFO = b"age-encryption.org/v1/X25519"
_SIZE = 32


def public_key(data: bytes) -> "X25519PublicKey":
    """Raises `ValueError` for what is no key, or one of low order."""
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

    key = X25519PublicKey.from_public_bytes(data)
    X25519PrivateKey.generate().exchange(key)
    return key


class X25519Recipient:
    company: Final = "any"

    def __init__(self, key: bytes) -> None:
        """Raises `ValueError` for what is no key, or one of low order, with which nothing would be secret."""
        self._public = public_key(key)
        self._bytes = key

    def __str__(self) -> str:
        return bech32_text(RECIPIENT, self._bytes)

    def wrap(self, file_key: bytes) -> Stanza:
        from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

        ephemeral = X25519PrivateKey.generate()
        share = ephemeral.public_key().public_bytes_raw()
        key = derived(ephemeral.exchange(self._public), share + self._bytes, _INFO)
        return Stanza((KIND, base64_text(share).decode()), wrapped(key, file_key))


class X25519Identity:
    def __init__(self, key: bytes) -> None:
        """Raises `ValueError` for what is no key."""
        from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

        self._private = X25519PrivateKey.from_private_bytes(key)

    @classmethod
    def generate(cls) -> "X25519Identity":
        return cls(os.urandom(_SIZE))

    def __str__(self) -> str:
        return bech32_text(IDENTITY, self._private.private_bytes_raw()).upper()

    @property
    def recipient(self) -> X25519Recipient:
        return X25519Recipient(self._private.public_key().public_bytes_raw())

    def unwrap(self, stanza: Stanza) -> bytes | None:
        from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey

        if stanza.kind != KIND:
            return None
        (share,) = checked(stanza, _SIZE)
        try:
            secret = self._private.exchange(X25519PublicKey.from_public_bytes(share))
        except ValueError:
            raise MalformedHeader("a stanza X25519 whose share makes a secret of zeros") from None
        return unwrapped(derived(secret, share + self._private.public_key().public_bytes_raw(), _INFO), stanza.body)
