"""One request at a time over HTTP, with an end to everything: time, bytes, redirects, tries."""

import contextlib
import http.client
import socket
import ssl
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping

import msgspec

from garrison.core.errors import GarrisonError
from garrison.dependencies.index.address import loopback, masked

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
def get(
    url: str, headers: Mapping[str, str], seconds: float, authorization: Callable[[str], Mapping[str, str]]
) -> Iterator[Exchange]:
    """Ask for an address, and follow where it redirects to.

    `authorization` is asked for the headers that an address may be sent. Raises `Unreachable`.
    """
    first = urllib.parse.urlsplit(url)
    until = time.monotonic() + seconds
    for _ in range(_REDIRECTS + 1):
        parts = _checked(url, first)
        connection, target = _connect(parts, url)
        # The timeout of a socket starts anew with each byte; the timer breaks off a server that drips.
        watch = threading.Timer(max(0.1, until - time.monotonic()), _shut, [connection])
        watch.daemon = True
        watch.start()
        try:
            sent = {"User-Agent": _agent(), "Accept-Encoding": "identity", **headers, **authorization(url)}
            connection.request("GET", target, headers=sent)
            if connection.sock is not None:
                connection.sock.settimeout(_STALL_SECONDS)
            response = connection.getresponse()
            told = {name.lower(): value for name, value in response.getheaders()}
            if response.status in (301, 302, 303, 307, 308) and "location" in told:
                url = urllib.parse.urljoin(url, told["location"])
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


def _checked(url: str, first: urllib.parse.SplitResult) -> urllib.parse.SplitResult:
    """Plain http and this machine are only for who was asked so."""
    try:
        parts = urllib.parse.urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        raise Unreachable(f"{masked(url)} is no address") from None
    if parts.scheme not in ("http", "https") or not host:
        raise Unreachable(f"{masked(url)} is no http or https address")
    if loopback(host) and not loopback(first.hostname or ""):
        raise Unreachable(f"{masked(url)} is on this machine, and the registry is not")
    if parts.scheme == "http" and not loopback(host):
        raise Unreachable(f"{masked(url)} is plain http")
    return parts


def _connect(parts: urllib.parse.SplitResult, url: str) -> tuple[http.client.HTTPConnection, str]:
    """A connection, through a proxy where the environment names one, and what to ask of it."""
    host, port = parts.hostname or "", parts.port
    target = urllib.parse.urlunsplit(("", "", parts.path or "/", parts.query, ""))
    through = _proxy(parts.scheme, host)
    if parts.scheme == "http":
        if through is None:
            return http.client.HTTPConnection(host, port, timeout=_CONNECT_SECONDS), target
        return http.client.HTTPConnection(through.hostname or "", through.port, timeout=_CONNECT_SECONDS), url
    context = ssl.create_default_context()
    if through is None:
        return http.client.HTTPSConnection(host, port, timeout=_CONNECT_SECONDS, context=context), target
    secure = http.client.HTTPSConnection(
        through.hostname or "", through.port, timeout=_CONNECT_SECONDS, context=context
    )
    secure.set_tunnel(host, port, headers=_proxy_credentials(through))
    return secure, target


def _proxy(scheme: str, host: str) -> urllib.parse.SplitResult | None:
    if loopback(host) or urllib.request.proxy_bypass(host):
        return None
    proxies = urllib.request.getproxies()
    found = proxies.get(scheme) or proxies.get("all")
    return urllib.parse.urlsplit(found if "://" in found else f"http://{found}") if found else None


def _proxy_credentials(proxy: urllib.parse.SplitResult) -> dict[str, str]:
    if not proxy.username:
        return {}
    return basic(
        "Proxy-Authorization", urllib.parse.unquote(proxy.username), urllib.parse.unquote(proxy.password or "")
    )


def basic(header: str, user: str, password: str) -> dict[str, str]:
    import base64

    return {header: f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"}


def _shut(connection: http.client.HTTPConnection) -> None:
    if connection.sock is not None:
        with contextlib.suppress(OSError):
            connection.sock.shutdown(socket.SHUT_RDWR)


def _agent() -> str:
    from garrison import __version__

    return f"garrison/{__version__}"


def said(error: Exception) -> str:
    """An error in a few words."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, socket.gaierror):
        return "its host's name is not known here"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return str(error)[:200] or type(error).__name__
