"""Who can open a sealed file: each recipient has a stanza in its header, which wraps the one key of the file.

Source: https://age-encryption.org/v1, sections "Recipient stanza" and "Native recipient types".
"""

from typing import Literal, Protocol

import msgspec

from garrison.provenance.sealing.encoding import base64_bytes
from garrison.provenance.sealing.refusals import MalformedHeader

FILE_KEY = 16
"""Bytes of the key that a file is sealed with."""
WRAPPED = FILE_KEY + 16
"""Bytes of a wrapped key: the key and its tag. Another length is refused before it is decrypted, so that nobody can
make one body that opens with several keys and learn from an answer which of them is there."""


class Stanza(msgspec.Struct, frozen=True):
    arguments: tuple[str, ...]
    """The first says which kind of recipient it is for."""
    body: bytes

    @property
    def kind(self) -> str:
        return self.arguments[0]


class Recipient(Protocol):
    """Somebody that a file can be sealed to."""

    @property
    def company(self) -> Literal["any", "post-quantum", "none"]:
        """Which other recipients a file may have: one that only a quantum computer cannot open is none beside one that
        it can."""
        ...

    def wrap(self, file_key: bytes) -> Stanza:
        """A stanza that only its identity unwraps."""
        ...


class Identity(Protocol):
    """Somebody that can open what was sealed to a recipient."""

    def unwrap(self, stanza: Stanza) -> bytes | None:
        """The file's key, or `None` where the stanza is for somebody else.

        Raises `MalformedHeader` for a stanza of its kind that breaks the rules of that kind.
        """
        ...


def checked(stanza: Stanza, *sizes: int) -> list[bytes]:
    """The arguments behind the first, decoded; they must be as many and as long as `sizes` says.

    Raises `MalformedHeader`, for a body of another length than a wrapped key's too.
    """
    if len(stanza.arguments) != len(sizes) + 1:
        raise MalformedHeader(f"a stanza {stanza.kind} with {len(stanza.arguments) - 1} arguments, not {len(sizes)}")
    found = []
    for argument, size in zip(stanza.arguments[1:], sizes, strict=True):
        try:
            data = base64_bytes(argument.encode())
        except ValueError as error:
            raise MalformedHeader(f"a stanza {stanza.kind} with an argument that is {error}") from None
        if len(data) != size:
            raise MalformedHeader(f"a stanza {stanza.kind} with an argument of {len(data)} bytes, not {size}")
        found.append(data)
    if len(stanza.body) != WRAPPED:
        raise MalformedHeader(f"a stanza {stanza.kind} with a body of {len(stanza.body)} bytes, not {WRAPPED}")
    return found


def wrapped(key: bytes, file_key: bytes) -> bytes:
    """The file's key under a key that is used once."""
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

    return ChaCha20Poly1305(key).encrypt(bytes(12), file_key, None)


def unwrapped(key: bytes, body: bytes) -> bytes | None:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

    try:
        return ChaCha20Poly1305(key).decrypt(bytes(12), body, None)
    except InvalidTag:
        return None


def derived(key: bytes, salt: bytes, info: bytes) -> bytes:
    """32 bytes of HKDF-SHA-256."""
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    return HKDF(SHA256(), 32, salt, info).derive(key)
