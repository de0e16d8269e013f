"""The text form of Protocol Buffers, turned into the wire form so that one reader serves both.

Source: https://protobuf.dev/reference/protobuf/textformat-spec/. Only fields that the schema names are kept.
"""

import re
from collections.abc import Callable
from typing import Any

from garrison.core.errors import Malformed

Schema = dict[str, Any]
"""A field's name to its number, and to the schema of its message where it is one: `(5, {...})`."""

_TOKEN = re.compile(
    r"""[\s,;]+|\#[^\n]*|(?P<text>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')|(?P<word>[-\w.+]+)|(?P<mark>[{}<>\[\]:/])""",
    re.DOTALL,
)
_ESCAPE = re.compile(rb"\\(?:([0-7]{1,3})|[xX]([0-9a-fA-F]{1,2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))", re.DOTALL)
_PLAIN = {b"n": b"\n", b"t": b"\t", b"r": b"\r", b"a": b"\a", b"b": b"\b", b"f": b"\f", b"v": b"\v"}
_DEPTH = 100
_OPENING = {"{": "}", "<": ">"}
_WORDS = {"true": 1, "false": 0, "DT_STRING": 7}
"""Words that stand for numbers; of the enumerations only what readers act on."""


def encode(text: str, schema: Schema, check_time: Callable[[], None]) -> bytes:
    """The message in wire form; raises `Malformed`."""
    return _Parser(text, check_time).message(schema, "", 0)


class _Parser:
    def __init__(self, text: str, check_time: Callable[[], None]) -> None:
        self._text = text
        self._position = 0
        self._check_time = check_time
        self._read = 0
        self._kind, self._token = "", ""
        self._next()

    def _next(self) -> None:
        """Step to the next token; at the end, to one of kind `end`."""
        self._read += 1
        if self._read % 4096 == 0:
            self._check_time()
        while self._position < len(self._text):
            match = _TOKEN.match(self._text, self._position)
            if match is None:
                raise Malformed(f"unexpected {self._text[self._position]!r} at {self._position}")
            self._position = match.end()
            if match.lastgroup:
                self._kind, self._token = match.lastgroup, match[0]
                return
        self._kind, self._token = "end", ""

    def message(self, schema: Schema, closing: str, depth: int) -> bytes:
        """Fields up to the closing mark, or to the end."""
        if depth > _DEPTH:
            raise Malformed("messages nested too deep")
        out = bytearray()
        while not (self._kind == "end" if not closing else self._token == closing and self._kind == "mark"):
            self._field(schema, out, depth)
        self._next()
        return bytes(out)

    def _field(self, schema: Schema, out: bytearray, depth: int) -> None:
        if self._token == "[" and self._kind == "mark":  # an extension, or the type of an `Any`
            while self._token != "]":
                if self._kind == "end":
                    raise Malformed("a name without end")
                self._next()
            name = ""
        elif self._kind == "word":
            name = self._token
        else:
            raise Malformed(f"a field's name is missing before {self._token[:40]!r}")
        self._next()
        entry = schema.get(name)
        if self._token == ":" and self._kind == "mark":
            self._next()
        if self._token == "[" and self._kind == "mark":
            self._next()
            while not (self._token == "]" and self._kind == "mark"):
                self._value(entry, out, depth)
            self._next()
        else:
            self._value(entry, out, depth)

    def _value(self, entry: "int | tuple[int, Schema] | None", out: bytearray, depth: int) -> None:
        number: int | None
        inner: Schema
        number, inner = entry if isinstance(entry, tuple) else (entry, {})
        if self._kind == "mark" and self._token in _OPENING:
            closing = _OPENING[self._token]
            self._next()
            data = self.message(inner, closing, depth + 1)
            if isinstance(entry, tuple):
                _write(out, entry[0], data)
        elif self._kind == "text":
            parts = []
            while self._kind == "text":
                parts.append(_unescaped(self._token[1:-1]))
                self._next()
            if number is not None:
                _write(out, number, b"".join(parts))
        elif self._kind == "word":
            if number is not None and (value := _number(self._token)) is not None:
                _write(out, number, value)
            self._next()
        else:
            raise Malformed(f"a value is missing before {self._token[:40]!r}")


def _unescaped(text: str) -> bytes:
    def plain(match: re.Match[bytes]) -> bytes:
        if match[1] is not None:
            return bytes((int(match[1], 8) & 0xFF,))
        if match[2] is not None:
            return bytes((int(match[2], 16),))
        if match[3] is not None or match[4] is not None:
            code = int(match[3] or match[4], 16)
            return chr(code).encode("utf-8", "surrogatepass") if code < 0x110000 else b""
        return _PLAIN.get(match[5], match[5])

    return _ESCAPE.sub(plain, text.encode("utf-8", "surrogateescape"))


def _number(word: str) -> int | None:
    """The whole number that a word stands for; `None` for floats and for names of enumerations."""
    if word in _WORDS:
        return _WORDS[word]
    try:
        return int(word, 0) if len(word) < 40 else None
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
