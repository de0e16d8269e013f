"""A passphrase as recipient and identity.

Source: https://age-encryption.org/v1, section "The scrypt recipient type"; RFC 7914.
"""

import os
import re
from typing import Final

from garrison.core.errors import UsageError
from garrison.provenance.sealing.encoding import base64_text
from garrison.provenance.sealing.refusals import MalformedHeader
from garrison.provenance.sealing.stanzas import Stanza, checked, unwrapped, wrapped

KIND = "scrypt"
WORK_FACTOR = 18
"""The base-two logarithm of scrypt's cost that files are sealed with, as `age` does: 256 MiB and about a second."""
LARGEST_WORK_FACTOR = 20
"""The largest that is tried: 1 GiB and some seconds. A hostile file could ask for any."""
_SALT = 16
_LABEL = b"age-encryption.org/v1/scrypt"


class Passphrase:
    """Both who a file is sealed to and who opens it."""

    company: Final = "none"

    def __init__(self, passphrase: bytes, work_factor: int = WORK_FACTOR) -> None:
        """`work_factor` counts for sealing. Raises `UsageError` for an empty passphrase."""
        if not passphrase:
            raise UsageError("the passphrase is empty")
        self._passphrase = passphrase
        self._work_factor = work_factor

    def wrap(self, file_key: bytes) -> Stanza:
        salt = os.urandom(_SALT)
        body = wrapped(self._key(salt, self._work_factor), file_key)
        return Stanza((KIND, base64_text(salt).decode(), str(self._work_factor)), body)

    def unwrap(self, stanza: Stanza) -> bytes | None:
        if stanza.kind != KIND:
            return None
        if len(stanza.arguments) != 3:
            raise MalformedHeader(f"a stanza {KIND} with {len(stanza.arguments) - 1} arguments, not 2")
        text = stanza.arguments[2]
        (salt,) = checked(Stanza(stanza.arguments[:2], stanza.body), _SALT)
        if not re.fullmatch(r"[1-9][0-9]{0,3}", text):
            raise MalformedHeader(f"a stanza {KIND} whose work factor is no plain number")
        if int(text) > LARGEST_WORK_FACTOR:
            raise MalformedHeader(f"it asks for a work factor of {text}; at most {LARGEST_WORK_FACTOR} is tried")
        return unwrapped(self._key(salt, int(text)), stanza.body)

    def _key(self, salt: bytes, work_factor: int) -> bytes:
        from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

        try:
            return Scrypt(_LABEL + salt, 32, 1 << work_factor, 8, 1).derive(self._passphrase)
        except MemoryError:
            raise UsageError(f"a work factor of {work_factor} takes more memory than there is") from None
