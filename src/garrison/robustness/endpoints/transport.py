"""Requests to one host, with an end to everything: time, bytes, tries."""

import http.client
import json
import socket
import ssl
import threading
import time
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from garrison.core.errors import GarrisonError, UsageError
from garrison.sources.connections import REDIRECTS, masked, said, user_agent

_BUSY = frozenset({429, 502, 503, 504})
"""Statuses that another try may change."""
_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 30.0
"""In seconds; a server that asks for more by `Retry-After` is asked again after this."""
_EXCERPT = 200
_KEY = 4
"""Letters from which on what a query holds may be a key."""


class EndpointError(GarrisonError):
    """An endpoint did not give what it was asked for."""


class EndpointGone(EndpointError):
    """An endpoint does not answer at all any more, for all the patience that there was."""


@dataclass(frozen=True)
class Patience:
    """How long to wait, and for how much."""

    seconds: float = 30.0
    """For one answer."""
    retry_seconds: float = 120.0
    """For an answer with all tries and the pauses between them."""
    response_bytes: int = 16 << 20


class Host:
    """A connection to one host, kept open between requests.

    Certificates are verified. Redirects are not followed and proxies of the environment are not used: what is
    attacked is what was named.
    """

    def __init__(self, address: str, headers: Mapping[str, str], secrets: tuple[str, ...], patience: Patience) -> None:
        """`secrets` are texts that no message may show. Raises `UsageError` for what is no http or https address."""
        self._heard = False
        """Whether the host has answered anything yet."""
        try:
            parts = urllib.parse.urlsplit(address)
            self._host, self._port = parts.hostname or "", parts.port
        except ValueError:
            raise UsageError(f"{masked(address)} is no address") from None
        if parts.scheme not in ("http", "https") or not self._host:
            raise UsageError(f"{masked(address)} is no http or https address")
        if not _sendable(address) or " " in address:
            raise UsageError(f"{masked(address)!a}: an address has no spaces and only ASCII; write others as %20")
        if parts.username is not None or parts.password is not None:
            raise UsageError(
                f"{masked(address)}: give credentials in a header, from the environment, not in the address"
            )
        for name, value in headers.items():
            if not _sendable(name) or not _sendable(value):
                raise UsageError(f"the header {name!a} holds what no header may hold, such as the end of a line")
        self._secure = parts.scheme == "https"
        self._shown = f"{parts.scheme}://{parts.netloc}"
        self._headers = {"User-Agent": user_agent(), "Accept": "application/json", "Accept-Encoding": "identity"}
        self._headers |= headers
        # A server may say again what it was asked, as it was written or as it was meant.
        values = [pair.partition("=")[2] for pair in parts.query.split("&") if len(pair.partition("=")[2]) >= _KEY]
        secrets += (*values, *map(urllib.parse.unquote_plus, values))
        self._secrets = tuple(sorted({secret for secret in secrets if secret}, key=len, reverse=True))
        self._patience = patience
        self._connection: http.client.HTTPConnection | None = None

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def get(self, target: str) -> Any:
        """The JSON document at a path. Raises `EndpointError`."""
        return self._document("GET", target, None)

    def post(self, target: str, body: bytes) -> Any:
        """The JSON document that a path answers with. Raises `EndpointError`."""
        return self._document("POST", target, body)

    def _document(self, method: str, target: str, body: bytes | None) -> Any:
        data = self._asked(method, target, body)
        try:
            return json.loads(data)
        except (ValueError, RecursionError):
            # A body that is shorter or longer than it said leaves the connection in the middle of something.
            self.close()
            raise EndpointError(f"{self._shown}{_path(target)} answers with no JSON: {self._excerpt(data)}") from None

    def _asked(self, method: str, target: str, body: bytes | None) -> bytes:
        until = time.monotonic() + self._patience.retry_seconds
        pause = _FIRST_PAUSE
        while True:
            wait = pause
            try:
                status, headers, data = self._once(method, target, body, until)
            except (OSError, http.client.HTTPException) as error:
                self.close()
                why = f"{self._shown} does not answer: {said(error)}"
                never = isinstance(error, ConnectionRefusedError) and not self._heard  # nobody is there, or not yet
                if never or isinstance(error, (socket.gaierror, ssl.SSLError)):
                    raise EndpointGone(why) from None
            else:
                self._heard = True
                where = f"{self._shown}{_path(target)}"
                if status == http.client.OK:
                    return data
                if status in REDIRECTS:
                    to = masked(self._printable(headers.get("location", "")))
                    raise EndpointError(f"{where} redirects to {to or 'nowhere'}; give the address that answers itself")
                why = f"{where} answers {status}: {self._excerpt(data)}"
                if status not in _BUSY:
                    raise EndpointError(why)
                wait = max(pause, _asked_pause(headers.get("retry-after", "")))
            wait = min(wait, _LONGEST_PAUSE)
            if time.monotonic() + wait >= until:
                raise EndpointGone(why)
            time.sleep(wait)
            pause *= 2

    def _once(self, method: str, target: str, body: bytes | None, until: float) -> tuple[int, dict[str, str], bytes]:
        seconds = max(0.05, min(self._patience.seconds, until - time.monotonic()))
        connection = self._connection or self._connected()
        connection.timeout = seconds
        if connection.sock is not None:
            connection.sock.settimeout(seconds)
        # The timeout of a socket starts anew with each byte; the timer breaks off a server that drips.
        late = threading.Event()
        watch = threading.Timer(seconds, _shut, [connection, late])
        watch.daemon = True
        watch.start()
        try:
            sent = self._headers if body is None else self._headers | {"Content-Type": "application/json"}
            connection.request(method, target, body, sent)
            response = connection.getresponse()
            data = response.read(self._patience.response_bytes + 1)
            if len(data) > self._patience.response_bytes:
                self.close()
                most = self._patience.response_bytes
                raise EndpointError(f"{self._shown}{_path(target)} answers with more than {most:,} bytes")
            if response.length:
                raise http.client.IncompleteRead(b"", response.length)
            found = {name.lower(): value for name, value in response.getheaders()}
        except (OSError, http.client.HTTPException) as error:
            if late.is_set():
                raise TimeoutError from None
            if isinstance(error, http.client.IncompleteRead):
                raise http.client.HTTPException("its answer ends before the length that it gave") from None
            raise
        finally:
            watch.cancel()
        if response.will_close:
            self.close()
        return response.status, found, data

    def _connected(self) -> http.client.HTTPConnection:
        if self._secure:
            context = ssl.create_default_context()
            self._connection = http.client.HTTPSConnection(self._host, self._port, context=context)
        else:
            self._connection = http.client.HTTPConnection(self._host, self._port)
        return self._connection

    def _excerpt(self, data: bytes) -> str:
        text = self._printable(data[: 4 * _EXCERPT].decode("utf-8", "replace"))
        return (text if len(text) <= _EXCERPT else f"{text[:_EXCERPT]}...") or "nothing"

    def _printable(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


def _shut(connection: http.client.HTTPConnection, late: threading.Event) -> None:
    late.set()
    if connection.sock is not None:
        try:
            connection.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            return


def _sendable(text: str) -> bool:
    return text.isascii() and text.isprintable()


def _path(target: str) -> str:
    return target.partition("?")[0]


def _asked_pause(retry_after: str) -> float:
    """Seconds that a server wants to be left alone for: a number of them, or a date (RFC 9110, section 10.2.3)."""
    if retry_after.strip().isdecimal():
        return min(float(retry_after), _LONGEST_PAUSE)
    import email.utils

    try:
        return email.utils.parsedate_to_datetime(retry_after).timestamp() - time.time()
    except (ValueError, TypeError, OverflowError):
        return 0.0
