"""Plain pickles mean what Python takes them for."""

import pickle
from collections import Counter, OrderedDict, defaultdict, deque
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from garrison.artifacts.disarm.rules.table import RULES
from garrison.artifacts.disarm.unpickling import Unpickling
from garrison.artifacts.disarm.values import Collection, LongText, Mapping
from garrison.core.limits import Limits
from garrison.sources.reader import BytesReader, Reader
from garrison.sources.source import Context

PLAIN = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()
KEYS = st.integers(-5, 5) | st.text(max_size=5) | st.binary(max_size=3)
NESTED = st.recursive(
    PLAIN,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.tuples(inner)
        | st.dictionaries(KEYS, inner, max_size=4)
        | st.frozensets(KEYS, max_size=4)
        | st.sets(KEYS, max_size=4)
    ),
    max_leaves=12,
)
PROTOCOLS = st.integers(0, 5)


def evaluated(data: bytes) -> Any:
    pickled = Unpickling(BytesReader(data), Context(Limits(), len(data)), RULES)
    value = pickled.load()
    assert pickled.stream.position == len(data)
    assert pickled.acts == []
    return plain(value)


def plain(value: Any) -> Any:
    match value:
        case Mapping():
            return {plain(key): plain(item) for key, item in value.entries}
        case Collection():
            return {plain(item) for item in value.items}
        case LongText():
            return value.encoded.pread(0, 1 << 20).decode("utf-8", "surrogatepass")
        case Reader():
            return value.pread(0, 1 << 20)
        case list():
            return [plain(item) for item in value]
        case tuple():
            return tuple(plain(item) for item in value)
    return value


@given(NESTED, PROTOCOLS)
def test_plain_structures(value: Any, protocol: int) -> None:
    assert evaluated(pickle.dumps(value, protocol)) == value


@pytest.mark.parametrize("protocol", range(6))
def test_long_and_rare_values(protocol: int) -> None:
    shared = ["once"]
    value = [
        *("é" * 5000, b"\xff" * 5000, "x" * 300, "\ud800", b"", 2**40, -(2**70), 1e300, float("inf"), ()),
        *(bytearray(b"ab"), shared, shared, {1: {2: {3: ()}}}, {"a", "b"}, frozenset({1}), list(range(3000))),
        *(OrderedDict(b=1, a=2), Counter("aab"), {True: None}, "line\nbreak", "quote'\"", "\x1a"),
    ]
    assert evaluated(pickle.dumps(value, protocol)) == value


@pytest.mark.parametrize("protocol", range(6))
def test_containers_with_factories(protocol: int) -> None:
    assert evaluated(pickle.dumps(defaultdict(list, a=[1]), protocol)) == {"a": [1]}
    stream = Unpickling(BytesReader(data := pickle.dumps(deque([1, 2]), protocol)), Context(Limits(), len(data)), RULES)
    assert stream.load().items == [1, 2]
