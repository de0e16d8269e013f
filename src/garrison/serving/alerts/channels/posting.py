"""HTTP POST to an address that a person configured: verified, without redirects, with an end."""

import http.client
import ssl
import urllib.parse
from collections.abc import Mapping

from garrison.core.errors import UsageError
from garrison.sources.connections import loopback, masked, said, user_agent

_ANSWER_BYTES = 1 << 16


class Undelivered(Exception):
    """What was to be told did not arrive; the text shows no secret."""

    def __init__(self, message: str, *, lasting: bool = False) -> None:
        super().__init__(message)
        self.lasting = lasting
        """Whether trying again is in vain."""


def address_of(address: str) -> urllib.parse.SplitResult:
    """The parts of an address that may be posted to. Raises `UsageError` for others.

    What leaves this machine is encrypted.
    """
    try:
        parts = urllib.parse.urlsplit(address)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        raise UsageError(f"{masked(address)} is no address") from None
    if parts.scheme not in ("http", "https") or not host:
        raise UsageError(f"{masked(address)} is no http or https address")
    if not (address.isascii() and address.isprintable()) or " " in address or parts.username is not None:
        raise UsageError(f"{masked(address)}: no address that alerts can be sent to")
    if parts.scheme == "http" and not loopback(host):
        raise UsageError(f"{masked(address)}: alerts leave this machine by https only")
    return parts


def post(address: str, body: bytes, headers: Mapping[str, str], *, timeout: float, authorities: str = "") -> None:
    """Send, and hear that it was taken. Raises `Undelivered`."""
    parts = address_of(address)
    host, port = parts.hostname or "", parts.port
    shown = f"{parts.scheme}://{parts.netloc}"
    if parts.scheme == "https":
        context = ssl.create_default_context(cafile=authorities or None)
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(
            host, port, timeout=timeout, context=context
        )
    else:
        connection = http.client.HTTPConnection(host, port, timeout=timeout)
    try:
        target = urllib.parse.urlunsplit(("", "", parts.path or "/", parts.query, ""))
        connection.request("POST", target, body, {"User-Agent": user_agent(), **headers})
        with connection.getresponse() as response:
            response.read(_ANSWER_BYTES)
    except (OSError, http.client.HTTPException) as error:
        raise Undelivered(f"{shown} does not answer: {said(error)}") from None
    finally:
        connection.close()
    if not 200 <= response.status < 300:
        lasting = 300 <= response.status < 500 and response.status not in (408, 429)
        raise Undelivered(f"{shown} answers {response.status}", lasting=lasting)
