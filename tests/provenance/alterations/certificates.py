import base64
from pathlib import Path
from typing import Any

from tests.provenance.alterations import Attempt, Table, every, flips
from tests.provenance.bundles.test_certificates import BAD, MIDDLE, RSA_ROOT, bundle, found, with_sha1
from tests.provenance.bundles.test_certificates import base64 as text

ALICE = MIDDLE.signer()
BUNDLE = bundle(ALICE)


def swapped(one: bytes, other: bytes) -> bytes:
    return BUNDLE.replace(text(one), text(other))


def bits_of(der: bytes) -> Attempt:
    def tried(directory: Path) -> Any:
        one_a_byte = (one for number, one in enumerate(flips(der)) if number % 8 == number // 8 % 8)
        return every((swapped(der, one) for one in one_a_byte), lambda data: found(data, directory))

    return tried


def weak(directory: Path) -> Any:
    holder = RSA_ROOT.signer()
    data = bundle(holder).replace(text(holder.der), base64.b64encode(with_sha1(holder)))
    return found(data, directory, root=RSA_ROOT)


TABLE = Table(
    title="Bundles signed with a certificate",
    about="The authority at the root is trusted, for `alice@example.com`. Each row is the flaw of the signer's "
    "certificate, or of what leads from it to the root.",
    refused={
        **{what: (lambda directory, make=make: found(make(), directory)) for what, (make, _) in BAD.items()},
        "signed with SHA-1": weak,
        "one bit of each byte of the signer's certificate": bits_of(ALICE.der),
        "one bit of each byte of the authority's certificate between": bits_of(MIDDLE.der),
        "the certificates in another order": lambda directory: found(bundle_reversed(), directory),
        "another's certificate with one's own signature": lambda directory: found(
            swapped(ALICE.der, MIDDLE.signer().der), directory
        ),
    },
    harmless={
        "the root's own certificate, sent along": lambda directory: found(bundle(ALICE, whole_chain()), directory),
        "a certificate that leads nowhere, sent along": lambda directory: found(
            bundle(ALICE, [*ALICE.chain, RSA_ROOT.der]), directory
        ),
    },
)


def whole_chain() -> list[bytes]:
    assert MIDDLE.issuer
    return [*ALICE.chain, MIDDLE.issuer.der]


def bundle_reversed() -> bytes:
    aside = b"A" * 8
    one, two = text(ALICE.der), text(MIDDLE.der)
    return BUNDLE.replace(one, aside).replace(two, one).replace(aside, two)
