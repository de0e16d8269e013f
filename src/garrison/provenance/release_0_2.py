"""Signatures of model-signing 0.2, which came before OpenSSF Model Signing 1.0 and are still about.

Its envelopes were signed otherwise than DSSE says: it wrote `DSSEV1` and Python's own notation of the payload where the
payload belongs, and hashed with SHA-256 whatever the curve. What is signed is still unmistakable: the notation of bytes
stands for these bytes and for no others, and no DSSE envelope begins with this word, so that neither can be passed off
as the other. It is tried only for the payload that the release wrote, which says so in its signed predicate type.

Its statements name each file as a subject, hashed whole with SHA-256, and say nothing of how files were found.
"""

from typing import TYPE_CHECKING, Literal

import msgspec

from garrison.provenance.dsse import IN_TOTO
from garrison.provenance.hashing import DEFAULT_SERIALIZATION, Entry, Manifest, Serialization
from garrison.provenance.trust import Refused

if TYPE_CHECKING:
    from garrison.provenance.bundles.reading import Bundle
    from garrison.provenance.keys import PublicKey

PREDICATE = "https://model_signing/Digests/v0.1"


def verified(key: "PublicKey", signature: bytes, bundle: "Bundle") -> bool:
    """Whether the key's owner signed the bundle the way that release did."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
    from cryptography.hazmat.primitives.hashes import SHA256

    if bundle.envelope.payload_type != IN_TOTO or PREDICATE.encode() not in bundle.body:
        return False
    if not isinstance(key, EllipticCurvePublicKey):
        return False
    signed = f"DSSEV1 {len(IN_TOTO)} {IN_TOTO} {len(bundle.body)} {bundle.body!r}".encode()
    try:
        key.verify(signature, signed, ECDSA(SHA256()))
    except InvalidSignature:
        return False
    return True


class _Subject(msgspec.Struct, frozen=True):
    name: str
    digest: dict[Literal["sha256"], str]


class _Statement(msgspec.Struct, frozen=True, rename="camel"):
    type: str = msgspec.field(name="_type")
    subject: tuple[_Subject, ...]


def manifest(payload: bytes) -> Manifest:
    """The files that such a statement names, unchecked. Raises `Refused`."""
    try:
        statement = msgspec.json.decode(payload, type=_Statement)
    except msgspec.DecodeError as error:
        raise Refused(f"statement: {error}") from None
    return Manifest(
        name="",
        serialization=Serialization(
            method="files",
            algorithm="sha256",
            ignored=DEFAULT_SERIALIZATION.ignored,
            follow_symlinks=False,
            shard_size=None,
        ),
        entries=tuple(
            Entry(name=subject.name, digest=subject.digest.get("sha256", ""), algorithm="sha256")
            for subject in statement.subject
        ),
    )
