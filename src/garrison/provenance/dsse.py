"""DSSE, the Dead Simple Signing Envelope: what is signed is the payload's bytes and its type.

Source: https://github.com/secure-systems-lab/dsse (protocol.md and envelope.md, version 1.0).
"""

import base64
import binascii

import msgspec

from garrison.core.errors import Malformed

IN_TOTO = "application/vnd.in-toto+json"
"""The payload type of an in-toto statement."""


class Signature(msgspec.Struct, frozen=True, kw_only=True):
    sig: str
    """Base64."""
    keyid: str | None = None
    """A hint that nobody signed; it decides nothing."""


class Envelope(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """As it stands in JSON; what else is in it is not signed and is passed over."""

    payload: str
    """Base64."""
    payload_type: str
    signatures: tuple[Signature, ...]

    def body(self) -> bytes:
        """The payload. Raises `Malformed` for what is no base64."""
        return decoded(self.payload)

    def signed(self) -> bytes:
        """What its signatures are over. Raises `Malformed` like `body`."""
        return pre_authentication_encoding(self.payload_type, self.body())


def pre_authentication_encoding(payload_type: str, body: bytes) -> bytes:
    """The bytes that are signed: PAE of protocol.md, section "Signature Definition"."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(body), body)


def decoded(text: str) -> bytes:
    """The bytes of standard base64, of the URL's alphabet too, as the envelope's document asks of readers.

    Raises `Malformed` for anything else, and for a last letter with bits that stand for nothing.
    """
    standard = text.translate(_STANDARD)
    try:
        data = base64.b64decode(standard, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Malformed(f"no base64: {error}") from None
    if base64.b64encode(data[len(data) // 3 * 3 :]).decode() != standard[len(data) // 3 * 4 :]:
        raise Malformed("no base64: it ends in bits that stand for nothing")
    return data


_STANDARD = str.maketrans("-_", "+/")
