"""The form of a bundle, read strictly and before anything in it is believed.

Source: https://github.com/sigstore/protobuf-specs (sigstore_bundle.proto and sigstore_common.proto), and OpenSSF Model
Signing 1.0, section 4, with its schema `bundle.schema.json`.
"""

import msgspec

from garrison.core.errors import Malformed
from garrison.provenance.dsse import Envelope, decoded
from garrison.provenance.strict_json import decoded as decoded_json
from garrison.provenance.trust import Refused

MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
"""What is written."""
_MEDIA_TYPES = {
    MEDIA_TYPE,
    "application/vnd.dev.sigstore.bundle+json;version=0.1",
    "application/vnd.dev.sigstore.bundle+json;version=0.2",
    "application/vnd.dev.sigstore.bundle+json;version=0.3",
}
BUNDLE_BYTES = 256 << 20
"""The largest bundle; one of 100,000 files has some 25 MB."""
_STRUCTURE_BYTES = 1 << 20
"""The most of it that is JSON rather than text: the files' names and digests are one text, in base64."""
_CERTIFICATES = 16
_SIGNATURES = 32


class Bundle(msgspec.Struct, frozen=True, kw_only=True):
    """What a bundle says; nothing of it has been checked."""

    envelope: Envelope
    body: bytes
    """The envelope's payload."""
    signed: bytes
    """What the signatures are over."""
    signatures: tuple[bytes, ...]
    certificates: tuple[bytes, ...] = ()
    """In DER: the signer's own, then what leads to an authority."""
    logged: bool = False
    """Whether there are entries of a transparency log, as in Sigstore's."""
    data: bytes
    """The document itself."""


class _PublicKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """Hints at a key, by which nothing is decided: whoever trusts a key has it."""

    hint: str | None = None
    raw_bytes: str | None = None
    key_details: str | None = None


class _Certificate(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    raw_bytes: str


class _Chain(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    certificates: tuple[_Certificate, ...]


class _Material(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    public_key: _PublicKey | None = None
    certificate: _Certificate | None = None
    chain: _Chain | None = msgspec.field(name="x509CertificateChain", default=None)
    tlog_entries: tuple[msgspec.Raw, ...] = ()
    timestamp_verification_data: msgspec.Raw = msgspec.Raw(b"null")


class _Signature(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    sig: str
    keyid: str | None = None


class _Envelope(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """Stricter than DSSE itself, as protobuf and OpenSSF Model Signing are."""

    payload: str
    payload_type: str
    signatures: tuple[_Signature, ...]


class _Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    media_type: str
    verification_material: _Material
    dsse_envelope: _Envelope | None = None
    message_signature: msgspec.Raw = msgspec.Raw(b"null")


class _Either(msgspec.Struct, frozen=True, rename="camel"):
    """As much as tells a bundle from an envelope."""

    media_type: str | msgspec.UnsetType = msgspec.UNSET
    payload_type: str | msgspec.UnsetType = msgspec.UNSET


def read(data: bytes) -> Bundle:
    """The bundle, or the bare envelope, in a document. Raises `Refused` for what is neither."""
    either = decoded_json(data, _Either, "signature", most=BUNDLE_BYTES, structure=_STRUCTURE_BYTES)
    try:
        if either.media_type is not msgspec.UNSET:
            return _bundle(msgspec.json.decode(data, type=_Document), data)
        if either.payload_type is not msgspec.UNSET:
            return _bundled(msgspec.json.decode(data, type=Envelope), data)
    except msgspec.DecodeError as error:
        raise Refused(f"signature: {error}") from None
    except Malformed as error:
        raise Refused(f"signature: {error}") from None
    raise Refused("signature: neither a Sigstore bundle nor a DSSE envelope")


def _bundle(document: _Document, data: bytes) -> Bundle:
    if document.media_type not in _MEDIA_TYPES:
        raise Refused(f"signature: a bundle of the unknown type {document.media_type[:100]!r}")
    if document.dsse_envelope is None or bytes(document.message_signature) != b"null":
        raise Refused("signature: a bundle without a DSSE envelope signs no statement")
    envelope = msgspec.convert(document.dsse_envelope, Envelope, from_attributes=True)
    if len(envelope.signatures) != 1:
        raise Refused(f"signature: {len(envelope.signatures)} signatures, where a Sigstore bundle has one")
    material = document.verification_material
    kinds = [kind for kind in (material.public_key, material.certificate, material.chain) if kind is not None]
    if len(kinds) != 1:
        raise Refused(f"signature: {len(kinds)} of a key, a certificate and a chain, where there must be one")
    certificates: tuple[_Certificate, ...] = ()
    if material.certificate is not None:
        certificates = (material.certificate,)
    elif material.chain is not None:
        certificates = material.chain.certificates
        if not 1 <= len(certificates) <= _CERTIFICATES:
            raise Refused(f"signature: a chain of {len(certificates)} certificates")
    return _bundled(
        envelope,
        data,
        certificates=tuple(decoded(certificate.raw_bytes) for certificate in certificates),
        logged=bool(material.tlog_entries),
    )


def _bundled(envelope: Envelope, data: bytes, *, certificates: tuple[bytes, ...] = (), logged: bool = False) -> Bundle:
    if not 1 <= len(envelope.signatures) <= _SIGNATURES:
        raise Refused(f"signature: an envelope with {len(envelope.signatures)} signatures")
    return Bundle(
        envelope=envelope,
        body=envelope.body(),
        signed=envelope.signed(),
        signatures=tuple(decoded(signature.sig) for signature in envelope.signatures),
        certificates=certificates,
        logged=logged,
        data=data,
    )
