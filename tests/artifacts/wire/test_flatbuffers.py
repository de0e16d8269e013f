"""FlatBuffers are read in place and never beyond their bytes."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from garrison.artifacts.wire.flatbuffers import FlatBuffer, Table
from garrison.core.errors import LimitExceeded, Malformed
from garrison.sources.reader import BytesReader
from tests.artifacts.wire.flatbuffer_writer import Bytes, Floats, Node, Numbers, Scalar, Texts, build


def _buffer(data: bytes) -> FlatBuffer:
    return FlatBuffer(BytesReader(data))


SAMPLE = build(
    Node(
        {
            0: Scalar("I", 7),
            1: "name",
            3: Node({0: Scalar("b", -3)}),
            4: [Node({0: "first"}), Node({0: "second", 1: Scalar("q", -(1 << 40))})],
            5: Numbers("h", [1, -2, 3]),
            6: Bytes(b"\x00\xff\x10"),
            7: Texts(["a", "bc", ""]),
            8: Floats("f", [0.5]),
        }
    ),
    identifier=b"TEST",
)


def test_every_kind_of_field_is_read() -> None:
    buffer = _buffer(SAMPLE)
    root = buffer.root()
    assert buffer.identifier == b"TEST"
    assert (root.number(0, "I"), root.text(1)) == (7, "name")
    inner = root.table(3)
    assert inner is not None and inner.number(0, "b") == -3
    assert [(t.text(0), t.number(1, "q")) for t in root.tables(4)] == [("first", 0), ("second", -(1 << 40))]
    assert root.numbers(5, "h") == (1, -2, 3)
    assert root.bytes(6) == b"\x00\xff\x10"
    assert list(root.texts(7)) == ["a", "bc", ""]
    assert root.struct(8, "f") == (0.5,)


def test_absent_fields_have_their_defaults() -> None:
    root = _buffer(SAMPLE).root()
    for number in (2, 9, 500):
        assert root.number(number, "I", 42) == 42
        assert root.text(number) == ""
        assert root.table(number) is None
        assert list(root.tables(number)) == list(root.texts(number)) == []
        assert root.numbers(number) == root.struct(number, "ff") == ()
        assert root.bytes(number) == b""


def test_long_values_are_cut_to_the_limit_that_is_asked_for() -> None:
    root = _buffer(build(Node({0: "x" * 200_000, 1: Bytes(b"y" * 200_000)}))).root()
    assert root.text(0, 10) == "x" * 10
    assert len(root.text(0)) == 4096
    assert root.bytes(1) == b"y" * 200_000


def test_a_buffer_inside_a_file_has_its_own_offsets() -> None:
    buffer = FlatBuffer(BytesReader(b"head" + SAMPLE + b"tail"), 4, len(SAMPLE))
    assert buffer.root().text(1) == "name"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x04\0\0",
        b"\xff\xff\xff\xff",
        struct.pack("<Ii", 4, 1000),
        struct.pack("<Ii", 4, -1000),
        struct.pack("<IiHH", 4, -4, 3, 4),
        struct.pack("<IiHH", 4, -4, 4, 60000),
    ],
)
def test_what_leads_outside_is_malformed(data: bytes) -> None:
    with pytest.raises(Malformed):
        _buffer(data).root()


def test_a_vector_longer_than_the_buffer_is_malformed() -> None:
    data = bytearray(SAMPLE)
    at = data.index(struct.pack("<Ihhh", 3, 1, -2, 3))
    data[at : at + 4] = struct.pack("<I", 1 << 31)
    with pytest.raises(Malformed):
        _buffer(bytes(data)).root().numbers(5, "h")


def test_tables_that_are_shared_many_times_end_at_the_limit_of_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("garrison.artifacts.wire.flatbuffers._READS", 10_000)
    node = Node({})
    for _ in range(12):
        node = Node({0: [node] * 10})

    def walk(table: Table) -> None:
        for inner in table.tables(0):
            walk(inner)

    with pytest.raises(LimitExceeded):
        walk(_buffer(build(node)).root())


def _walk(data: bytes) -> None:
    root = _buffer(data).root()
    root.number(0, "I")
    root.text(1)
    root.table(3)
    for table in root.tables(4):
        table.text(0)
    root.numbers(5, "h")
    root.bytes(6)
    list(root.texts(7))


@given(
    st.integers(0, len(SAMPLE)), st.lists(st.tuples(st.integers(0, len(SAMPLE) - 1), st.integers(0, 255)), max_size=6)
)
@settings(max_examples=300, deadline=None)
def test_broken_bytes_raise_nothing_but_malformed(length: int, flips: list[tuple[int, int]]) -> None:
    data = bytearray(SAMPLE)
    for place, value in flips:
        data[place] = value
    try:
        _walk(bytes(data[:length]))
    except Malformed:
        return
    assert length >= 8
