"""Compressed files of old joblib: what is inside is examined."""

import pickle
import zlib

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
