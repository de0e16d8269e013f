import base64
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from garrison.provenance.bundles import opened, write
from garrison.provenance.keys import KeySigner
from tests.provenance.alterations import Attempt, Table, cuts, every, flips, losses, repeats
from tests.provenance.bundles.test_opening import NOW, PAYLOAD, SIGNER, WRONG, changed, trusting

BUNDLE = write(PAYLOAD, SIGNER)
OTHER = write(PAYLOAD.replace(b"is", b"was"), SIGNER)
DOCUMENT: dict[str, Any] = json.loads(BUNDLE)
HINT = BUNDLE.index(DOCUMENT["verificationMaterial"]["publicKey"]["hint"].encode())


def attempt(data: bytes) -> Attempt:
    return lambda directory: opened(data, trusting(directory, SIGNER), now=NOW)


def all_of(variants: Iterable[bytes]) -> Attempt:
    """All of them in one row, with one set of trusted keys."""

    def tried(directory: Path) -> Any:
        trust = trusting(directory, SIGNER)
        return every(variants, lambda data: opened(data, trust, now=NOW))

    return tried


def envelope(**fields: Any) -> bytes:
    return json.dumps({**DOCUMENT, "dsseEnvelope": {**DOCUMENT["dsseEnvelope"], **fields}}).encode()


def spaced() -> bytes:
    return json.dumps(DOCUMENT, indent=4).encode() + b"\n"


def by_another_key() -> bytes:
    return write(PAYLOAD, KeySigner(ec.generate_private_key(ec.SECP256R1())))


def halves(change: Callable[[int, int], tuple[int, int]]) -> bytes:
    """The signature with its two numbers changed."""
    from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

    signature = base64.b64decode(DOCUMENT["dsseEnvelope"]["signatures"][0]["sig"])
    altered = encode_dss_signature(*change(*decode_dss_signature(signature)))
    return envelope(signatures=[{"sig": base64.b64encode(altered).decode()}])


TABLE = Table(
    title="Bundles signed with a key",
    about="A bundle is altered, and opened with the public key of who signed it.",
    refused={
        "any one bit of the whole document (but of the hint)": all_of(flips(BUNDLE, but=range(HINT, HINT + 64))),
        "any one byte, left out (but of the hint)": all_of(
            one for place, one in enumerate(losses(BUNDLE)) if not HINT <= place < HINT + 64
        ),
        "any one byte, doubled (but of the hint)": all_of(
            one for place, one in enumerate(repeats(BUNDLE)) if not HINT - 1 <= place < HINT + 65
        ),
        "cut off after any byte": all_of(cuts(BUNDLE)),
        "signed with another key": attempt(by_another_key()),
        "the signature of another payload": attempt(
            envelope(signatures=json.loads(OTHER)["dsseEnvelope"]["signatures"])
        ),
        "the payload of another signature": attempt(envelope(payload=json.loads(OTHER)["dsseEnvelope"]["payload"])),
        "the signature's numbers exchanged": attempt(halves(lambda r, s: (s, r))),
        "the signature's numbers zero": attempt(halves(lambda r, s: (0, 0))),
        "the signature's number plus the order of the curve": attempt(
            halves(lambda r, s: (r, s + 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551))
        ),
        **{what: attempt(alter(BUNDLE)) for what, alter in WRONG.items()},
    },
    harmless={
        "white space between the parts": attempt(spaced()),
        "the order of keys": attempt(json.dumps(DOCUMENT, sort_keys=True).encode()),
        "the hint at a key, by which nothing is decided": attempt(
            changed(BUNDLE, "verificationMaterial", "publicKey", "hint", to="0" * 64)
        ),
        "the key's id in the envelope, by which nothing is decided": attempt(
            changed(BUNDLE, "dsseEnvelope", "signatures", 0, "keyid", to="somebody")
        ),
        "the URL's alphabet of base64, which DSSE allows": attempt(
            envelope(payload=DOCUMENT["dsseEnvelope"]["payload"].replace("+", "-").replace("/", "_"))
        ),
        "log entries beside a key, which nobody asks": attempt(
            changed(BUNDLE, "verificationMaterial", "tlogEntries", to=[{"logIndex": "1"}])
        ),
    },
)
