"""The tokens of Protocol Buffers as text, and what the escapes in its strings stand for.

Source: https://protobuf.dev/reference/protobuf/textformat-spec/
"""

import re
from collections.abc import Callable

from garrison.core.errors import Malformed

_TOKEN = re.compile(
    r"""(?:[\s,;]|\#[^\n]*+)*+(?:(?P<text>"(?:[^"\\\n]|\\.)*+"|'(?:[^'\\\n]|\\.)*+')
    |(?P<word>-\s*[\w.+\-]*|[\w.+][\w.+\-]*)|(?P<mark>[{}<>\[\]:/])|(?P<end>\Z))""",
    re.DOTALL | re.VERBOSE,
)
_ESCAPE = re.compile(rb"\\(?:([0-7]{1,3})|[xX]([0-9a-fA-F]{1,2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))", re.DOTALL)
_PLAIN = {b"n": b"\n", b"t": b"\t", b"r": b"\r", b"a": b"\a", b"b": b"\b", b"f": b"\f", b"v": b"\v"}
CLOSING = {"{": "}", "<": ">"}
"""What ends a message, by what begins it."""


class Tokens:
    """A token of look-ahead: `kind` is `text`, `word`, `mark` or `end`, and `value` is as written."""

    def __init__(self, text: str, check_time: Callable[[], None] | None = None) -> None:
        self._text = text
        self._check_time = check_time
        self._position = self._counted = 0
        self._line = 1
        self.read = 0
        """How many there were so far."""
        self.kind = self.value = ""
        self.advance()

    def advance(self) -> None:
        """Step to the next token. Raises `Malformed`."""
        self.read += 1
        if self._check_time is not None and self.read % 4096 == 0:
            self._check_time()
        match = _TOKEN.match(self._text, self._position)
        if match is None:
            raise Malformed(f"no part of a message at line {self.line()}: {self._text[self._position :][:40]!r}")
        self._position = match.end()
        self.kind = match.lastgroup or "end"
        self.value = match[self.kind]

    def line(self) -> int:
        """The line that the token ends in."""
        self._line += self._text.count("\n", self._counted, self._position)
        self._counted = self._position
        return self._line

    def at(self, mark: str) -> bool:
        """Whether the token is this mark."""
        return self.kind == "mark" and self.value == mark

    def take(self, *marks: str) -> str:
        """Step over the token if it is one of these marks."""
        if self.kind != "mark" or self.value not in marks:
            return ""
        value = self.value
        self.advance()
        return value

    def name(self) -> str:
        """Step over a field's name; that of an extension, or of the type of an `Any`, stays in its brackets."""
        if not self.at("["):
            name = self.value
            if self.kind != "word" or not (name[0].isalpha() or name[0] == "_"):
                raise Malformed(f"a field's name should be at line {self.line()}, not {name[:40]!r}")
            self.advance()
            return name
        parts = []
        while not self.at("]"):
            if self.kind == "end":
                raise Malformed("a name without end")
            parts.append(self.value)
            self.advance()
        self.advance()
        return "".join(parts) + "]"

    def string(self) -> bytes:
        """Step over strings that follow each other, which are one."""
        parts = []
        while self.kind == "text":
            parts.append(_unescaped(self.value[1:-1]))
            self.advance()
        return b"".join(parts)


def _unescaped(text: str) -> bytes:
    return _ESCAPE.sub(_plain, text.encode("utf-8", "surrogateescape"))


def _plain(match: "re.Match[bytes]") -> bytes:
    octal, hexadecimal, short, long, other = match.groups()
    if octal or hexadecimal:
        return bytes((int(octal, 8) & 0xFF if octal else int(hexadecimal, 16),))
    if short or long:
        code = int(short or long, 16)
        return chr(code).encode("utf-8", "surrogatepass") if code < 0x110000 else b""
    return _PLAIN.get(other, other)
