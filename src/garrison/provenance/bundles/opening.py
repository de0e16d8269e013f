"""Open a bundle: its payload, if one of the trusted identities signed it, and who that is.

1. The document is read strictly (`reading`).
2. For each trusted identity, in order, its signature is looked for: with a key, over the envelope; with authorities, a
   chain of certificates to one of them, and the signature with the first certificate's key; with Sigstore, what its
   library asks for.
3. The first that holds is whose bundle it is. What the bundle itself says of its signer decides nothing.
"""

import contextlib
import datetime
import os
from typing import TYPE_CHECKING

import msgspec

from garrison.core.errors import UsageError
from garrison.core.policy import Identity
from garrison.provenance import release_0_2
from garrison.provenance.bundles.certificates import vouched
from garrison.provenance.bundles.keyless import kept
from garrison.provenance.bundles.reading import Bundle, read
from garrison.provenance.keys import load_public_key, verified
from garrison.provenance.trust import Refused, Signatory, Trust, fingerprint, kind_of

if TYPE_CHECKING:
    from garrison.provenance.keys import PublicKey


class Opened(msgspec.Struct, frozen=True, kw_only=True):
    payload: bytes
    payload_type: str
    signatory: Signatory


def opened(data: bytes, trust: Trust, *, now: datetime.datetime) -> Opened:
    """What the bundle holds and who signed it.

    `now` is when certificates must be valid that no witness dates. Raises `Refused` when nobody who is trusted signed
    it, with the reason for each, and `UsageError` when nobody is trusted or a file of an identity cannot be read.
    """
    if not trust.identities:
        raise UsageError("no identity is trusted, so that no signature can count")
    bundle = read(data)
    reasons = []
    for identity in trust.identities:
        try:
            return _signed_by(identity, bundle, trust.base, now)
        except Refused as reason:
            reasons.append(f"{identity.name}: {reason}" if len(trust.identities) > 1 else str(reason))
    if len(reasons) == 1:
        raise Refused(reasons[0])
    raise Refused(f"none of the {len(reasons)} trusted identities signed it: {'; '.join(reasons)}")


def opened_by_all(data: bytes, trust: Trust, *, now: datetime.datetime) -> tuple[Opened, ...]:
    """The same once for each of the trusted identities that signed it; empty where none did.

    Raises `Refused` for what is no bundle, and `UsageError` if a file of an identity cannot be read.
    """
    bundle = read(data)
    found = []
    for identity in trust.identities:
        with contextlib.suppress(Refused):
            found.append(_signed_by(identity, bundle, trust.base, now))
    return tuple(found)


def _signed_by(identity: Identity, bundle: Bundle, base: str, now: datetime.datetime) -> Opened:
    kind = kind_of(identity)
    if kind == "key":
        signatory = _with_key(identity, bundle, base)
    elif kind == "certificate":
        signatory = _with_certificate(identity, bundle, base, now)
    else:
        found = kept(identity, bundle, base)
        return Opened(payload=found.payload, payload_type=found.payload_type, signatory=found.signatory)
    return Opened(payload=bundle.body, payload_type=bundle.envelope.payload_type, signatory=signatory)


def _with_key(identity: Identity, bundle: Bundle, base: str) -> Signatory:
    key = load_public_key(os.path.join(base, identity.public_key))
    if not _signed(bundle, key):
        raise Refused("the signature is not of this key over this payload")
    return Signatory(kind="key", identity=identity.name, subject=fingerprint(key))


def _with_certificate(identity: Identity, bundle: Bundle, base: str, now: datetime.datetime) -> Signatory:
    authorities = os.path.join(base, identity.authorities)
    key, name, issuer = vouched(bundle.certificates, authorities, identity.subject, now)
    if not _signed(bundle, key):
        raise Refused("the signature is not of the certificate's key over this payload")
    return Signatory(kind="certificate", identity=identity.name, subject=name, issuer=issuer, key=fingerprint(key))


def _signed(bundle: Bundle, key: "PublicKey") -> bool:
    return any(
        verified(key, signature, bundle.signed) or release_0_2.verified(key, signature, bundle)
        for signature in bundle.signatures
    )
