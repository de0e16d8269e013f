"""MXNet parameters in all versions of their format."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from garrison.core.facts import Artifact
from tests.support import examine_bytes, facts_of, findings_of

V1, V2, V3 = 0xF993FAC8, 0xF993FAC9, 0xF993FACA
CONTEXT = struct.pack("<ii", 1, 0)


def shape(*dims: int) -> bytes:
    return struct.pack(f"<I{len(dims)}q", len(dims), *dims)


def dense(magic: int = V2) -> bytes:
    """Two by three numbers of four bytes."""
    if magic == 0:
        return struct.pack("<III", 2, 2, 3) + CONTEXT + struct.pack("<I", 0) + bytes(24)
    kind = b"" if magic == V1 else struct.pack("<i", 0)
    return struct.pack("<I", magic) + kind + shape(2, 3) + CONTEXT + struct.pack("<I", 0) + bytes(24)


def row_sparse() -> bytes:
    """One stored row of three numbers out of ten rows."""
    head = struct.pack("<Ii", V2, 1) + shape(1, 3) + shape(10, 3) + CONTEXT + struct.pack("<I", 0)
    return head + struct.pack("<I", 6) + shape(1) + bytes(12) + bytes(8)


def file(*arrays: bytes, names: "tuple[str, ...] | None" = None) -> bytes:
    given_ = tuple(f"arg:w{n}" for n in range(len(arrays))) if names is None else names
    listed = b"".join(struct.pack("<Q", len(name)) + name.encode() for name in given_)
    return struct.pack("<QQQ", 0x112, 0, len(arrays)) + b"".join(arrays) + struct.pack("<Q", len(given_)) + listed


ORDINARY = file(dense(), row_sparse(), dense(V1), dense(V3), dense(0))


def test_all_kinds_of_arrays_are_accounted_for() -> None:
    assert findings_of(ORDINARY, "model-0000.params") == []
    (artifact,) = facts_of(ORDINARY)
    assert artifact == Artifact(format="mxnet-parameters", details={"tensors": 5, "parameters": 54})
    assert findings_of(file(dense(), names=())) == []


def test_bytes_after_the_names_are_stated() -> None:
    assert [f.rule for f in findings_of(ORDINARY + b"#!/bin/sh")] == ["trailing-data"]


@pytest.mark.parametrize(
    "data",
    [
        ORDINARY[:-1],
        file(dense(), names=("a", "b")),
        file(struct.pack("<Ii", V2, 9)),
        file(struct.pack("<II", V1, 33)),
        file(struct.pack("<Ii", V2, 0) + shape(1 << 60, 1 << 60) + CONTEXT + struct.pack("<I", 0)),
    ],
)
def test_what_breaks_the_format_is_malformed(data: bytes) -> None:
    assert [f.rule for f in findings_of(data)] == ["malformed"]


def test_a_count_that_lies_ends_at_the_limit() -> None:
    data = struct.pack("<QQQ", 0x112, 0, 1 << 62) + dense()
    assert [f.rule for f in findings_of(data)] == ["resource-limit"]


@given(
    st.integers(0, len(ORDINARY)),
    st.lists(st.tuples(st.integers(0, len(ORDINARY) - 1), st.binary(min_size=1, max_size=1)), max_size=5),
)
def test_damaged_files_never_raise(cut: int, changes: "list[tuple[int, bytes]]") -> None:
    data = bytearray(ORDINARY)
    for at, value in changes:
        data[at : at + 1] = value
    assert all(e.state != "failed" for e in examine_bytes(bytes(data[:cut]), "x.params"))
