"""Payloads: nothing is written that was not authenticated, and nothing missing, moved or added goes unnoticed."""

import io
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from garrison.provenance.sealing.refusals import DamagedPayload, MalformedHeader
from garrison.provenance.sealing.sealed_file import seal, unseal
from garrison.provenance.trust import Refused

from .age_writer import CHUNK, X25519Key, chunk, header, payload
from .opening import X25519, opened, sealed

HEADER = header(X25519Key().stanza())
FULL = bytes(range(256)) * 256
NONCE = bytes(16)
TURN = 16 * CHUNK


def more(number: int, data: bytes = FULL) -> bytes:
    return chunk(number, data, last=False)


def last(number: int, data: bytes = b"end") -> bytes:
    return chunk(number, data, last=True)


def flipped(data: bytes, place: int = -1) -> bytes:
    altered = bytearray(data)
    altered[place] ^= 1
    return bytes(altered)


@pytest.mark.parametrize(
    "chunks, text",
    [
        ([last(0, b"")], b""),
        ([last(0)], b"end"),
        ([last(0, FULL)], FULL),
        ([more(0), last(1)], FULL + b"end"),
        ([more(0), last(1, FULL)], FULL * 2),
        ([more(0), more(1), last(2)], FULL * 2 + b"end"),
        ([*map(more, range(257)), last(257)], FULL * 257 + b"end"),
        ([*map(more, range(256)), last(256, FULL)], FULL * 257),
        ([*map(more, range(15)), last(15, FULL)], FULL * 16),
        ([*map(more, range(16)), last(16, b"x")], FULL * 16 + b"x"),
    ],
    ids=lambda value: str(len(value)),
)
def test_what_another_writer_sealed_opens(chunks: list[bytes], text: bytes) -> None:
    assert opened(HEADER + NONCE + b"".join(chunks)) == text


ALTERED = {
    "no chunk": [],
    "a tag cut short": [b"0123456789"],
    "no tag": [last(0)[:-16]],
    "a wrong tag": [flipped(last(0))],
    "a wrong tag in the second chunk": [more(0), flipped(last(1))],
    "a wrong tag in the first of two": [flipped(more(0)), last(1)],
    "no last chunk": [more(0, b"end")],
    "no last chunk, a full one": [more(0)],
    "no last chunk of two": [more(0), more(1, b"end")],
    "no last chunk of two full ones": [more(0), more(1)],
    "an empty last chunk": [more(0), last(1, b"")],
    "two last chunks": [last(0, FULL), last(1)],
    "two full last chunks": [last(0, FULL), last(1, FULL)],
    "a last chunk twice": [last(0, FULL), last(0, FULL)],
    "a short chunk": [more(0, b"short"), last(1)],
    "a short second chunk": [more(0), more(1, b"short"), last(2)],
    "a second last chunk within the first": [last(0), last(1)],
    "a byte behind": [last(0), b"\0"],
    "a byte behind a full chunk": [last(0, FULL), b"\0"],
    "more behind": [last(0), b"\0" * 1000],
    "more behind a full chunk": [last(0, FULL), b"\0" * 1000],
    "chunks in another order": [more(1), more(0), last(2)],
    "a chunk left out": [more(0), last(2)],
    "a chunk twice": [more(0), more(0), last(1)],
    "a chunk of another file": [more(0), chunk(1, FULL, last=False, nonce=b"\1" * 16), last(2)],
    "a chunk of another key": [more(0), chunk(1, FULL, last=False, key=bytes(16)), last(2)],
    "a chunk too long": [more(0, FULL + b"\0"), last(1)],
    "no last chunk after a turn": [*map(more, range(16))],
    "an empty last chunk after a turn": [*map(more, range(16)), last(16, b"")],
    "a wrong tag in the second turn": [*map(more, range(16)), flipped(more(16)), last(17)],
}


@pytest.mark.parametrize("how", ALTERED)
def test_everything_else_is_refused(how: str) -> None:
    target = io.BytesIO()
    with pytest.raises(DamagedPayload):
        unseal(io.BytesIO(HEADER + NONCE + b"".join(ALTERED[how])), target, [X25519])
    assert (FULL * 16).startswith(target.getvalue())


@pytest.mark.parametrize("size", [0, 1, 15])
def test_a_file_without_a_nonce_is_refused(size: int) -> None:
    with pytest.raises(MalformedHeader):
        opened(HEADER + NONCE[:size])


def test_every_flipped_bit_is_refused() -> None:
    whole = HEADER + payload(b"what is sealed")
    for place in range(len(whole)):
        for bit in range(8):
            altered = bytearray(whole)
            altered[place] ^= 1 << bit
            with pytest.raises(Refused):
                opened(bytes(altered))


def test_every_cut_is_refused() -> None:
    whole = HEADER + payload(b"what is sealed")
    for size in range(len(whole)):
        with pytest.raises(Refused):
            opened(whole[:size])
    assert opened(whole) == b"what is sealed"


@pytest.mark.parametrize("size", [CHUNK, 3 * CHUNK + 5, 17 * CHUNK])
def test_cuts_and_additions_at_borders_of_chunks_are_refused(size: int) -> None:
    whole = sealed(FULL * (size // CHUNK) + FULL[: size % CHUNK], [X25519.recipient])
    start = len(whole) - len(payload(bytes(size)))
    borders = range(start + 16, len(whole), CHUNK + 16)
    for place in (*borders, *(border + 1 for border in borders), *(border - 1 for border in borders), len(whole) - 1):
        with pytest.raises(Refused):
            opened(whole[:place])
    for added in (b"\0", bytes(16), bytes(17), whole[-40:], whole):
        with pytest.raises(DamagedPayload):
            opened(whole + added)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from([0, 1, 2, 16, 17, 32]),
    st.integers(-20, 20),
    st.booleans(),
)
def test_round_trips_around_borders(chunks: int, offset: int, armored: bool) -> None:
    size = max(0, chunks * CHUNK + offset)
    data = (FULL * (chunks + 1))[:size]
    assert opened(sealed(data, [X25519.recipient], armored=armored)) == data


class Dribble(io.RawIOBase):
    """Gives as little at a time as a pipe may."""

    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        return self._data.readinto(buffer[: 1 + len(buffer) // 3])


class Nibble(io.BytesIO):
    """Takes less than it is given."""

    def write(self, data: bytes) -> int:  # type: ignore[override]
        return super().write(data[: 1 + len(data) // 2])


@pytest.mark.parametrize("armored", [False, True])
def test_pipes_that_give_and_take_little_at_a_time(armored: bool) -> None:
    data = FULL * 50 + b"end"
    target, again = Nibble(), Nibble()
    seal(io.BufferedReader(Dribble(data)), target, [X25519.recipient], armored=armored)
    unseal(io.BufferedReader(Dribble(target.getvalue())), again, [X25519])
    assert again.getvalue() == data


class Broken(io.RawIOBase):
    """Fails after some bytes, as a disk that is full or a drive that is broken."""

    def __init__(self, left: int) -> None:
        self._left = left

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        self._count(len(buffer))
        return len(buffer)

    def write(self, data: memoryview) -> int:  # type: ignore[override]
        self._count(len(data))
        return len(data)

    def _count(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise OSError(28, "No space left on device")


@pytest.mark.parametrize("size", [0, TURN, 5 * TURN])
def test_what_fails_to_be_read_or_written_is_said_and_no_thread_stays(size: int) -> None:
    before = threading.active_count()
    with pytest.raises(OSError, match="No space"):
        seal(io.BufferedReader(Broken(size)), io.BytesIO(), [X25519.recipient])
    with pytest.raises(OSError, match="No space"):
        seal(io.BytesIO(FULL * 200), Broken(size), [X25519.recipient])  # type: ignore[arg-type]
    assert threading.active_count() == before


def test_all_chunks_before_a_damaged_turn_are_written_and_none_after_it() -> None:
    whole = bytearray(sealed(FULL * 64, [X25519.recipient]))
    start = len(whole) - len(payload(bytes(64 * CHUNK)))
    whole[start + 16 + 40 * (CHUNK + 16)] ^= 1
    for _ in range(5):
        target = io.BytesIO()
        with pytest.raises(DamagedPayload, match="chunk 41 "):
            unseal(io.BytesIO(whole), target, [X25519])
        assert target.getvalue() == FULL * 32
