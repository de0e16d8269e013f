"""Opens files in memory."""

import io
from collections.abc import Sequence

from garrison.provenance.sealing.hybrid import HybridIdentity
from garrison.provenance.sealing.sealed_file import seal, unseal
from garrison.provenance.sealing.stanzas import Identity, Recipient
from garrison.provenance.sealing.x25519 import X25519Identity

from .age_writer import HybridKey, X25519Key

X25519 = X25519Identity(X25519Key().secret)
HYBRID = HybridIdentity(HybridKey().seed)


def opened(data: bytes, *identities: Identity) -> bytes:
    """What is sealed in `data`; by default for the writer's keys."""
    target = io.BytesIO()
    unseal(io.BytesIO(data), target, identities or (X25519, HYBRID))
    return target.getvalue()


def sealed(data: bytes, recipients: Sequence[Recipient], *, armored: bool = False) -> bytes:
    target = io.BytesIO()
    seal(io.BytesIO(data), target, recipients, armored=armored)
    return target.getvalue()
