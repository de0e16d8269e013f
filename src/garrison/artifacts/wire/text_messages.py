"""Protocol Buffers as text, read into a tree of bounded size with all names and lines, where no schema is at hand.

(`text_protobuf` turns text whose schema is known into the wire form.)

Source: https://protobuf.dev/reference/protobuf/textformat-spec/
"""

import re

import msgspec

from garrison.core.errors import LimitExceeded, Malformed

_TOKEN = re.compile(
    r"""[\s,;]*(?:\#[^\n]*[\s,;]*)*
    (?:(?P<name>[A-Za-z_][\w.]*)|(?P<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')
    |(?P<number>-?[\d.][\w.+\-]*|-\s*[a-zA-Z]+)|(?P<mark>[:{}<>\[\]])|(?P<end>\Z))""",
    re.VERBOSE,
)
_ESCAPE = re.compile(r"\\(?:([0-7]{1,3})|[xX]([0-9a-fA-F]{1,2})|u([0-9a-fA-F]{4})|(.))", re.DOTALL)
_PLAIN = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}
_CLOSING = {"{": "}", "<": ">"}
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
    """The whole text as one message; raises `Malformed` where it is none."""
    reading = _Reading(text)
    return Field("", 1, inside=reading.fields("", 0))


class _Reading:
    """A token of look-ahead over the text."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._position = self._counted = 0
        self._line = 1
        self._tokens = 0
        self._kind = self._value = ""
        self._advance()

    def _advance(self) -> None:
        match = _TOKEN.match(self._text, self._position)
        if match is None or match.lastgroup is None:
            raise Malformed(f"no part of a message at line {self._at()}: {self._text[self._position :][:40]!r}")
        self._tokens += 1
        if self._tokens > _TOKENS:
            raise LimitExceeded("facts", f"a text of more than {_TOKENS} parts")
        self._kind, self._value = match.lastgroup, match[match.lastgroup]
        self._position = match.end()

    def _at(self) -> int:
        self._line += self._text.count("\n", self._counted, self._position)
        self._counted = self._position
        return self._line

    def _take(self, *values: str) -> str:
        """The mark that follows, if it is one of these."""
        if self._kind == "mark" and self._value in values:
            value = self._value
            self._advance()
            return value
        return ""

    def fields(self, closing: str, depth: int) -> list[Field]:
        """The fields up to the closing mark, or to the end of the text."""
        if depth > _DEPTH:
            raise LimitExceeded("depth", f"messages are nested more than {_DEPTH} deep")
        found: list[Field] = []
        while True:
            if closing and self._take(closing):
                return found
            if self._kind == "end" and not closing:
                return found
            line = self._at()
            name = self._name()
            self._take(":")
            if not self._take("["):
                found.append(self._one(name, line, depth))
                continue
            while not self._take("]"):
                found.append(self._one(name, line, depth))

    def _name(self) -> str:
        """A field's name, which is in brackets for extensions."""
        bracketed = bool(self._take("["))
        name = self._value
        if self._kind != "name":
            raise Malformed(f"a field's name should be at line {self._at()}, not {name[:40]!r}")
        self._advance()
        if bracketed and not self._take("]"):
            raise Malformed(f"the name of an extension does not end at line {self._at()}")
        return name

    def _one(self, name: str, line: int, depth: int) -> Field:
        """A message, or a value; strings that follow each other are one."""
        if opening := self._take("{", "<"):
            return Field(name, line, inside=self.fields(_CLOSING[opening], depth + 1))
        if self._kind not in ("name", "number", "string"):
            raise Malformed(f"a value should be at line {self._at()}, not {self._value[:40]!r}")
        parts: list[str] = []
        if self._kind != "string":
            parts.append(self._value)
            self._advance()
        else:
            while self._kind == "string":
                parts.append(_ESCAPE.sub(_unescaped, self._value[1:-1]))
                self._advance()
        return Field(name, line, "".join(parts))


def _unescaped(match: "re.Match[str]") -> str:
    octal, hexadecimal, unicode, plain = match.groups()
    if octal:
        return chr(int(octal, 8) & 0xFF)
    if hexadecimal or unicode:
        return chr(int(hexadecimal or unicode, 16))
    return _PLAIN.get(plain, plain)
