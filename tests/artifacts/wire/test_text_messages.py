"""Text messages are read as their own parsers read them, within bounds."""

import contextlib
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from garrison.artifacts.wire.text_messages import Field, parse
from garrison.core.errors import ExaminationError, LimitExceeded, Malformed


def tree(field: Field) -> object:
    return field.text if field.inside is None else [(inner.name, tree(inner)) for inner in field.inside]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("a: 1 b: x", [("a", "1"), ("b", "x")]),
        ("a { b: 2 }", [("a", [("b", "2")])]),
        ("a: < b: 2; c: 3, >", [("a", [("b", "2"), ("c", "3")])]),
        ("a: - 1 b: -inf", [("a", "- 1"), ("b", "-inf")]),
        ("[type.example.org/x.Y] { b: 1 }", [("[type.example.org/x.Y]", [("b", "1")])]),
        ("a: [1, -2.5e3, inf]", [("a", "1"), ("a", "-2.5e3"), ("a", "inf")]),
        ("a [{ b: 1 }, { b: 2 }]", [("a", [("b", "1")]), ("a", [("b", "2")])]),
        ("a: []", []),
        ("a: 'x' \"y\"\n'z'", [("a", "xyz")]),
        (r'a: "\x41\101\n\"\u00e9"', [("a", 'AA\n"é')]),
        ("# note\na: 1 # more\n# last", [("a", "1")]),
        ("[some.extension]: 1", [("[some.extension]", "1")]),
    ],
)
def test_forms_of_fields(text: str, expected: object) -> None:
    assert tree(parse(text)) == expected


def test_lines_and_look_up() -> None:
    message = parse("a: 1\n\nb { c: 2 }\na: 3")
    assert [field.line for field in message.inside or ()] == [1, 3, 4]
    assert message.value("a") == "3" and message.all("b")[0].value("c") == "2" and message.value("z") == ""


@pytest.mark.parametrize(
    "text", ["a", "a:", "a {", "a }", "a: [1", "a: 'x", ": 1", "a: 1 }", "[a: 1", "a: \x01", "1: 2"]
)
def test_what_is_no_message_is_malformed(text: str) -> None:
    with pytest.raises(Malformed):
        parse(text)


def test_bounds() -> None:
    with pytest.raises(LimitExceeded):
        parse("a {" * 10_000)
    started = time.monotonic()
    assert len(parse("a: 1\n" * 100_000).inside or ()) == 100_000
    with pytest.raises(Malformed):
        parse('a: "' + "\\" * 200_000)
    assert time.monotonic() - started < 5


@given(st.text(alphabet="ab:{}<>[]'\"\\#1-., \n;x", max_size=60))
def test_no_text_raises_anything_else(text: str) -> None:
    with contextlib.suppress(ExaminationError):
        parse(text)
