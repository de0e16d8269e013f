import pytest
from hypothesis import given
from hypothesis import strategies as st

from garrison.artifacts.wire.protobuf import LENGTH, VARINT, Span, Wire, shape
from garrison.core.errors import ExaminationError, Malformed
from garrison.sources.reader import BytesReader
from tests.artifacts.protobuf_encoding import field, group, message, varint


def read(data: bytes) -> list[tuple[int, int, "int | bytes"]]:
    wire = Wire(BytesReader(data))
    found = []
    for number, kind, value in wire.fields(wire.whole()):
        found.append((number, kind, wire.bytes(value, 1 << 20) if isinstance(value, Span) else value))
    return found


@given(st.lists(st.tuples(st.integers(1, 1 << 20), st.one_of(st.integers(0, 2**64 - 1), st.binary(max_size=300)))))
def test_what_was_written_is_read(fields: "list[tuple[int, int | bytes]]") -> None:
    expected = [(number, VARINT if isinstance(value, int) else LENGTH, value) for number, value in fields]
    assert read(message(*fields)) == expected


def test_fixed_width_fields_are_passed_over() -> None:
    data = varint(1 << 3 | 1) + bytes(8) + varint(2 << 3 | 5) + bytes(4) + field(3, 7)
    assert read(data) == [(1, 1, 0), (2, 5, 0), (3, VARINT, 7)]


def test_groups_are_stepped_over_as_readers_do_with_unknown_fields() -> None:
    data = group(9, field(1, "inside") + group(8, field(2, 5))) + field(1, "after")
    assert read(data) == [(1, LENGTH, b"after")]


def test_packed_numbers() -> None:
    packed = b"".join(varint(number) for number in (1, 300, 2**40))
    assert list(Wire(BytesReader(packed)).numbers(Span(0, len(packed)))) == [1, 300, 2**40]


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(varint(1 << 3), id="no value"),
        pytest.param(b"\xff" * 12, id="number without end"),
        pytest.param(field(1, b"x" * 20)[:-1], id="field longer than its message"),
        pytest.param(varint(1 << 3 | 1) + bytes(7), id="torn fixed field"),
        pytest.param(varint(0) + b"\1", id="field number 0"),
        pytest.param(varint(1 << 3 | 6), id="wire type 6"),
        pytest.param(varint(1 << 3 | 3) + field(2, 1), id="group without end"),
        pytest.param(varint(1 << 3 | 4), id="end of no group"),
        pytest.param(varint(1 << 3 | 3) * 200, id="groups without end"),
    ],
)
def test_what_is_no_message_is_malformed(data: bytes) -> None:
    with pytest.raises(Malformed):
        read(data)
    assert shape(BytesReader(data)) is None


def test_shape_stops_at_its_limit_and_does_not_read_on() -> None:
    assert shape(BytesReader(field(1, 1) * 3 + b"\xff" * 20), 3) == [(1, VARINT)] * 3


@given(st.binary(max_size=400))
def test_any_bytes_end_in_fields_or_in_a_finding(data: bytes) -> None:
    try:
        for _, _, value in read(data):
            assert isinstance(value, int) or len(value) <= len(data)
    except ExaminationError:
        pass


def test_long_fields_are_not_read_until_asked_for() -> None:
    class Counting(BytesReader):
        got = 0

        def pread(self, offset: int, length: int) -> bytes:
            data = super().pread(offset, length)
            Counting.got += len(data)
            return data

    data = field(1, bytes(8 << 20)) + field(2, 9)
    wire = Wire(Counting(data))
    assert [number for number, _, _ in wire.fields(wire.whole())] == [1, 2]
    assert Counting.got < 1 << 20
