"""Credentials in text, by the shapes that their issuers give them.

Only what has a prefix, a fixed shape or a name before it is looked for, so that hashes, vocabularies and identifiers
stay silent. What a checksum or a placeholder betrays as no credential is left out.
"""

import base64
import binascii
import functools
import math
import os
import re
import zlib
from collections.abc import Iterator

import msgspec

from garrison.core.facts import Secret
from garrison.sources.source import Context, Extracted, Source

_LONGEST = 8 << 20
"""Bytes of one text that are searched; larger ones are vocabularies and tables."""
_MOST = 50
_BASE62 = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_PLACEHOLDER = re.compile(
    rb"example|x{4}|\*{3}|\.{3}|your[_\-]?|dummy|placeholder|changeme|redacted|insert|abcdefgh|12345678|01234567|"
    rb"98765432|deadbeef|(.)\1{5}|(..)\2{4}",
    re.IGNORECASE | re.DOTALL,
)
_WEAK = frozenset(
    {"password", "pass", "passwd", "pwd", "secret", "user", "username", "root", "admin", "test", "guest", "token"}
    | {"postgres", "mysql", "key", "apikey", "api_key", "my-secret-pw", "mysecretpassword", "hunter2", "letmein"}
)
_FAMOUS = frozenset({("scott", "tiger")})
"""Users and passwords of documentation that everybody knows: Oracle's example account."""
_LOCAL = frozenset({"localhost", "127.0.0.1", "0.0.0.0", "host.docker.internal"})
_RESERVED = (".example", ".invalid", ".test", ".localhost", ".local", "example.com", "example.org", "example.net")
_KEYS = (b"MI", b"MC", b"MF", b"MG", b"MH", b"b3BlbnNzaC1rZXktdjE")
"""How base64 of a DER sequence or of OpenSSH's format begins."""


class Shape(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One kind of credential."""

    what: str
    anchors: tuple[str, ...]
    """Texts of which one must be there before the pattern is tried."""
    pattern: str
    reason: str
    reference: str
    check: str = ""
    doubtful: bool = False
    """Often no secret by itself, or no longer one."""
    secret_is_password: bool = False
    """Nothing of it may be shown."""


@functools.cache
def shapes() -> tuple[Shape, ...]:
    """All kinds that are looked for."""
    with open(os.path.join(os.path.dirname(__file__), "knowledge", "secrets.json"), "rb") as file:
        return msgspec.json.decode(file.read(), type=tuple[Shape, ...])


@functools.cache
def _anchors() -> tuple[tuple[Shape, tuple[bytes, ...]], ...]:
    return tuple((shape, tuple(anchor.encode() for anchor in shape.anchors)) for shape in shapes())


@functools.cache
def _compiled(pattern: str) -> re.Pattern[bytes]:
    return re.compile(rb"(?<![A-Za-z0-9_\-])(?:" + pattern.encode() + rb")(?![A-Za-z0-9_\-])")


def search(source: Source, context: Context) -> Extracted:
    """Credentials in a text, with the lines that they stand on."""
    yield from find(source.reader.pread(0, _LONGEST))


def find(data: bytes, place: str = "") -> Iterator[Secret]:
    """Credentials in some bytes of text. Without a `place` each has its line."""
    seen: set[bytes] = set()
    for shape, anchors in _anchors():
        if not any(anchor in data for anchor in anchors):
            continue
        for match in _compiled(shape.pattern).finditer(data):
            secret = match[match.lastindex or 0]
            if secret in seen or not _holds(shape.check, secret):
                continue
            seen.add(secret)
            line = data.count(b"\n", 0, match.start()) + 1
            yield Secret(what=shape.what, masked=_masked(shape, secret), place=place or f"line {line}")
            if len(seen) >= _MOST:
                return


def _masked(shape: Shape, secret: bytes) -> str:
    if shape.secret_is_password or shape.check == "pem":
        return "…"
    shown = secret[: min(6, len(secret) // 4)].decode("ascii", "replace")
    return f"{shown}… ({len(secret)} characters)"


def _holds(check: str, secret: bytes) -> bool:
    """Whether it could be a credential in use."""
    if check == "url":
        return _in_address(secret)
    if check == "pem":
        return _is_key(secret)
    if check == "basic":
        return _is_basic(secret)
    if _PLACEHOLDER.search(secret) or _entropy(secret) < 2.7:
        return False
    if check == "crc":
        return _checksum_holds(secret)
    return check != "jwt" or _is_token(secret)


def _checksum_holds(token: bytes) -> bool:
    """The last six characters are the CRC-32 of the thirty before them, in base 62."""
    value = zlib.crc32(token[-36:-6])
    digits = bytearray()
    while value:
        value, digit = divmod(value, 62)
        digits.append(_BASE62[digit])
    return bytes(reversed(digits)).rjust(6, b"0") == token[-6:]


def _entropy(data: bytes) -> float:
    """Bits for each byte, from how often each occurs."""
    counts = [data.count(byte) for byte in set(data)]
    return -sum(count / len(data) * math.log2(count / len(data)) for count in counts)


def _in_address(credentials: bytes) -> bool:
    """Name and password for a host elsewhere, none of them a placeholder."""
    login, _, host = credentials.decode("utf-8", "replace").rpartition("@")
    user, _, password = login.partition(":")
    host = host.lower()
    if host in _LOCAL or "." not in host or host.endswith(_RESERVED):
        return False
    plain = password.lower()
    if (user.lower(), plain) in _FAMOUS:
        return False
    return plain not in _WEAK and plain != user.lower() and _no_placeholder(password) and len(set(password)) > 3


def _no_placeholder(text: str) -> bool:
    return not _PLACEHOLDER.search(text.encode()) and not text.startswith(("$", "%", "{", "<", "["))


def _is_key(body: bytes) -> bool:
    """Base64 that begins as an unencrypted key does, and is not a line repeated for show."""
    text = re.sub(rb"\\[nr]|\s", b"", body)
    return text.startswith(_KEYS) and not _PLACEHOLDER.search(text[:200]) and _entropy(text) > 4


def _is_basic(text: bytes) -> bool:
    try:
        user, separator, password = base64.b64decode(text, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return False
    return (
        bool(user and separator) and password.lower() not in _WEAK and _no_placeholder(password) and len(password) > 5
    )


def _is_token(token: bytes) -> bool:
    head = token.split(b".")[0]
    try:
        fields = msgspec.json.decode(base64.urlsafe_b64decode(head + b"=" * (-len(head) % 4)))
    except (binascii.Error, ValueError, msgspec.DecodeError):
        return False
    return isinstance(fields, dict) and "alg" in fields and str(fields["alg"]).lower() != "none"
