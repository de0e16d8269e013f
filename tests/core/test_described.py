"""Descriptions are bounded and of their types, whatever a file says."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from garrison.core.described import described, text
from garrison.core.facts import Description

_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(st.sampled_from([field for field in Description.__struct_fields__ if field not in ("about", "place")]), _VALUES)
def test_any_value_of_a_field_becomes_of_its_type_or_nothing(field: str, value: object) -> None:
    found = described(**{field: value})
    assert found is None or msgspec.json.decode(msgspec.json.encode(found), type=Description) == found


def test_texts_are_bounded_and_on_one_line() -> None:
    assert text("a\n\tb \ud800") == "a b \\ud800"
    assert len(text("x" * 10_000)) == 300 and text(10**400) == "" and text(True) == "" and text([1]) == ""
