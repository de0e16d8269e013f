"""Which headers may come, which go on to a server, and which come back.

Both ways are lists of what passes. Credentials, cookies, what concerns the connection (RFC 9110, 7.6.1) and whatever
nobody thought of stay here.
"""

import functools
import os
import re
from collections.abc import Iterable, Mapping

import msgspec

from garrison.serving.refusals import Reason, Refused

_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}")
_HOST = re.compile(r"[A-Za-z0-9._-]{1,255}(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](:[0-9]{1,5})?")
_TRACE_PARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


class _Lists(msgspec.Struct, frozen=True):
    lists: frozenset[str]
    to_server: tuple[str, ...]
    to_caller: frozenset[str]


with open(os.path.join(os.path.dirname(__file__), "headers.json"), "rb") as _file:
    _LISTS = msgspec.json.decode(_file.read(), type=_Lists)
_REPEATABLE = _LISTS.lists
_TO_SERVER = _LISTS.to_server
_TO_CALLER = frozenset(name.encode() for name in _LISTS.to_caller)


def read(pairs: Iterable[tuple[bytes, bytes]], *, most: int, most_bytes: int) -> dict[str, str]:
    """The headers of a request by their names in lower case. `most` and `most_bytes` bound them.

    Raises `Refused` for names that are no tokens, for values with anything but printable ASCII, for a header that came
    twice and is no list, and for what this server does not do (upgrades, encodings of bodies, transfer encodings).
    """
    headers: dict[str, str] = {}
    count = size = 0
    for raw_name, raw_value in pairs:
        count += 1
        size += len(raw_name) + len(raw_value)
        name = _name(raw_name)
        try:
            value = raw_value.decode("ascii").strip(" \t")
        except UnicodeDecodeError:
            raise Refused(Reason.MALFORMED, "a header has bytes that are no ASCII") from None
        if not value.isprintable():
            raise Refused(Reason.MALFORMED, "a header has control characters")
        if name in headers:
            if name not in _REPEATABLE:
                raise Refused(Reason.MALFORMED, "a header came twice that may come once")
            value = f"{headers[name]}{'; ' if name == 'cookie' else ', '}{value}"
        headers[name] = value
    if count > most or size > most_bytes:
        raise Refused(Reason.TOO_LARGE, "the request has too many headers, or too long ones")
    if not _HOST.fullmatch(headers.get("host", "")):
        raise Refused(Reason.MALFORMED, "the request names no host, or not a valid one")
    if "upgrade" in headers:
        raise Refused(Reason.MALFORMED, "the connection cannot be upgraded")
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise Refused(Reason.MEDIA_TYPE, "bodies with a content encoding are not accepted")
    if headers.get("transfer-encoding", "chunked").lower() != "chunked":
        raise Refused(Reason.MALFORMED, "no transfer encoding but chunked is accepted")
    if headers.get("expect", "100-continue").lower() != "100-continue":
        raise Refused(Reason.MALFORMED, "the expectation cannot be met")
    return headers


def length(headers: Mapping[str, str]) -> int | None:
    """The length of the body that the headers declare, in bytes; `None` where they declare none. Raises `Refused`."""
    declared = headers.get("content-length")
    if declared is None:
        return None
    if "transfer-encoding" in headers or not (declared.isascii() and declared.isdigit() and len(declared) < 19):
        raise Refused(Reason.MALFORMED, "the length of the body is declared in two ways, or in none that is valid")
    return int(declared)


def to_server(headers: Mapping[str, str], identifier: str, trace: str = "") -> str:
    """The lines of the headers that a server is sent, those that concern the connection and the body aside.

    `trace` is the guard's own `traceparent`; without one the caller's goes on, if it is valid.
    """
    lines = f"x-request-id: {identifier}\r\n"
    for name in _TO_SERVER:
        value = headers.get(name)
        if value is not None:
            lines += f"{name}: {value}\r\n"
    if not trace:
        came = headers.get("traceparent")
        if came is not None and _TRACE_PARENT.fullmatch(came):
            trace = came
    if trace:
        lines += f"traceparent: {trace}\r\n"
    return lines


def to_caller(pairs: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Those of a server's headers, with names in lower case, that a caller may see. Raises `Refused`."""
    passed: dict[bytes, bytes] = {}
    for name, value in pairs:
        if name in _TO_CALLER:
            if name in passed or not (value.isascii() and value.decode("ascii").isprintable()):
                raise Refused(Reason.BACKEND, "the model server's answer cannot be read")
            passed[name] = value
    return list(passed.items())


@functools.lru_cache(512)
def _name(raw: bytes) -> str:
    if not _TOKEN.fullmatch(raw):
        raise Refused(Reason.MALFORMED, "the name of a header is not valid")
    return raw.decode("ascii").lower()
