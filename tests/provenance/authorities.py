"""Authorities and their certificates, of any shape, for tests."""

import datetime
from collections.abc import Sequence
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

BEGIN = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
NOW = datetime.datetime(2026, 6, 1, tzinfo=datetime.UTC)
END = datetime.datetime(2027, 1, 1, tzinfo=datetime.UTC)
SIGNING = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING])
NOBODY_S = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.1"), b"\x05\x00")


def key_usage(*names: str) -> x509.KeyUsage:
    every = (
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
        "encipher_only",
        "decipher_only",
    )
    return x509.KeyUsage(**{name: name in names for name in every})


def email(*names: str) -> x509.SubjectAlternativeName:
    return x509.SubjectAlternativeName([x509.RFC822Name(name) for name in names])


class Holder:
    """A certificate with its private key; issues others where it is an authority's."""

    def __init__(self, name: str, key: Any, issuer: "Holder | None", **shape: Any) -> None:
        self.key = key
        self.issuer = issuer
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)] if name else [])
        builder = (
            x509.CertificateBuilder()
            .subject_name(self.name)
            .issuer_name(issuer.name if issuer else self.name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(shape.get("begin", BEGIN))
            .not_valid_after(shape.get("end", END))
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        )
        for extension, critical in shape["extensions"]:
            builder = builder.add_extension(extension, critical)
        signing_key = issuer.key if issuer else key
        self.certificate = builder.sign(signing_key, shape.get("hash", hashes.SHA256()))

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def chain(self) -> list[bytes]:
        """Its own and its issuers' certificates in DER, without the root's."""
        holder, found = self, []
        while holder.issuer:
            found.append(holder.der)
            holder = holder.issuer
        return found

    def authority(
        self, name: str, extensions: Sequence[tuple[x509.ExtensionType, bool]] = (), **shape: Any
    ) -> "Holder":
        return authority(name, extensions, issuer=self, **shape)

    def signer(
        self,
        name: str = "alice@example.com",
        *,
        usage: x509.ExtensionType | None = SIGNING,
        extensions: Sequence[tuple[x509.ExtensionType, bool]] = ((key_usage("digital_signature"), True),),
        key: Any = None,
        **shape: Any,
    ) -> "Holder":
        every = [(email(name), False), *extensions] if name else list(extensions)
        if usage:
            every.append((usage, False))
        return Holder("", key or ec.generate_private_key(ec.SECP256R1()), self, extensions=every, **shape)


def authority(
    name: str = "root",
    extensions: Sequence[tuple[x509.ExtensionType, bool]] = (),
    *,
    issuer: Holder | None = None,
    length: int | None = None,
    ca: bool = True,
    usage: x509.KeyUsage | None = None,
    key: Any = None,
    **shape: Any,
) -> Holder:
    every = [
        (x509.BasicConstraints(ca=ca, path_length=length), True),
        (usage or key_usage("key_cert_sign", "crl_sign"), True),
        *extensions,
    ]
    return Holder(name, key or ec.generate_private_key(ec.SECP384R1()), issuer, extensions=every, **shape)
