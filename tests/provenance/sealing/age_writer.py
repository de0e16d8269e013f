"""Writes files in the age format piece by piece, so that a test can get any piece wrong.

From the specification alone: nothing of garrison is used, so that the two check each other.
"""

import base64
import hashlib
import hmac
from collections.abc import Sequence

from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, MLKEM768X25519PrivateKey, Suite
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

KEY = b"YELLOW SUBMARINE"
CHUNK = 65536
V1 = b"age-encryption.org/v1\n"


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode().rstrip("=")


def hkdf(key: bytes, salt: bytes, info: bytes) -> bytes:
    return HKDF(SHA256(), 32, salt, info).derive(key)


def wrap(key: bytes, file_key: bytes) -> bytes:
    return ChaCha20Poly1305(key).encrypt(bytes(12), file_key, None)


def stanza(arguments: Sequence[str], body: bytes) -> bytes:
    text = b64(body)
    lines = [text[at : at + 64] for at in range(0, len(text) + 1, 64)]
    return "\n".join(["-> " + " ".join(arguments), *lines, ""]).encode()


def header(*stanzas: bytes, key: bytes = KEY, version: bytes = V1) -> bytes:
    start = version + b"".join(stanzas) + b"---"
    return start + b" " + b64(mac(start, key)).encode() + b"\n"


def mac(start: bytes, key: bytes = KEY) -> bytes:
    return hmac.digest(hkdf(key, b"", b"header"), start, "sha256")


def chunk(number: int, data: bytes, *, last: bool, nonce: bytes = bytes(16), key: bytes = KEY) -> bytes:
    place = number.to_bytes(11, "big") + bytes([last])
    return ChaCha20Poly1305(hkdf(key, nonce, b"payload")).encrypt(place, data, None)


def payload(data: bytes) -> bytes:
    parts = [data[at : at + CHUNK] for at in range(0, len(data), CHUNK)] or [b""]
    return bytes(16) + b"".join(chunk(n, part, last=n == len(parts) - 1) for n, part in enumerate(parts))


class X25519Key:
    def __init__(self, secret: bytes = bytes(range(32))) -> None:
        self.secret = secret
        self.public = X25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw()

    def parts(self, file_key: bytes = KEY, ephemeral: bytes = b"\x11" * 32) -> tuple[bytes, bytes]:
        """The share and the body of a stanza."""
        private = X25519PrivateKey.from_private_bytes(ephemeral)
        share = private.public_key().public_bytes_raw()
        agreed = private.exchange(X25519PublicKey.from_public_bytes(self.public))
        return share, wrap(hkdf(agreed, share + self.public, b"age-encryption.org/v1/X25519"), file_key)

    def stanza(self, file_key: bytes = KEY) -> bytes:
        share, body = self.parts(file_key)
        return stanza(["X25519", b64(share)], body)


class HybridKey:
    def __init__(self, seed: bytes = bytes(range(32))) -> None:
        self.seed = seed
        expanded = hashlib.shake_256(seed).digest(96)
        self.lattice = MLKEM768PrivateKey.from_seed_bytes(expanded[:64])
        self.curve = X25519PrivateKey.from_private_bytes(expanded[64:])

    def parts(self, file_key: bytes = KEY) -> tuple[bytes, bytes]:
        """The encapsulated key and the body of a stanza."""
        suite = Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305)
        public = MLKEM768X25519PrivateKey(self.lattice, self.curve).public_key()
        both = suite.encrypt(file_key, public, b"age-encryption.org/mlkem768x25519")
        return both[:1120], both[1120:]

    def stanza(self, file_key: bytes = KEY) -> bytes:
        encapsulated, body = self.parts(file_key)
        return stanza(["mlkem768x25519", b64(encapsulated)], body)


def scrypt_parts(passphrase: bytes, factor: int, file_key: bytes = KEY, salt: bytes = b"\x22" * 16) -> bytes:
    """The body of a stanza."""
    salt = b"age-encryption.org/v1/scrypt" + salt
    return wrap(hashlib.scrypt(passphrase, salt=salt, n=1 << factor, r=8, p=1, dklen=32), file_key)


def scrypt_stanza(passphrase: bytes, factor: int, file_key: bytes = KEY) -> bytes:
    return stanza(["scrypt", b64(b"\x22" * 16), str(factor)], scrypt_parts(passphrase, factor, file_key))


def armor(data: bytes, end: str = "\n") -> bytes:
    text = base64.b64encode(data).decode()
    lines = [text[at : at + 64] for at in range(0, len(text), 64)]
    return end.join(["-----BEGIN AGE ENCRYPTED FILE-----", *lines, "-----END AGE ENCRYPTED FILE-----", ""]).encode()
