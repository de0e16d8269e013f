"""Signatures of model-signing 0.2, whose envelopes were signed otherwise than DSSE says.

That release wrote `DSSEV1` and Python's own notation of the payload where the payload belongs, and hashed with SHA-256
whatever the curve. What is signed is still unmistakable: the notation of bytes stands for these bytes and for no
others, and no DSSE envelope begins with this word, so that neither can be passed off as the other. It is tried only for
the payload that the release wrote, which says so in its signed predicate type.
"""

from typing import TYPE_CHECKING

from garrison.provenance.dsse import IN_TOTO

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
