"""The post-quantum recipients: stanzas as the format has them, and every other refused or passed over."""

import pytest

from garrison.provenance.sealing.encoding import bech32_bytes
from garrison.provenance.sealing.hybrid import HybridIdentity, HybridRecipient
from garrison.provenance.sealing.refusals import MalformedHeader, NoMatch

from .age_writer import KEY, HybridKey, X25519Key, b64, header, payload, stanza
from .opening import HYBRID, X25519, opened
from .test_x25519 import LOW_ORDER

SHARE, BODY = HybridKey().parts()
NAME = "mlkem768x25519"
ODD = b64(SHARE)[:-1] + chr(ord(b64(SHARE)[-1]) ^ 1)


def file(arguments: list[str], body: bytes = BODY) -> bytes:
    return header(stanza(arguments, body)) + payload(b"text")


def test_what_another_writer_sealed_opens() -> None:
    assert opened(file([NAME, b64(SHARE)])) == b"text"
    assert opened(header(X25519Key().stanza(), stanza([NAME, b64(SHARE)], BODY)) + payload(b"x"), HYBRID) == b"x"


@pytest.mark.parametrize(
    "arguments, body",
    [
        ([NAME], BODY),
        ([NAME, b64(SHARE), "more"], BODY),
        ([NAME, b64(SHARE + b"\0")], BODY),
        ([NAME, b64(SHARE[:-1])], BODY),
        ([NAME, b64(SHARE[-32:])], BODY),
        ([NAME, b64(SHARE) + "="], BODY),
        ([NAME, ODD], BODY),
        ([NAME, b64(SHARE)], BODY[:-1]),
        ([NAME, b64(SHARE)], BODY + b"\0"),
    ],
)
def test_malformed_stanzas_refuse_the_file(arguments: list[str], body: bytes) -> None:
    with pytest.raises(MalformedHeader):
        opened(file(arguments, body))


@pytest.mark.parametrize("share", LOW_ORDER, ids=lambda share: share.hex()[:8])
def test_shares_that_make_no_secret_refuse_the_file(share: bytes) -> None:
    with pytest.raises(MalformedHeader, match="zeros"):
        opened(file([NAME, b64(SHARE[:1088] + share)]))


@pytest.mark.parametrize("place", [0, 500, 1087, 1088, 1118])
def test_an_altered_encapsulation_is_no_match(place: int) -> None:
    altered = bytearray(SHARE)
    altered[place] ^= 1
    with pytest.raises(NoMatch):
        opened(file([NAME, b64(bytes(altered))]))


def test_a_stanza_of_another_key_is_no_match() -> None:
    with pytest.raises(NoMatch):
        opened(file([NAME, b64(SHARE)], BODY[:-1] + bytes([BODY[-1] ^ 1])))
    with pytest.raises(NoMatch):
        opened(file([NAME.upper(), b64(SHARE)]))
    with pytest.raises(NoMatch):
        opened(file([NAME, b64(SHARE)]), X25519, HybridIdentity.generate())


def test_what_is_wrapped_is_unwrapped_and_never_twice_the_same() -> None:
    one, two = (HYBRID.recipient.wrap(KEY) for _ in range(2))
    assert one != two
    assert HYBRID.unwrap(one) == HYBRID.unwrap(two) == KEY


@pytest.mark.parametrize("size", [0, 32, 1215, 1217])
def test_keys_of_another_length_are_none(size: int) -> None:
    with pytest.raises(ValueError):
        HybridRecipient(bytes(size))
    with pytest.raises(ValueError):
        HybridIdentity(bytes(size + 1))


@pytest.mark.parametrize("point", LOW_ORDER, ids=lambda point: point.hex()[:8])
def test_nobody_seals_for_a_key_of_which_half_makes_no_secret(point: bytes) -> None:
    key = bech32_bytes(str(HYBRID.recipient))[1]
    with pytest.raises(ValueError):
        HybridRecipient(key[:-32] + point)
