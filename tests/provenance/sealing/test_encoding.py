"""Unpadded base64 and Bech32."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from garrison.provenance.sealing.encoding import base64_bytes, base64_text, bech32_bytes, bech32_text

SPECIFIED = "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX"


@given(st.binary(max_size=100))
def test_base64_has_one_form(data: bytes) -> None:
    text = base64_text(data)
    assert text == base64.b64encode(data).rstrip(b"=")
    assert base64_bytes(text) == data
    for other in (text + b"=", text + b"\n", b" " + text, text + b"A" * (1 + -len(text) % 4)):
        with pytest.raises(ValueError):
            base64_bytes(other)


@pytest.mark.parametrize("text", [b"A", b"AB", b"AAB", b"AA==", b"A A", b"AA-_", b"AAAA=", b"=", b"\xff\xff"])
def test_other_base64_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError):
        base64_bytes(text)


@given(st.binary(max_size=100), st.sampled_from(["age", "age1pq", "age-secret-key-"]))
def test_bech32_round_trips_in_either_case(data: bytes, prefix: str) -> None:
    text = bech32_text(prefix, data)
    assert bech32_bytes(text) == bech32_bytes(text.upper()) == (prefix, data)


def test_bech32_is_that_of_the_specifications() -> None:
    assert bech32_bytes(SPECIFIED) == ("age-secret-key-", b"\x42" * 32)
    assert bech32_text("age-secret-key-", b"\x42" * 32).upper() == SPECIFIED
    assert bech32_bytes("A12UEL5L") == ("a", b"")
    assert bech32_text("bc", b"") == "bc1" + bech32_text("bc", b"")[3:]


@given(st.binary(min_size=1, max_size=40), st.data())
def test_a_mistyped_character_is_noticed(data: bytes, draw: st.DataObject) -> None:
    text = bech32_text("age", data)
    place = draw.draw(st.integers(4, len(text) - 1))
    other = draw.draw(st.sampled_from([c for c in "qpzry9x8gf2tvdw0s3jn54khce6mua7l" if c != text[place]]))
    with pytest.raises(ValueError):
        bech32_bytes(text[:place] + other + text[place + 1 :])


@pytest.mark.parametrize(
    "text",
    ["", "1", "age", "age1", "1qqqqqq", "age1qqqqq", SPECIFIED.capitalize(), SPECIFIED + "Q", SPECIFIED[:-1]],
)
def test_other_bech32_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        bech32_bytes(text)


@pytest.mark.parametrize(
    "text", ["\x201nwldj5", "\x7f1axkwrx", "pzry9x0s0muk", "1pzry9x0s0muk", "x1b4n0q5v", "li1dgmt3", "A1G7SGD8"]
)
def test_what_bip_173_calls_invalid_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        bech32_bytes(text)


def test_what_bip_173_calls_valid_is_read() -> None:
    text = "split1checkupstagehandshakeupstreamerranterredcaperred2y9e3w"
    assert bech32_text(*bech32_bytes(text)) == text


@pytest.mark.parametrize("values", [[0], [0, 1], [0, 31], [0, 0, 0], [0] * 51 + [1]])
def test_bits_that_are_no_whole_bytes_are_refused(values: list[int]) -> None:
    with pytest.raises(ValueError, match="whole number"):
        bech32_bytes(with_checksum("age", values))


def with_checksum(prefix: str, values: list[int]) -> str:
    """The reference of BIP 173."""
    check = 1
    for value in [*(ord(c) >> 5 for c in prefix), 0, *(ord(c) & 31 for c in prefix), *values, *[0] * 6]:
        top, check = check >> 25, (check & 0x1FFFFFF) << 5 ^ value
        for i, part in enumerate([0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3]):
            check ^= part if top >> i & 1 else 0
    values = values + [(check ^ 1) >> 5 * (5 - i) & 31 for i in range(6)]
    return prefix + "1" + "".join("qpzry9x8gf2tvdw0s3jn54khce6mua7l"[value] for value in values)
