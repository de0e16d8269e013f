"""ASCII armor: one way to write a file, whitespace around it and line ends aside."""

import base64
import io
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from garrison.provenance.sealing.armor import Armored, Unarmored
from garrison.provenance.sealing.refusals import MalformedArmor, NoMatch
from garrison.provenance.sealing.x25519 import X25519Identity

from .age_writer import X25519Key, armor, header, payload
from .opening import X25519, opened, sealed

HEADER = header(X25519Key().stanza())
TEXT = b"what is sealed, of a length that ends within a line"
DATA = HEADER + payload(TEXT)
ARMOR = armor(DATA)
LINES = ARMOR.split(b"\n")


def with_length(rest: int) -> bytes:
    """A file whose last line of armor holds `rest` bytes."""
    return HEADER + payload(bytes((rest - len(HEADER) - 32) % 48))


ALLOWED = {
    "as written": ARMOR,
    "line ends of Windows": armor(DATA, "\r\n"),
    "no last line end": ARMOR[:-1],
    "whitespace before": b"\n \t\r\n\n" + ARMOR,
    "whitespace behind": ARMOR + b"\n \t\r\n\n",
    "a full last line": armor(with_length(0)),
    "a last line with one byte": armor(with_length(1)),
    "a last line with two bytes": armor(with_length(2)),
    "a last line without padding": armor(with_length(3)),
    "a last line of 64 characters with padding": armor(with_length(47)),
}


@pytest.mark.parametrize("how", ALLOWED)
def test_what_the_format_allows_opens(how: str) -> None:
    assert opened(ALLOWED[how])


def changed(line: int, text: bytes) -> bytes:
    lines = list(LINES)
    lines[line] = text
    return b"\n".join(lines)


PADDED = armor(with_length(2)).split(b"\n")


REFUSED = {
    "nothing in it": b"\n".join([LINES[0], LINES[-2], b""]) + b"garbage",
    "text before": b"garbage\n" + ARMOR,
    "text before on the line": b"garbage " + ARMOR,
    "whitespace before on the line": b" " + ARMOR,
    "text behind": ARMOR + b"garbage",
    "a second armor behind": ARMOR + ARMOR,
    "too much whitespace before": b"\n" * 1100 + ARMOR,
    "too much whitespace behind": ARMOR + b"\n" * 1100,
    "only whitespace": b"\n" * 10,
    "an empty first line": changed(0, LINES[0] + b"\n"),
    "an empty line within": changed(2, LINES[2] + b"\n"),
    "an empty last line": changed(-2, b"\n" + LINES[-2]),
    "a short line within": changed(2, LINES[2][:60]),
    "a long line": changed(2, LINES[2] + b"AAAA"),
    "two lines in one": ARMOR.replace(LINES[2] + b"\n", LINES[2]),
    "an endless line": LINES[0] + b"\n" + b"A" * 1_000_000,
    "an endless first line": b" " * 1_000_000,
    "whitespace at a line's beginning": changed(2, b" " + LINES[2]),
    "whitespace at a line's end": changed(2, LINES[2] + b" "),
    "whitespace at the last line's end": changed(-3, LINES[-3] + b" "),
    "whitespace behind the end's line": changed(-2, LINES[-2] + b" "),
    "a carriage return within": changed(2, LINES[2][:32] + b"\r" + LINES[2][33:]),
    "headers": changed(0, LINES[0] + b"\nHeader: value\n"),
    "a checksum as PGP's": changed(-2, b"=AAAA\n" + LINES[-2]),
    "another kind": ARMOR.replace(b"AGE ENCRYPTED FILE", b"AGE ENCRYPTED MESSAGE"),
    "small letters": ARMOR.replace(b"AGE ENCRYPTED FILE", b"age encrypted file"),
    "no end": b"\n".join(LINES[:-2]) + b"\n",
    "half an end": ARMOR[:-8],
    "a character that is none": changed(2, b"*" + LINES[2][1:]),
    "a zero": changed(2, b"\0" + LINES[2][1:]),
    "the URL's base64": changed(2, b"-" + LINES[2][1:]),
    "no padding": b"\n".join([*PADDED[:-3], PADDED[-3].rstrip(b"="), *PADDED[-2:]]),
    "padding too long": b"\n".join([*PADDED[:-3], PADDED[-3] + b"=", *PADDED[-2:]]),
    "padding on a line of its own": b"\n".join([*PADDED[:-3], PADDED[-3].rstrip(b"="), b"=", *PADDED[-2:]]),
    "bits that no byte has": b"\n".join([*PADDED[:-3], PADDED[-3].replace(b"=", b"x", 1)[:-2] + b"9=", *PADDED[-2:]]),
    "padding within": changed(2, LINES[2][:-1] + b"="),
    "a body behind padding": b"\n".join([*PADDED[:-2], b"AAAA", *PADDED[-2:]]),
}


@pytest.mark.parametrize("how", REFUSED)
def test_everything_else_is_refused(how: str) -> None:
    with pytest.raises(MalformedArmor):
        opened(REFUSED[how])


def test_armor_is_refused_even_when_only_its_end_is_wrong() -> None:
    with pytest.raises(MalformedArmor):
        opened(ARMOR.replace(b"-----END", b"-----FIN"))


def test_no_match_in_armor() -> None:
    with pytest.raises(NoMatch):
        opened(ARMOR, X25519Identity.generate())


@given(st.binary(max_size=500), st.lists(st.integers(0, 100), max_size=10))
def test_what_is_written_is_as_other_writers_write_it(data: bytes, cuts: list[int]) -> None:
    target = io.BytesIO()
    writer = Armored(target)
    for cut in cuts:
        writer.write(data[:cut])
    writer.write(data)
    writer.finish()
    whole = b"".join(data[:cut] for cut in cuts) + data
    assert target.getvalue() == armor(whole).replace(b"\n\n", b"\n")
    if whole:
        target.seek(0)
        assert io.BufferedReader(Unarmored(target, target.readline())).read() == whole


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("size", [49_000, 49_150, 49_152, 65_536, 200_001])
def test_armor_longer_than_a_block_is_read(size: int, end: str) -> None:
    data = random.Random(size).randbytes(size)
    text = io.BytesIO(armor(data, end))
    assert io.BufferedReader(Unarmored(text, text.readline())).read() == data


def test_round_trip_in_armor() -> None:
    data = sealed(TEXT, [X25519.recipient], armored=True)
    assert data.startswith(b"-----BEGIN AGE ENCRYPTED FILE-----\n")
    assert all(len(line) <= 64 for line in data.splitlines())
    assert opened(data) == TEXT
    assert base64.b64decode(b"".join(data.splitlines()[1:-1])).startswith(b"age-encryption.org/v1\n")
