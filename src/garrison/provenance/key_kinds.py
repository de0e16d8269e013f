"""The kinds of keys that `garrison key generate` makes."""

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from garrison.core.errors import UsageError

if TYPE_CHECKING:
    from garrison.provenance.keys import PrivateKey

_PASSPHRASE = 1023
"""Bytes: OpenSSL takes no longer one."""


class KeyKind(NamedTuple):
    title: str
    """What it is for, in a few words."""
    generate: Callable[[bytes | None], tuple[bytes, bytes]]
    """The private and the public half as contents of files; the private one is encrypted if a passphrase is given."""


def kinds() -> dict[str, KeyKind]:
    """By the name that the command line calls them."""
    return {
        "p256": KeyKind("signs models and statements (ECDSA on P-256)", _on_curve("SECP256R1")),
        "p384": KeyKind("signs models and statements (ECDSA on P-384)", _on_curve("SECP384R1")),
        "p521": KeyKind("signs models and statements (ECDSA on P-521)", _on_curve("SECP521R1")),
        "ed25519": KeyKind("signs statements only: OpenSSF Model Signing does not know it", _ed25519),
        "x25519": KeyKind("seals and opens files (age)", _sealing("x25519")),
        "hybrid": KeyKind(
            "seals and opens files that a quantum computer does not open either (age)", _sealing("hybrid")
        ),
    }


def _on_curve(name: str) -> Callable[[bytes | None], tuple[bytes, bytes]]:
    def generate(passphrase: bytes | None) -> tuple[bytes, bytes]:
        from cryptography.hazmat.primitives.asymmetric import ec

        return _halves(ec.generate_private_key(getattr(ec, name)()), passphrase)

    return generate


def _sealing(name: str) -> Callable[[bytes | None], tuple[bytes, bytes]]:
    def generate(passphrase: bytes | None) -> tuple[bytes, bytes]:
        from garrison.provenance.sealing.identities import generated

        return generated(name, passphrase)

    return generate


def _ed25519(passphrase: bytes | None) -> tuple[bytes, bytes]:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return _halves(Ed25519PrivateKey.generate(), passphrase)


def _halves(key: "PrivateKey", passphrase: bytes | None) -> tuple[bytes, bytes]:
    from cryptography.hazmat.primitives.serialization import (
        BestAvailableEncryption,
        Encoding,
        NoEncryption,
        PrivateFormat,
    )

    from garrison.provenance.keys import pem

    if passphrase and len(passphrase) > _PASSPHRASE:
        raise UsageError(f"the passphrase has more than {_PASSPHRASE:,} bytes, which keys in PEM do not take")
    encryption = BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption), pem(key.public_key())
