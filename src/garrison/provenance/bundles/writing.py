"""Write bundles: the same statement and key give the same bytes.

Source: as in `reading`; the form of each part is that of OpenSSF Model Signing 1.0, section 4.1.
"""

import base64
import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from garrison.core.errors import UsageError
from garrison.provenance.bundles.keyless import KeylessSigner
from garrison.provenance.bundles.reading import MEDIA_TYPE
from garrison.provenance.dsse import IN_TOTO, pre_authentication_encoding
from garrison.provenance.keys import Signer, pem, same

if TYPE_CHECKING:
    from garrison.provenance.keys import PublicKey


class CertificateSigner:
    """A signer with the certificate of its key, and with those that lead from it to an authority."""

    def __init__(self, signer: Signer, certificates: Sequence[bytes]) -> None:
        """`certificates` are in DER, the signer's own first. Raises `UsageError` if that is another key's."""
        from cryptography.x509 import load_der_x509_certificate

        from garrison.provenance.keys import supported

        self._signer = signer
        self.certificates = tuple(certificates)
        if not self.certificates:
            raise UsageError("a chain without a certificate")
        key = supported(load_der_x509_certificate(self.certificates[0]).public_key(), "the certificate")
        if not same(key, signer.public_key):
            raise UsageError("the certificate is not that of the signing key")

    @property
    def public_key(self) -> "PublicKey":
        return self._signer.public_key

    def sign(self, data: bytes) -> bytes:
        return self._signer.sign(data)


Author = Signer | KeylessSigner
"""Whoever signs a bundle."""


def write(payload: bytes, signer: Author, *, payload_type: str = IN_TOTO) -> bytes:
    """A bundle of the payload, signed."""
    if isinstance(signer, KeylessSigner):
        return signer.bundle(payload, payload_type)
    signature = signer.sign(pre_authentication_encoding(payload_type, payload))
    return msgspec.json.encode(
        {
            "mediaType": MEDIA_TYPE,
            "verificationMaterial": {**_material(signer), "tlogEntries": []},
            "dsseEnvelope": {
                "payload": _text(payload),
                "payloadType": payload_type,
                "signatures": [{"sig": _text(signature), "keyid": ""}],
            },
        }
    )


def _material(signer: Signer) -> dict[str, object]:
    if isinstance(signer, CertificateSigner):
        chain = [{"rawBytes": _text(certificate)} for certificate in signer.certificates]
        return {"x509CertificateChain": {"certificates": chain}}
    # Of the PEM text and not of DER, as what verifies these bundles elsewhere compares it.
    return {"publicKey": {"hint": hashlib.sha256(pem(signer.public_key)).hexdigest()}}


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
