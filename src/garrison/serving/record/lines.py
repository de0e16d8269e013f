"""How lines hang together: each carries its number and the SHA-256 of the line before, over its bytes as they are."""

import hashlib
import re
from collections.abc import Iterator
from typing import IO, NamedTuple

import msgspec

MOST = 1 << 20
"""How long a line may be, in bytes; the writer bounds everything that it is told far below."""
GENESIS = b"0" * 64
"""What stands for the hash of a line before the first."""

_HEAD = re.compile(rb'\{"n":([1-9][0-9]{0,17}),"previous":"([0-9a-f]{64})","kind":"([a-z]{1,32})","time":')


class Broken(Exception):
    """A line that cannot be in its place; the text says why."""


class Unlinked(Broken):
    """A line that was written behind another than the one before it."""


class Position(NamedTuple):
    """Where a chain is: the number and the hash of its last line."""

    n: int
    hash: bytes
    """In hexadecimal."""


class _Timed(msgspec.Struct):
    time: float


_DECODER = msgspec.json.Decoder(_Timed)


class Head(NamedTuple):
    """What is read of every line."""

    n: int
    previous: bytes
    kind: bytes
    time: float


def line(position: Position, entry: bytes) -> bytes:
    """The line, without its end, that an entry makes behind a position."""
    return b'{"n":%d,"previous":"%b",%b' % (position.n + 1, position.hash, entry[1:])


def after(position: Position, line: bytes) -> Position:
    """Where the chain is with one more line."""
    return Position(position.n + 1, hashlib.sha256(line).hexdigest().encode())


def head(line: bytes) -> Head:
    """Raises `Broken` for what is no line of a log."""
    found = _HEAD.match(line)
    if found is None:
        raise Broken("it is no line of an audit log")
    try:
        timed = _DECODER.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Broken("it is no valid JSON") from None
    return Head(int(found[1]), found[2], found[3], timed.time)


def follow(position: Position, line: bytes) -> tuple[Head, Position]:
    """What a line says, and where the chain is with it. Raises `Broken`, or `Unlinked`, where it does not follow."""
    said = head(line)
    if said.n != position.n + 1:
        raise Broken(f"its number is {said.n}, where {position.n + 1} comes next")
    if said.previous != position.hash:
        raise Unlinked("the line before it is not the one that it was written behind")
    return said, after(position, line)


def read(file: IO[bytes]) -> Iterator[tuple[bytes, bool]]:
    """The lines of a file without their ends, and whether each has one. Raises `Broken` for one that is too long."""
    while data := file.readline(MOST + 1):
        if data.endswith(b"\n"):
            yield data[:-1], True
        elif len(data) > MOST:
            raise Broken(f"it is longer than {MOST:,} bytes")
        else:
            yield data, False
