"""HTTP as an index client needs it: connections kept open, bounded in size and time, tried again when that may help."""

import contextlib
import http.client
import socket
import ssl
import threading
import time
import urllib.parse
import zlib
from typing import TYPE_CHECKING

import msgspec

from garrison.dependencies.index.address import Address
from garrison.dependencies.index.errors import Unavailable
from garrison.sources.connections import REDIRECTS, allowed, basic, connect, masked, said, target, user_agent

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
            location = answer.headers.get("location")
            if answer.status not in REDIRECTS or not location:
                return answer
            try:
                url = urllib.parse.urljoin(url, location)
            except ValueError:
                raise Unavailable(f"{masked(url)} leads to {location[:100]!r}, which is no address") from None
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
            parts = allowed(url, self._address.host, "index")
        except ValueError as error:
            raise Unavailable(str(error)) from None
        if parts.scheme == "http" and self._home.scheme == "https":
            raise Unavailable(f"{masked(url)} is plain http, and the index is not")

    def _patiently(self, url: str, headers: "Mapping[str, str]", limit: int) -> Answer:
        wait = _BACKOFF_SECONDS
        for attempt in range(1, _TRIES + 1):
            try:
                answer = self._once(url, headers, limit)
            except (OSError, http.client.HTTPException, zlib.error) as error:
                # A certificate that is not trusted, a name that is not known and a long answer stay so.
                final = isinstance(error, ssl.SSLCertVerificationError | socket.gaierror | _TooLong)
                if final or attempt == _TRIES or self._left() <= wait:
                    raise Unavailable(f"{masked(url)}: {said(error)}") from None
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
            sent = {"User-Agent": user_agent(), "Accept-Encoding": "gzip", **headers, **self._credentials(parts)}
            # The timeout of a socket starts anew with each byte; a timer breaks off a server that drips.
            watch = threading.Timer(until - time.monotonic(), connection.shut)
            watch.daemon = True
            watch.start()
            try:
                connection.http.request("GET", target(parts, connection.direct), headers=sent)
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
        return {"Authorization": basic(self._address.user, self._address.password)}

    @contextlib.contextmanager
    def _connection(self, parts: urllib.parse.SplitResult) -> "Iterator[_Connection]":
        """One to the address, for one request; kept for the next if that leaves it in order."""
        key = (parts.scheme, parts.netloc)
        with self._lock:
            kept = self._idle.setdefault(key, [])
            connection = kept.pop() if kept else self._new(parts)
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

    def _new(self, parts: urllib.parse.SplitResult) -> "_Connection":
        connection, direct = connect(parts, _CONNECT_SECONDS, self._address.certificates)
        return _Connection(connection, direct)


class _TooLong(http.client.HTTPException):
    pass


class _Connection:
    """To a host, or to a proxy that wants whole addresses (`direct` is not set)."""

    def __init__(self, connection: http.client.HTTPConnection, direct: bool) -> None:
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
