"""P-256 keys that lie elsewhere: here the private key is a stand-in for a token."""

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from garrison.provenance.sealing.refusals import MalformedHeader, NoMatch
from garrison.provenance.sealing.stanzas import Stanza
from garrison.provenance.sealing.tagged import TaggedIdentity, TaggedRecipient

from .age_writer import KEY, b64, header, payload, stanza
from .opening import opened, sealed


class Elsewhere:
    """Does key agreements and counts them."""

    def __init__(self, number: int = 7) -> None:
        self._key = ec.derive_private_key(number, ec.SECP256R1())
        self.asked = 0

    @property
    def public_key(self) -> ec.EllipticCurvePublicKey:
        return self._key.public_key()

    def exchange(self, peer: ec.EllipticCurvePublicKey) -> bytes:
        self.asked += 1
        return self._key.exchange(ec.ECDH(), peer)


HERE = Elsewhere()
IDENTITY = TaggedIdentity(HERE)
WRAPPED = IDENTITY.recipient.wrap(KEY)
TAG, SHARE = WRAPPED.arguments[1:]


def file(arguments: list[str], body: bytes = WRAPPED.body) -> bytes:
    return header(stanza(arguments, body)) + payload(b"text")


def test_round_trip_and_only_the_right_key_is_asked() -> None:
    other = Elsewhere(8)
    data = sealed(b"text", [IDENTITY.recipient])
    before = HERE.asked
    assert opened(data, TaggedIdentity(other), IDENTITY) == b"text"
    assert (other.asked, HERE.asked) == (0, before + 1)
    with pytest.raises(NoMatch):
        opened(data, TaggedIdentity(other))


def test_the_writers_file_opens() -> None:
    assert opened(file(["p256tag", TAG, SHARE]), IDENTITY) == b"text"
    assert IDENTITY.unwrap(Stanza(("piv-p256", TAG, SHARE), WRAPPED.body)) is None


@pytest.mark.parametrize(
    "arguments, body",
    [
        (["p256tag"], WRAPPED.body),
        (["p256tag", TAG], WRAPPED.body),
        (["p256tag", TAG, SHARE, "more"], WRAPPED.body),
        (["p256tag", TAG + "AA", SHARE], WRAPPED.body),
        (["p256tag", TAG + "==", SHARE], WRAPPED.body),
        (["p256tag", TAG, SHARE[:-4]], WRAPPED.body),
        (["p256tag", TAG, SHARE], WRAPPED.body[:-1]),
    ],
)
def test_malformed_stanzas_refuse_the_file(arguments: list[str], body: bytes) -> None:
    with pytest.raises(MalformedHeader):
        opened(file(arguments, body), IDENTITY)


def test_a_share_that_is_no_point_never_reaches_the_key() -> None:
    import hashlib
    import hmac

    point = b"\4" + b"\1" * 64
    compressed = HERE.public_key.public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    mark = point + hashlib.sha256(compressed).digest()[:4]
    tag = hmac.digest(b"age-encryption.org/p256tag", mark, "sha256")[:4]
    before = HERE.asked
    with pytest.raises(MalformedHeader, match="no point"):
        opened(file(["p256tag", b64(tag), b64(point)]), IDENTITY)
    assert HERE.asked == before


def test_an_altered_body_is_no_match() -> None:
    with pytest.raises(NoMatch):
        opened(file(["p256tag", TAG, SHARE], bytes(32)), IDENTITY)


def test_other_curves_are_refused() -> None:
    with pytest.raises(ValueError, match="P-256"):
        TaggedRecipient(ec.derive_private_key(7, ec.SECP384R1()).public_key())
