"""Protocol Buffers as text, read into a tree of bounded size with all names and lines, where no schema is at hand.

(`text_protobuf` turns text whose schema is known into the wire form.)

Source: https://protobuf.dev/reference/protobuf/textformat-spec/
"""

import msgspec

from garrison.artifacts.wire.text_tokens import CLOSING, Tokens
from garrison.core.errors import LimitExceeded, Malformed

_DEPTH = 60
_TOKENS = 2_000_000


class Field(msgspec.Struct):
    """A field: its text, or the fields inside it."""

    name: str
    line: int
    text: str = ""
    inside: "list[Field] | None" = None

    def all(self, name: str) -> "list[Field]":
        """The fields of this name inside."""
        return [field for field in self.inside or () if field.name == name]

    def value(self, name: str) -> str:
        """The text of the last field of this name inside, empty where there is none."""
        return next((field.text for field in reversed(self.inside or ()) if field.name == name), "")


def parse(text: str) -> Field:
    """The whole text as one message; raises `Malformed` where it is none, and `LimitExceeded`."""
    return Field("", 1, inside=_fields(Tokens(text), "", 0))


def _fields(tokens: Tokens, closing: str, depth: int) -> list[Field]:
    """The fields up to the closing mark, or to the end of the text."""
    if depth > _DEPTH:
        raise LimitExceeded("depth", f"messages are nested more than {_DEPTH} deep")
    found: list[Field] = []
    while not (tokens.take(closing) if closing else tokens.kind == "end"):
        line = tokens.line()
        name = tokens.name()
        tokens.take(":")
        if not tokens.take("["):
            found.append(_one(tokens, name, line, depth))
            continue
        while not tokens.take("]"):
            found.append(_one(tokens, name, line, depth))
    return found


def _one(tokens: Tokens, name: str, line: int, depth: int) -> Field:
    """A message, or a value."""
    if tokens.read > _TOKENS:
        raise LimitExceeded("facts", f"a text of more than {_TOKENS} parts")
    if opening := tokens.take(*CLOSING):
        return Field(name, line, inside=_fields(tokens, CLOSING[opening], depth + 1))
    if tokens.kind == "text":
        return Field(name, line, tokens.string().decode("utf-8", "replace"))
    if tokens.kind != "word":
        raise Malformed(f"a value should be at line {tokens.line()}, not {tokens.value[:40]!r}")
    value = tokens.value
    tokens.advance()
    return Field(name, line, value)
