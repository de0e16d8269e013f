"""HTTP as an index client needs it: connections kept open, bounded in size and time, tried again when that may help."""

import base64
import contextlib
import functools
import http.client
import socket
import ssl
import threading
import time
import urllib.parse
import urllib.request
import zlib
from typing import TYPE_CHECKING

import msgspec

from garrison.dependencies.index.address import Address, loopback, masked
from garrison.dependencies.index.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_CONNECT_SECONDS = 10
_REQUEST_SECONDS = 60
_TRIES = 3
_BACKOFF_SECONDS = 0.4
_LONGEST_WAIT = 10
_REDIRECTS = 5
_CHUNK = 1 << 16


class Answer(msgspec.Struct, frozen=True):
    status: int
    url: str
    """Where it came from in the end."""
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes


class Transport:
    """Connections to an index and to where its files are, kept open from one request to the next.

    Credentials go to the index's own host only. An index that is asked over https is never left for plain http, and
    one that is not on this machine cannot send garrison to this machine.
    """

    def __init__(self, address: Address, *, deadline: "Callable[[], float]", seconds: float = _REQUEST_SECONDS) -> None:
        self._address = address
        self._home = urllib.parse.urlsplit(address.url)
        self._deadline = deadline
        self._seconds = seconds
        self._idle: dict[tuple[str, str], list[_Connection]] = {}
        self._busy: set[_Connection] = set()
        self._lock = threading.Lock()
        self.requests = 0
        self.bytes = 0

    def get(self, url: str, headers: "Mapping[str, str]", limit: int) -> Answer:
        """Fetch, following redirects. Raises `Unavailable`; any status that the server means is an answer."""
        for _ in range(_REDIRECTS):
            self._allow(url)
            answer = self._patiently(url, headers, limit)
            target = answer.headers.get("location")
            if answer.status not in (301, 302, 303, 307, 308) or not target:
                return answer
            url = urllib.parse.urljoin(url, target)
        raise Unavailable(f"{masked(url)} redirects more than {_REDIRECTS} times")

    def close(self) -> None:
        """Break off whatever is under way, and let go of all connections."""
        with self._lock:
            for connection in self._busy:
                connection.shut()
            idle = [one for kept in self._idle.values() for one in kept]
            self._idle.clear()
        for connection in idle:
            connection.http.close()

    def __del__(self) -> None:
        self.close()

    def _allow(self, url: str) -> None:
        try:
            parts = urllib.parse.urlsplit(url)
            host, _ = parts.hostname or "", parts.port
        except ValueError:
            raise Unavailable(f"{masked(url)} is no address") from None
        if parts.scheme not in ("http", "https") or not host:
            raise Unavailable(f"{masked(url)} is no http or https address")
        if parts.scheme == "http" and self._home.scheme == "https":
            raise Unavailable(f"{masked(url)} is plain http, and the index is not")
        if loopback(host) and not loopback(self._address.host):
            raise Unavailable(f"{masked(url)} is on this machine, and the index is not")

    def _patiently(self, url: str, headers: "Mapping[str, str]", limit: int) -> Answer:
        wait = _BACKOFF_SECONDS
        for attempt in range(1, _TRIES + 1):
            try:
                answer = self._once(url, headers, limit)
            except (OSError, http.client.HTTPException, zlib.error) as error:
                # A certificate that is not trusted, a name that is not known and a long answer stay so.
                final = isinstance(error, ssl.SSLCertVerificationError | socket.gaierror | _TooLong)
                if final or attempt == _TRIES or self._left() <= wait:
                    raise Unavailable(f"{masked(url)}: {_said(error)}") from None
            else:
                if answer.status not in (429, 500, 502, 503, 504) or attempt == _TRIES or self._left() <= wait:
                    return answer
                asked = answer.headers.get("retry-after", "")
                wait = min(max(wait, int(asked) if asked.isdecimal() else 0), _LONGEST_WAIT)
            time.sleep(min(wait, max(0.0, self._left())))
            wait *= 2
        raise AssertionError

    def _left(self) -> float:
        return self._deadline() - time.monotonic()

    def _once(self, url: str, headers: "Mapping[str, str]", limit: int) -> Answer:
        until = time.monotonic() + min(self._seconds, self._left())
        if until <= time.monotonic():
            raise TimeoutError("the time for the index is used up")
        parts = urllib.parse.urlsplit(url)
        with self._connection(parts) as connection:
            target = urllib.parse.urlunsplit(("", "", parts.path or "/", parts.query, "")) if connection.direct else url
            sent = {"User-Agent": _agent(), "Accept-Encoding": "gzip", **headers, **self._credentials(parts)}
            # The timeout of a socket starts anew with each byte; a timer breaks off a server that drips.
            watch = threading.Timer(until - time.monotonic(), connection.shut)
            watch.daemon = True
            watch.start()
            try:
                connection.http.request("GET", target, headers=sent)
                response = connection.http.getresponse()
                body = self._body(response, limit, until)
            except (http.client.HTTPException, OSError):
                if time.monotonic() >= until:
                    raise TimeoutError("no answer in time") from None
                raise
            finally:
                watch.cancel()
            connection.reusable = not response.will_close
        found = {name.lower(): value for name, value in response.getheaders()}
        self.requests += 1
        self.bytes += len(body)
        if found.get("content-encoding", "").lower() == "gzip":
            body = _unzipped(body, limit)
        return Answer(response.status, url, found, body)

    @staticmethod
    def _body(response: http.client.HTTPResponse, limit: int, until: float) -> bytes:
        parts: list[bytes] = []
        size = 0
        while data := response.read(_CHUNK):
            size += len(data)
            if size > limit:
                raise _TooLong(f"the answer is longer than {limit} bytes")
            if time.monotonic() > until:
                raise TimeoutError("no answer in time")
            parts.append(data)
        return b"".join(parts)

    def _credentials(self, parts: urllib.parse.SplitResult) -> dict[str, str]:
        mine = (parts.scheme, parts.hostname, parts.port) == (self._home.scheme, self._home.hostname, self._home.port)
        if not mine or not (self._address.user or self._address.password):
            return {}
        pair = f"{self._address.user}:{self._address.password}".encode()
        return {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}

    @contextlib.contextmanager
    def _connection(self, parts: urllib.parse.SplitResult) -> "Iterator[_Connection]":
        """One to the address, for one request; kept for the next if that leaves it in order."""
        key = (parts.scheme, parts.netloc)
        with self._lock:
            kept = self._idle.setdefault(key, [])
            connection = kept.pop() if kept else self._connect(parts)
            connection.reusable = False
            self._busy.add(connection)
        try:
            yield connection
        finally:
            with self._lock:
                self._busy.discard(connection)
                if connection.reusable:
                    self._idle.setdefault(key, []).append(connection)
            if not connection.reusable:
                connection.http.close()

    def _connect(self, parts: urllib.parse.SplitResult) -> "_Connection":
        host, port = parts.hostname or "", parts.port
        through = _proxy(parts.scheme, host)
        if parts.scheme == "https":
            context = _context(self._address.certificates)
            if through is None:
                return _Connection(http.client.HTTPSConnection(host, port, timeout=_CONNECT_SECONDS, context=context))
            secure = http.client.HTTPSConnection(
                through.hostname or "", through.port or 8080, timeout=_CONNECT_SECONDS, context=context
            )
            secure.set_tunnel(host, port, headers=_proxy_credentials(through))
            return _Connection(secure)
        if through is None:
            return _Connection(http.client.HTTPConnection(host, port, timeout=_CONNECT_SECONDS))
        plain = http.client.HTTPConnection(through.hostname or "", through.port or 8080, timeout=_CONNECT_SECONDS)
        return _Connection(plain, direct=False)


class _TooLong(http.client.HTTPException):
    pass


class _Connection:
    """To a host, or to a proxy that wants whole addresses (`direct` is not set)."""

    def __init__(self, connection: http.client.HTTPConnection, *, direct: bool = True) -> None:
        self.http = connection
        self.direct = direct
        self.reusable = False

    def shut(self) -> None:
        """Wake whoever waits for it, from any thread."""
        if self.http.sock is not None:
            with contextlib.suppress(OSError):
                self.http.sock.shutdown(socket.SHUT_RDWR)


def _unzipped(body: bytes, limit: int) -> bytes:
    unpacker = zlib.decompressobj(16 + zlib.MAX_WBITS)
    data = unpacker.decompress(body, limit + 1)
    if len(data) > limit:
        raise _TooLong(f"the answer is longer than {limit} bytes")
    return data


@functools.cache
def _context(certificates: str) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if certificates:
        context.load_verify_locations(certificates)
    return context


def _proxy(scheme: str, host: str) -> urllib.parse.SplitResult | None:
    if loopback(host) or urllib.request.proxy_bypass(host):
        return None
    proxies = urllib.request.getproxies()
    found = proxies.get(scheme) or proxies.get("all")
    if not found:
        return None
    return urllib.parse.urlsplit(found if "://" in found else f"http://{found}")


def _proxy_credentials(proxy: urllib.parse.SplitResult) -> dict[str, str]:
    if not proxy.username:
        return {}
    pair = f"{urllib.parse.unquote(proxy.username)}:{urllib.parse.unquote(proxy.password or '')}".encode()
    return {"Proxy-Authorization": f"Basic {base64.b64encode(pair).decode()}"}


@functools.cache
def _agent() -> str:
    from garrison import __version__

    return f"garrison/{__version__}"


def _said(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return str(error) if str(error) and "timed out" not in str(error) else "no answer in time"
    if isinstance(error, socket.gaierror):
        return "its host's name is not known here"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__
