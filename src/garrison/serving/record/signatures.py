"""Signed lines: the signature is the last member, over the line as it is without it."""

import hashlib
from typing import TYPE_CHECKING

from garrison.provenance import keys
from garrison.serving.record.entries import FORMAT

if TYPE_CHECKING:
    from collections.abc import Mapping

_DOMAIN = FORMAT.encode() + b"\n"
"""Goes before what is signed, so that no signature made for something else can be put here."""
_MEMBER, _END = b',"signature":"', b'"}'


def fingerprint(key: "keys.PublicKey") -> str:
    """The SHA-256 of the SubjectPublicKeyInfo in DER, in hexadecimal."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def signed(line: bytes, signer: "keys.Signer") -> bytes:
    return line[:-1] + _MEMBER + signer.sign(_DOMAIN + line).hex().encode() + _END


def is_signed(line: bytes) -> bool:
    return _MEMBER in line


def verified(line: bytes, key: str, trusted: "Mapping[str, keys.PublicKey]") -> str:
    """Why a line does not count as signed by one of the trusted keys, which are named by their fingerprints; empty
    if it does. `key` is the one that the line names."""
    before, member, rest = line.rpartition(_MEMBER)
    if not key or not member:
        return "it is not signed"
    if key not in trusted:
        return f"it is signed with another key, {key[:16]}"
    text = rest.removesuffix(_END)
    try:
        signature = bytes.fromhex(text.decode())
    except (ValueError, UnicodeDecodeError):
        return "its signature cannot be read"
    # Only as it was written: another way to write the same signature is another line.
    if rest != signature.hex().encode() + _END or not keys.verified(trusted[key], signature, _DOMAIN + before + b"}"):
        return "its signature does not fit"
    return ""
