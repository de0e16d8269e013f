"""The text form of Protocol Buffers, turned into the wire form so that one reader serves both.

Source: https://protobuf.dev/reference/protobuf/textformat-spec/. Only fields that the schema names are kept.
"""

from collections.abc import Callable
from typing import Any

from garrison.artifacts.wire.text_tokens import CLOSING, Tokens
from garrison.core.errors import Malformed

Schema = dict[str, Any]
"""A field's name to its number, and to the schema of its message where it is one: `(5, {...})`."""

_DEPTH = 100
_WORDS = {"true": 1, "false": 0, "DT_STRING": 7}
"""Words that stand for numbers; of the enumerations only what readers act on."""


def encode(text: str, schema: Schema, check_time: Callable[[], None]) -> bytes:
    """The message in wire form; raises `Malformed`."""
    return _message(Tokens(text, check_time), schema, "", 0)


def _message(tokens: Tokens, schema: Schema, closing: str, depth: int) -> bytes:
    """Fields up to the closing mark, or to the end."""
    if depth > _DEPTH:
        raise Malformed("messages nested too deep")
    out = bytearray()
    while not (tokens.take(closing) if closing else tokens.kind == "end"):
        entry = schema.get(tokens.name())
        tokens.take(":")
        if not tokens.take("["):
            _value(tokens, entry, out, depth)
            continue
        while not tokens.take("]"):
            _value(tokens, entry, out, depth)
    return bytes(out)


def _value(tokens: Tokens, entry: "int | tuple[int, Schema] | None", out: bytearray, depth: int) -> None:
    number: int | None
    inner: Schema
    number, inner = entry if isinstance(entry, tuple) else (entry, {})
    if opening := tokens.take(*CLOSING):
        data = _message(tokens, inner, CLOSING[opening], depth + 1)
        if isinstance(entry, tuple):
            _write(out, entry[0], data)
    elif tokens.kind == "text":
        text = tokens.string()
        if number is not None:
            _write(out, number, text)
    elif tokens.kind == "word":
        if number is not None and (value := _number(tokens.value)) is not None:
            _write(out, number, value)
        tokens.advance()
    else:
        raise Malformed(f"a value is missing before {tokens.value[:40]!r}")


def _number(word: str) -> int | None:
    """The whole number that a word stands for; `None` for floats and for names of enumerations."""
    if word in _WORDS:
        return _WORDS[word]
    try:
        return int("".join(word.split()), 0) if len(word) < 40 else None
    except ValueError:
        return None


def _varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _write(out: bytearray, number: int, value: "int | bytes") -> None:
    if isinstance(value, int):
        out += _varint(number << 3) + _varint(value)
    else:
        out += _varint(number << 3 | 2) + _varint(len(value)) + value
