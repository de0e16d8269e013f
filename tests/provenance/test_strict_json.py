"""JSON that two readers read alike, within limits that are found before anything is built."""

import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from garrison.provenance.strict_json import decoded
from garrison.provenance.trust import Refused

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
)


@given(value=VALUES, indent=st.sampled_from([None, 2]), ascii_only=st.booleans())
def test_what_json_writes_is_read(value: Any, indent: int | None, ascii_only: bool) -> None:
    data = json.dumps(value, indent=indent, ensure_ascii=ascii_only).encode()
    assert decoded(data, Any, "it", most=1 << 20) == value


@given(value=st.dictionaries(st.text(st.characters(codec="utf-8")), st.text(st.characters(codec="utf-8")), min_size=1))
def test_what_stands_outside_of_strings_is_counted_to_the_byte(value: dict[str, str]) -> None:
    data = json.dumps(value, separators=(",", ":")).encode()
    outside = 1 + 6 * len(value)
    assert decoded(data, Any, "it", most=1 << 20, structure=outside) == value
    with pytest.raises(Refused, match="outside of strings"):
        decoded(data, Any, "it", most=1 << 20, structure=outside - 1)


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1, "a": 1}',
        '{"a": {"b": 1, "\\u0062": 2}}',
        "[NaN]",
        "[Infinity]",
        '"\\ud800"',
        "[1,]",
        "[01]",
        "// a\n1",
        "1 2",
        "[" * 100_000,
        "1" * 5000,
        "\ufeff1",
    ],
)
def test_what_two_readers_could_read_differently(text: str) -> None:
    with pytest.raises(Refused, match=r"^it: "):
        decoded(text.encode(), Any, "it", most=1 << 20)


@pytest.mark.parametrize("data", [b'"' * (1 << 20), b'"",' * (1 << 18), b"\\" * (1 << 20), b'"\\' * (1 << 19)])
def test_nothing_is_built_of_what_is_too_much(data: bytes) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(Refused):
            decoded(data, Any, "it", most=1 << 20, structure=1 << 10)
        assert tracemalloc.get_traced_memory()[1] < 1 << 22
    finally:
        tracemalloc.stop()
