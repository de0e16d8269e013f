"""X25519: stanzas as the format has them, and every other refused or passed over."""

import pytest

from garrison.provenance.sealing.refusals import MalformedHeader, NoMatch
from garrison.provenance.sealing.stanzas import Stanza
from garrison.provenance.sealing.x25519 import X25519Identity, X25519Recipient

from .age_writer import KEY, X25519Key, b64, header, payload, stanza
from .opening import HYBRID, X25519, opened

SHARE, BODY = X25519Key().parts()
ODD = b64(SHARE)[:-1] + chr(ord(b64(SHARE)[-1]) + 1)
LOW_ORDER = [
    bytes(32),
    b"\1" + bytes(31),
    bytes.fromhex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
    bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
    bytes.fromhex("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
]


def file(arguments: list[str], body: bytes = BODY) -> bytes:
    return header(stanza(arguments, body)) + payload(b"text")


def test_what_another_writer_sealed_opens() -> None:
    assert opened(file(["X25519", b64(SHARE)])) == b"text"


@pytest.mark.parametrize(
    "arguments, body",
    [
        (["X25519"], BODY),
        (["X25519", b64(SHARE), "more"], BODY),
        (["X25519", b64(SHARE + b"\0")], BODY),
        (["X25519", b64(SHARE[:-1])], BODY),
        (["X25519", b64(SHARE) + "="], BODY),
        (["X25519", ODD], BODY),
        (["X25519", "*" * 43], BODY),
        (["X25519", b64(SHARE)], BODY[:-1]),
        (["X25519", b64(SHARE)], BODY + b"\0"),
        (["X25519", b64(SHARE)], b""),
    ],
)
def test_malformed_stanzas_refuse_the_file(arguments: list[str], body: bytes) -> None:
    with pytest.raises(MalformedHeader):
        opened(file(arguments, body))


@pytest.mark.parametrize("share", LOW_ORDER, ids=lambda share: share.hex()[:8])
def test_shares_that_make_no_secret_refuse_the_file(share: bytes) -> None:
    with pytest.raises(MalformedHeader, match="zeros"):
        opened(file(["X25519", b64(share)]))


def test_a_stanza_of_another_key_is_no_match() -> None:
    with pytest.raises(NoMatch):
        opened(file(["X25519", b64(SHARE)], BODY[:-1] + bytes([BODY[-1] ^ 1])))
    with pytest.raises(NoMatch):
        opened(file(["x25519", b64(SHARE)]))
    with pytest.raises(NoMatch):
        opened(file(["X25519", b64(SHARE)]), X25519Identity.generate())


def test_identities_of_other_kinds_look_at_no_stanza_of_this() -> None:
    with pytest.raises(NoMatch):
        opened(file(["X25519"]), HYBRID)


@pytest.mark.parametrize("key", [*LOW_ORDER, b"short"])
def test_nobody_seals_for_a_key_that_makes_no_secret(key: bytes) -> None:
    with pytest.raises(ValueError):
        X25519Recipient(key)


def test_what_is_wrapped_is_unwrapped_and_never_twice_the_same() -> None:
    one, two = (X25519.recipient.wrap(KEY) for _ in range(2))
    assert one != two
    assert X25519.unwrap(one) == X25519.unwrap(two) == KEY
    assert X25519.unwrap(Stanza(("other",), b"")) is None
