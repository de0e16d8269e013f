"""Compressed files of old joblib: what is inside is examined."""

import pickle
import struct
import zlib

import pytest
from hypothesis import given

from tests.support import assert_no_failure, damaged, examine_bytes, findings_of, worst


def compressed(data: bytes) -> bytes:
    return b"ZF" + hex(len(data)).ljust(19).encode() + zlib.compress(data)


HONEST = compressed(pickle.dumps({"weights": [1.0, 2.0]}, 2))


def test_the_pickle_inside_is_judged() -> None:
    assert findings_of(HONEST, "model.joblib") == []
    assert examine_bytes(HONEST)[-1].formats == ["joblib-zfile"]
    assert worst(findings_of(compressed(b"cos\nsystem\n(S'id'\ntR."), "model.joblib")) == "critical"


def test_a_blank_more_as_python_2_wrote_it() -> None:
    data = HONEST[:21] + b" " + HONEST[21:]
    assert examine_bytes(data)[-1].formats == ["joblib-zfile"]
    assert findings_of(data) == []


@given(damaged(HONEST))
def test_broken_files_do_not_fail(data: bytes) -> None:
    assert_no_failure(data)


CALL = b"cposix\nsystem\n(X\x02\0\0\0idtR"


def wrapped(dtype: bytes, length: int) -> bytes:
    """Opcodes of an array wrapper, up to its BUILD."""
    shape = b"J" + struct.pack("<i", length) + b"\x85"
    state = b"}(X\x05\0\0\0shape" + shape + b"X\x05\0\0\0dtypecnumpy\ndtype\n(X\x02\0\0\0" + dtype + b"tRu"
    return b"cjoblib.numpy_pickle\nNumpyArrayWrapper\n)\x81" + state + b"b"


def framed(data: bytes, length: int) -> bytes:
    return b"\x80\x04\x95" + struct.pack("<Q", length) + data


def test_an_array_of_objects_as_joblib_writes_it_is_nothing_to_speak_of() -> None:
    for inner in (pickle.dumps(["a", 1], 2), pickle.dumps(["a", 1], 4)):
        assert findings_of(b"\x80\x04" + wrapped(b"O8", 2) + inner + b".", "model.joblib") == []


def test_what_stands_like_an_array_inside_an_array_of_objects_is_read_as_opcodes() -> None:
    hostile = CALL + b"0"
    inner = b"\x80\x02" + wrapped(b"u1", len(hostile)) + hostile + b"."
    # The bytes of an array in front are no opcodes, so that nobody gets here who knows nothing of arrays.
    data = b"\x80\x02" + wrapped(b"u1", 1) + b"\xff0" + wrapped(b"O8", 1) + inner + b"."
    assert worst(findings_of(data, "model.joblib")) == "critical"


@pytest.mark.parametrize("inner", [framed(b"N.", 7) + b"NNNNN", framed(framed(b"N.", 2), 13)])
def test_frames_that_unpicklers_read_differently_in_an_array_of_objects(inner: bytes) -> None:
    data = b"\x80\x04" + wrapped(b"u1", 1) + b"\xff0" + wrapped(b"O8", 1) + inner + b"."
    assert "pickle-frame-confusion" in {finding.rule for finding in findings_of(data, "model.joblib")}


def test_an_array_inside_a_frame_is_found_elsewhere_by_joblib() -> None:
    wrapper = wrapped(b"O8", 1)
    rest = b"N.0N."
    data = framed(wrapper + rest, len(wrapper + rest)) + b"N."
    assert "pickle-frame-confusion" in {finding.rule for finding in findings_of(data, "model.joblib")}
