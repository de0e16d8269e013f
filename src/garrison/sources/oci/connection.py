"""One request at a time over HTTP, with an end to everything: time, bytes, redirects, tries."""

import contextlib
import http.client
import socket
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator, Mapping

import msgspec

from garrison.core.errors import GarrisonError
from garrison.sources.connections import REDIRECTS, allowed, connect, loopback, masked, said, target, user_agent

_CONNECT_SECONDS = 20.0
_STALL_SECONDS = 60.0
"""How long a server may send nothing."""
_REDIRECTS = 5
_CHUNK = 1 << 18


class Unreachable(GarrisonError):
    """A registry did not give what it was asked for; the text says which and why."""


class Head(msgspec.Struct, frozen=True):
    status: int
    url: str
    headers: dict[str, str]
    """Names in lower case."""


class Exchange:
    """An answer whose body is read piece by piece."""

    def __init__(self, head: Head, response: http.client.HTTPResponse, until: float) -> None:
        self.head = head
        self._response = response
        self._until = until

    def chunks(self) -> Iterator[bytes]:
        """The body. Raises `OSError` or `http.client.HTTPException` where it breaks off or takes too long."""
        while data := self._response.read(_CHUNK):
            yield data
            if time.monotonic() > self._until:
                raise TimeoutError("it takes too long")

    def body(self, limit: int) -> bytes:
        data = self._response.read(limit + 1)
        if len(data) > limit:
            raise Unreachable(f"{masked(self.head.url)} answers with more than {limit} bytes")
        return data


@contextlib.contextmanager
def ask(
    url: str,
    headers: Mapping[str, str],
    seconds: float,
    authorization: Callable[[str], Mapping[str, str]],
    *,
    method: str = "GET",
    body: bytes | None = None,
) -> Iterator[Exchange]:
    """Ask an address, and follow where it redirects to; what sends something is not sent on.

    `authorization` is asked for the headers that an address may be sent. Raises `Unreachable`.
    """
    first = urllib.parse.urlsplit(url)
    until = time.monotonic() + seconds
    for _ in range(_REDIRECTS + 1):
        parts = _checked(url, first)
        connection, direct = connect(parts, _CONNECT_SECONDS)
        # The timeout of a socket starts anew with each byte; the timer breaks off a server that drips.
        watch = threading.Timer(max(0.1, until - time.monotonic()), _shut, [connection])
        watch.daemon = True
        watch.start()
        try:
            sent = {"User-Agent": user_agent(), "Accept-Encoding": "identity", **headers, **authorization(url)}
            connection.request(method, target(parts, direct), body=body, headers=sent)
            if connection.sock is not None:
                connection.sock.settimeout(_STALL_SECONDS)
            response = connection.getresponse()
            told = {name.lower(): value for name, value in response.getheaders()}
            if method == "GET" and response.status in REDIRECTS and "location" in told:
                url = joined(url, told["location"])
                continue
            yield Exchange(Head(response.status, url, told), response, until)
            return
        except (OSError, http.client.HTTPException) as error:
            late = time.monotonic() >= until
            raise Unreachable(f"{masked(url)}: {'it takes too long' if late else said(error)}") from None
        finally:
            watch.cancel()
            connection.close()
    raise Unreachable(f"{masked(url)} redirects more than {_REDIRECTS} times")


def joined(url: str, place: str) -> str:
    """Where a place leads to that was named by what the address gave. Raises `Unreachable` where that is nowhere."""
    try:
        return urllib.parse.urljoin(url, place)
    except ValueError:
        raise Unreachable(f"{masked(url)} leads to {place[:100]!r}, which is no address") from None


def _checked(url: str, first: urllib.parse.SplitResult) -> urllib.parse.SplitResult:
    """Plain http and this machine are only for who was asked so."""
    try:
        parts = allowed(url, first.hostname or "", "registry")
        url.encode("ascii")
        (parts.hostname or "").encode("idna")  # labels that no name server knows
    except UnicodeError:
        raise Unreachable(f"{masked(url)[:300]} is no address") from None
    except ValueError as error:
        raise Unreachable(str(error)) from None
    if not url.isprintable() or " " in url:
        raise Unreachable(f"{masked(url)[:300]} is no address")
    if parts.scheme == "http" and not loopback(parts.hostname or ""):
        raise Unreachable(f"{masked(url)} is plain http")
    return parts


def _shut(connection: http.client.HTTPConnection) -> None:
    if connection.sock is not None:
        with contextlib.suppress(OSError):
            connection.sock.shutdown(socket.SHUT_RDWR)
