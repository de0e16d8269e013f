"""What a call brings besides its message, and what goes back with its answer."""

import functools
import ssl
import urllib.parse
from collections.abc import Iterable, Mapping
from typing import Any

from garrison.serving.calls import Peer
from garrison.serving.refusals import Reason, Refused

_LISTS = frozenset({"accept", "accept-encoding", "baggage", "forwarded", "te", "tracestate", "via", "x-forwarded-for"})
"""What may come several times and is a list then."""


def headers(pairs: Iterable[tuple[str, str | bytes]], *, most: int) -> dict[str, str]:
    """Metadata by key; values that are bytes are dropped, as nothing of the guard reads them.

    Raises `Refused` for more than `most` of them, for a key that came twice and is no list, and for values with
    anything but printable ASCII.
    """
    read: dict[str, str] = {}
    count = 0
    for key, value in pairs:
        count += 1
        if count > most:
            raise Refused(Reason.TOO_LARGE, "the request has too much metadata")
        if isinstance(value, bytes):
            continue
        if not (value.isascii() and value.isprintable()):
            raise Refused(Reason.MALFORMED, "metadata has characters that are no printable ASCII")
        if key in read:
            if key not in _LISTS:
                raise Refused(Reason.MALFORMED, "a key of the metadata came twice that may come once")
            value = f"{read[key]}, {value}"
        read[key] = value
    return read


def peer_of(context: Any) -> Peer:
    """Who is at the other end of a call; with the certificate that its TLS has verified, if one was shown."""
    return peer(context.peer(), context.auth_context())


def peer(name: str, authentication: Mapping[str, Iterable[bytes]]) -> Peer:
    """The same: `name` and `authentication` as gRPC gives them."""
    shown = list(authentication.get("x509_pem_cert", ()))
    return Peer(address=_address(name), certificate=_der(shown[0]) if shown else None)


def _address(name: str) -> str:
    kind, _, rest = name.partition(":")
    if kind not in ("ipv4", "ipv6"):
        return ""
    host = rest.rpartition(":")[0]
    return urllib.parse.unquote(host).strip("[]") if kind == "ipv6" else host


@functools.lru_cache(256)
def _der(pem: bytes) -> bytes:
    return ssl.PEM_cert_to_DER_cert(pem.decode("ascii"))
