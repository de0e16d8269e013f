"""Keys in PEM files: which kinds there are, and what each signs with.

What signs is a `Signer`, wherever its key lies; what a public key says of a signature is in `verified`.
"""

from typing import TYPE_CHECKING, Protocol

from garrison.core import files
from garrison.core.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey, EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
    from cryptography.hazmat.primitives.hashes import HashAlgorithm

    PublicKey = EllipticCurvePublicKey | Ed25519PublicKey
    PrivateKey = EllipticCurvePrivateKey | Ed25519PrivateKey

_KEY_BYTES = 1 << 20
"""The longest file that is taken for a key, or for what goes with one."""


class Signer(Protocol):
    """Signs with a key that may lie in a file or in a token."""

    @property
    def public_key(self) -> "PublicKey": ...

    def sign(self, data: bytes) -> bytes:
        """A signature over `data`, hashed as the key asks; for elliptic curves in DER."""
        ...


class WrongPassphrase(UsageError):
    """A private key did not open with the passphrase, or needs one."""


class KeySigner:
    """Signs with a private key in this process's memory; the same bytes get the same signature."""

    def __init__(self, key: "PrivateKey") -> None:
        self._key = key

    @property
    def public_key(self) -> "PublicKey":
        return self._key.public_key()

    def sign(self, data: bytes) -> bytes:
        from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePrivateKey

        if isinstance(self._key, EllipticCurvePrivateKey):
            # RFC 6979: a signature that needs no random number gives none away, and bundles are reproducible.
            return self._key.sign(data, ECDSA(hash_of(self._key.curve.name), deterministic_signing=True))
        return self._key.sign(data)


def hash_of(curve: str) -> "HashAlgorithm":
    """What ECDSA on a curve hashes with: OpenSSF Model Signing 1.0, section "Signing", and RFC 5656, 6.2.1.

    Raises `UsageError` for curves that nothing here signs with.
    """
    from cryptography.hazmat.primitives import hashes

    kinds: dict[str, type[HashAlgorithm]] = {
        "secp256r1": hashes.SHA256,
        "secp384r1": hashes.SHA384,
        "secp521r1": hashes.SHA512,
    }
    if curve not in kinds:
        raise UsageError(f"keys on the curve {curve} are not used here; P-256, P-384 and P-521 are")
    return kinds[curve]()


def load_private_key(path: str, passphrase: "Callable[[], bytes | None]") -> KeySigner:
    """A signer from a PEM file (PKCS#8 or SEC 1, encrypted or not, or OpenSSH's, not encrypted).

    `passphrase` is asked only for an encrypted key. Raises `WrongPassphrase`, or `UsageError` for anything else that
    stands in the way; neither says anything of the key.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization

    data = contents(path)
    load = serialization.load_pem_private_key
    if b"OPENSSH PRIVATE KEY" in data:
        load = serialization.load_ssh_private_key
    try:
        try:
            key = load(data, None)
        except TypeError:  # what cryptography raises for an encrypted key without a passphrase
            given = passphrase()
            if not given:
                raise WrongPassphrase(f"{path}: the key is encrypted, and there is no passphrase") from None
            try:
                key = load(data, given)
            except ValueError:
                raise WrongPassphrase(f"{path}: the key does not open with this passphrase") from None
    except UnsupportedAlgorithm as error:
        raise UsageError(f"{path}: the key is in a form that is not read here: {error}") from None
    except ValueError:
        raise UsageError(f"{path}: no private key in PEM that can be read") from None
    return KeySigner(_supported_private(key, path))


def load_public_key(path: str) -> "PublicKey":
    """A public key from a PEM file. Raises `UsageError`."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization

    data = contents(path)
    if b"PRIVATE KEY" in data:
        raise UsageError(f"{path}: a private key, where a public one is asked for")
    if data.count(b"-----BEGIN") > 1:
        raise UsageError(f"{path}: more than one key; give each a file of its own")  # or the others would not count
    try:
        key = serialization.load_pem_public_key(data)
    except (ValueError, UnsupportedAlgorithm):
        raise UsageError(f"{path}: no public key in PEM that can be read") from None
    return supported(key, path)


def supported(key: object, place: str) -> "PublicKey":
    """The key, if it is of a kind that is used here. Raises `UsageError`, beginning with `place`."""
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    if isinstance(key, EllipticCurvePublicKey):
        hash_of(key.curve.name)
        return key
    if isinstance(key, Ed25519PublicKey):
        return key
    raise UsageError(f"{place}: keys must be on P-256, P-384 or P-521, or Ed25519")


def _supported_private(key: object, place: str) -> "PrivateKey":
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    if isinstance(key, EllipticCurvePrivateKey):
        hash_of(key.curve.name)
        return key
    if isinstance(key, Ed25519PrivateKey):
        return key
    raise UsageError(f"{place}: keys must be on P-256, P-384 or P-521, or Ed25519")


def verified(key: "PublicKey", signature: bytes, data: bytes) -> bool:
    """Whether the key's owner signed the data."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey

    try:
        if isinstance(key, EllipticCurvePublicKey):
            key.verify(signature, data, ECDSA(hash_of(key.curve.name)))
        else:
            key.verify(signature, data)
    except InvalidSignature:
        return False
    return True


def pem(key: "PublicKey") -> bytes:
    """The key as SubjectPublicKeyInfo in PEM."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def contents(path: str) -> bytes:
    """A file that holds keys, certificates or a secret, none of which is long. Raises `UsageError`."""
    return files.contents(path, _KEY_BYTES)


def same(one: "PublicKey", other: "PublicKey") -> bool:
    return pem(one) == pem(other)
