"""Whatever some unpickler of CPython resolves, garrison states."""

import random
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.artifacts.pickle.generator import pickles
from tests.artifacts.pickle.reference import Reference
from tests.artifacts.pickle.soundness import missing


@pytest.fixture(scope="module")
def reference() -> Iterator[Reference]:
    one = Reference()
    yield one
    one.close()


_SETTINGS = settings(
    max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@_SETTINGS
@given(seed=st.integers(0, 1 << 64))
def test_nothing_is_missed_in_generated_pickles(seed: int, reference: Reference) -> None:
    assert not missing(pickles(random.Random(seed)), reference)


@_SETTINGS
@example(data=b"cos\nsystem\n(S'id'\ntR.")
@example(data=b"(cos\nsystem\nS'id'\no.")
@example(data=b"(S'id'\nios\nsystem\n.")
@example(data=b"\x80\x04\x8c\x07logging\x8c\tos.system\x93.")
@example(data=b"\x80\x04\x8c\x02os\x940\x8c\x06systemq\x000h\x00h\x00\x93.")
@example(data=b"\x82\x01\x82\xff\x83\x2c\x01.")
@example(data=b"N.cos\nsystem\n.")
@example(
    data=b"\x80\x04\x95\x09\0\0\0\0\0\0\0I\x95\x02\0\0\0\0\0\0\0\x95\x05\0\0\0\0\0\0\0t1\n(I1_0\nq\x010(ca\nb.c\ns\x01\x95<\0"
)
@example(data=b"\x80\x04\x95\x03\0\0\0\0\0\0\0N0X\x02\0\0\0os\x8c\x06system\x93.")
@example(data=b"\x80\x04\x95\x14\0\0\0\0\0\0\0\x95\x3c\0\0\0\0\0\0\0}0cx\nOrderedDict\nVeval\n.")
@given(data=st.binary(max_size=64))
def test_nothing_is_missed_in_any_bytes(data: bytes, reference: Reference) -> None:
    assert not missing(data, reference)
