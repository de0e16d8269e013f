"""A Sigstore instance of our own: an authority that certifies accounts, a certificate log, a transparency log.

What its real counterparts sign, this signs with keys of its own, so that a test can alter any part of it. `served` lets
the real client talk to it.
"""

import base64
import contextlib
import datetime
import hashlib
import http.server
import json
import struct
import threading
from collections.abc import Callable, Iterator
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.provenance.authorities import key_usage

ISSUER = "https://accounts.example.com"
ACCOUNT = "alice@example.com"
MINUTE = datetime.timedelta(minutes=1)
_ISSUER_OID = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.1")
_SCT_OID = x509.ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")
_TOKEN_SECONDS = 600

Altered = Callable[[dict[str, Any]], None]


def text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def spki(key: Any) -> bytes:
    return bytes(key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


def sign(key: Any, data: bytes) -> bytes:
    return bytes(key.sign(data, ec.ECDSA(hashes.SHA256())))


class Instance:
    def __init__(self) -> None:
        self.now = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
        self.root_key, self.ct_key, self.log_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "an instance")])
        identifier = x509.SubjectKeyIdentifier.from_public_key(self.root_key.public_key())
        self.root = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(self.root_key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(self.now - 1000 * MINUTE)
            .not_valid_after(self.now + 1000 * MINUTE)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
            .add_extension(key_usage("key_cert_sign", "crl_sign"), True)
            .add_extension(identifier, False)
            .sign(self.root_key, hashes.SHA256())
        )

    def certificate(
        self,
        public_key: Any,
        *,
        account: str = ACCOUNT,
        issuer: str = ISSUER,
        begin: datetime.datetime | None = None,
        usage: x509.ObjectIdentifier = ExtendedKeyUsageOID.CODE_SIGNING,
        ct_key: Any = None,
        root_key: Any = None,
    ) -> x509.Certificate:
        """For ten minutes, with the entry of the certificate log in it."""
        begin = begin or self.now - MINUTE
        serial = x509.random_serial_number()

        def built(timestamps: bytes) -> x509.Certificate:
            root = self.root.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
            return (
                x509.CertificateBuilder()
                .subject_name(x509.Name([]))
                .issuer_name(self.root.subject)
                .public_key(public_key)
                .serial_number(serial)
                .not_valid_before(begin)
                .not_valid_after(begin + 10 * MINUTE)
                .add_extension(key_usage("digital_signature"), True)
                .add_extension(x509.ExtendedKeyUsage([usage]), False)
                .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(root), False)
                .add_extension(x509.SubjectAlternativeName([x509.RFC822Name(account)]), True)
                .add_extension(x509.UnrecognizedExtension(_ISSUER_OID, issuer.encode()), False)
                .add_extension(x509.UnrecognizedExtension(_SCT_OID, timestamps), False)
                .sign(root_key or self.root_key, hashes.SHA256())
            )

        empty = built(self._timestamps(b"", begin, ct_key))
        return built(self._timestamps(empty.tbs_precertificate_bytes, begin, ct_key))

    def _timestamps(self, precertificate: bytes, when: datetime.datetime, key: Any) -> bytes:
        """RFC 6962, 3.2 and 3.3: one entry of the certificate log, within an octet string."""
        key = key or self.ct_key
        milliseconds = int(when.timestamp() * 1000)
        entry = hashlib.sha256(spki(self.root_key)).digest() + len(precertificate).to_bytes(3) + precertificate
        signed = struct.pack("!BBQH", 0, 0, milliseconds, 1) + entry + b"\0\0"
        signature = sign(key, signed)
        one = b"\0" + hashlib.sha256(spki(key)).digest() + struct.pack("!QH", milliseconds, 0)
        one += b"\x04\x03" + struct.pack("!H", len(signature)) + signature
        content = struct.pack("!HH", len(one) + 2, len(one)) + one
        assert len(content) < 256
        return (
            b"\x04" + bytes([len(content)]) if len(content) < 128 else b"\x04\x81" + bytes([len(content)])
        ) + content

    def entry(
        self, payload: bytes, signature: bytes, certificate: x509.Certificate, when: datetime.datetime | None = None
    ) -> dict[str, Any]:
        """An entry of the transparency log, between two others, as its API gives it."""
        when = when or self.now
        body = {
            "apiVersion": "0.0.1",
            "kind": "dsse",
            "spec": {
                "envelopeHash": {"algorithm": "sha256", "value": "00" * 32},
                "payloadHash": {"algorithm": "sha256", "value": hashlib.sha256(payload).hexdigest()},
                "signatures": [
                    {"signature": text(signature), "verifier": text(certificate.public_bytes(Encoding.PEM))}
                ],
            },
        }
        data = json.dumps(body, sort_keys=True, separators=(",", ":")).encode()
        before = hashlib.sha256(b"\0before").digest()
        leaf = hashlib.sha256(b"\0" + data).digest()
        root = hashlib.sha256(b"\x01" + before + leaf).digest()
        log = hashlib.sha256(spki(self.log_key)).digest()
        note = f"log.example.com - 1\n2\n{text(root)}\n"
        noted = f"{note}\n\u2014 log.example.com {text(log[:4] + sign(self.log_key, note.encode()))}\n"
        promised = {"body": text(data), "integratedTime": int(when.timestamp()), "logID": log.hex(), "logIndex": 1}
        signed = json.dumps(promised, sort_keys=True, separators=(",", ":")).encode()
        return {
            **promised,
            "verification": {
                "signedEntryTimestamp": text(sign(self.log_key, signed)),
                "inclusionProof": {
                    "logIndex": 1,
                    "rootHash": root.hex(),
                    "treeSize": 2,
                    "hashes": [before.hex()],
                    "checkpoint": noted,
                },
            },
        }

    def bundle(self, payload: bytes, alter: Altered | None = None, **shape: Any) -> bytes:
        """A payload that an account signed; `alter` changes the document before it is written."""
        when = shape.pop("when", None)
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self.certificate(key.public_key(), **shape)
        kind = "application/vnd.in-toto+json"
        signature = sign(key, b"DSSEv1 %d %s %d %s" % (len(kind), kind.encode(), len(payload), payload))
        entry = self.entry(payload, signature, certificate, when)
        proof = entry["verification"]["inclusionProof"]
        document: dict[str, Any] = {
            "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "verificationMaterial": {
                "certificate": {"rawBytes": text(certificate.public_bytes(Encoding.DER))},
                "tlogEntries": [
                    {
                        "logIndex": "1",
                        "logId": {"keyId": text(bytes.fromhex(entry["logID"]))},
                        "kindVersion": {"kind": "dsse", "version": "0.0.1"},
                        "integratedTime": str(entry["integratedTime"]),
                        "inclusionPromise": {"signedEntryTimestamp": entry["verification"]["signedEntryTimestamp"]},
                        "inclusionProof": {
                            "logIndex": "1",
                            "rootHash": text(bytes.fromhex(proof["rootHash"])),
                            "treeSize": "2",
                            "hashes": [text(bytes.fromhex(one)) for one in proof["hashes"]],
                            "checkpoint": {"envelope": proof["checkpoint"]},
                        },
                        "canonicalizedBody": entry["body"],
                    }
                ],
            },
            "dsseEnvelope": {
                "payload": text(payload),
                "payloadType": kind,
                "signatures": [{"sig": text(signature)}],
            },
        }
        if alter:
            alter(document)
        return json.dumps(document).encode()

    def trusted_root(self) -> dict[str, Any]:
        start = {"start": f"{self.now - 1000 * MINUTE:%Y-%m-%dT%H:%M:%SZ}"}

        def log(key: Any) -> dict[str, Any]:
            return {
                "baseUrl": "https://log.example.com",
                "hashAlgorithm": "SHA2_256",
                "publicKey": {
                    "rawBytes": text(spki(key)),
                    "keyDetails": "PKIX_ECDSA_P256_SHA_256",
                    "validFor": start,
                },
                "logId": {"keyId": text(hashlib.sha256(spki(key)).digest())},
            }

        return {
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": [log(self.log_key)],
            "certificateAuthorities": [
                {
                    "subject": {"organization": "an instance", "commonName": "an instance"},
                    "uri": "https://ca.example.com",
                    "certChain": {"certificates": [{"rawBytes": text(self.root.public_bytes(Encoding.DER))}]},
                    "validFor": start,
                }
            ],
            "ctlogs": [log(self.ct_key)],
        }

    @contextlib.contextmanager
    def served(self) -> Iterator[dict[str, Any]]:
        """Serve the instance on this machine, and give the configuration that tells a client where."""
        instance = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                answer = json.dumps(instance._answer(self.path, asked)).encode()
                self.send_response(201)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: Any) -> None:
                pass

        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
            thread.start()
            try:
                yield self.configuration(f"http://127.0.0.1:{server.server_address[1]}")
            finally:
                server.shutdown()
                thread.join()

    def configuration(self, url: str) -> dict[str, Any]:
        service = {
            "url": url,
            "majorApiVersion": 1,
            "validFor": {"start": "2020-01-01T00:00:00Z"},
            "operator": "an instance",
        }
        return {
            "mediaType": "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json",
            "trustedRoot": self.trusted_root(),
            "signingConfig": {
                "mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json",
                "caUrls": [service],
                "oidcUrls": [service],
                "rekorTlogUrls": [service],
                "rekorTlogConfig": {"selector": "ANY"},
                "tsaUrls": [],
                "tsaConfig": {"selector": "ANY"},
            },
        }

    def _answer(self, path: str, asked: dict[str, Any]) -> dict[str, Any]:
        if path.endswith("/signingCert"):
            request = x509.load_pem_x509_csr(base64.b64decode(asked["certificateSigningRequest"]))
            chain = [self.certificate(request.public_key()), self.root]
            pems = [one.public_bytes(Encoding.PEM).decode() for one in chain]
            return {"signedCertificateEmbeddedSct": {"chain": {"certificates": pems}}}
        proposed = asked["spec"]["proposedContent"]
        envelope = json.loads(proposed["envelope"])
        certificate = x509.load_pem_x509_certificate(base64.b64decode(proposed["verifiers"][0]))
        payload, signature = (
            base64.b64decode(data) for data in (envelope["payload"], envelope["signatures"][0]["sig"])
        )
        return {"one": self.entry(payload, signature, certificate)}


def token(*, seconds: int = _TOKEN_SECONDS, audience: str = "sigstore") -> str:
    """An identity token of the provider; what is in it, only the authority would check."""
    now = int(datetime.datetime.now(datetime.UTC).timestamp())
    claims = {"iss": ISSUER, "sub": ACCOUNT, "aud": audience, "iat": now, "nbf": now, "exp": now + seconds}
    parts = [json.dumps({"alg": "none", "typ": "JWT"}), json.dumps(claims), "no signature"]
    return ".".join(base64.urlsafe_b64encode(part.encode()).decode().rstrip("=") for part in parts)
