"""Fetches files over HTTPS: only what has changed, on from where a download broke off, and never without an end.

Plain HTTP is for this machine itself. Redirects are followed a few times, to HTTPS alone, and from elsewhere never to
this machine. What a server sends is bounded in size, and a watch closes a connection that stands still or drips,
whatever it is doing at that moment.

Source: RFC 9110 (conditional requests, ranges).
"""

import contextlib
import hashlib
import http.client
import os
import re
import socket
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import IO, Any
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

import msgspec

from garrison.core.errors import UsageError
from garrison.dependencies.advisories.reading import SourceError
from garrison.sources.connections import basic, loopback, user_agent

SIZE_LIMIT = 8 << 30
_CONNECT_SECONDS = 20.0
_WATCH_SECONDS = 60.0
"""Within this time so many bytes must come, or the connection is closed."""
_WATCH_BYTES = 64 << 10
_TOTAL_SECONDS = 7200.0
_ATTEMPTS = 4
_PAUSE_SECONDS = 1.0
"""Before the second attempt; twice as long before each further one."""
_REDIRECTS = 5
_CHUNK = 1 << 16
_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)").fullmatch


class Validators(msgspec.Struct, frozen=True, omit_defaults=True):
    """What tells one state of a file from another."""

    etag: str = ""
    modified: str = ""
    """The `Last-Modified` header."""
    sha256: str = ""

    @property
    def strong(self) -> str:
        """What a part may be continued by; a weak tag does not promise the same bytes."""
        return self.etag if self.etag and not self.etag.startswith("W/") else self.modified


class Address(msgspec.Struct, frozen=True):
    """Where to fetch from, apart from the credentials for it."""

    url: str
    credentials: str = ""
    """The value of an `Authorization` header."""


class _Interrupted(Exception):
    """The connection broke; another attempt may go on."""


def is_url(text: str) -> bool:
    return "://" in text


def address(text: str) -> Address:
    """Raises `UsageError` for an address from which nothing would be fetched."""
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise UsageError(f"{text}: no address: {error}") from None
    if not host or any(character <= " " or character == "\x7f" for character in text):
        raise UsageError(f"{text}: no address of a file")
    if not _allowed(parts):
        raise UsageError(f"{_bare(parts)}: only https:// is fetched, and http:// from this machine itself")
    credentials = ""
    if parts.username:
        credentials = basic(unquote(parts.username), unquote(parts.password or ""))
    return Address(_bare(parts), credentials)


def _bare(parts: SplitResult) -> str:
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], fragment=""))


def _allowed(parts: SplitResult) -> bool:
    return parts.scheme == "https" or (parts.scheme == "http" and loopback(parts.hostname or ""))


def fetch(
    place: Address, target: str, known: Validators, *, sha256: str = "", say: Callable[[str], None] = lambda _: None
) -> Validators | None:
    """Fetch to the file `target`; `None` where the server says that nothing has changed since `known`.

    A part of an earlier download, beside `target`, is continued if the server still has the same file. Raises
    `SourceError` when it fails, and then keeps the part.
    """
    part = f"{target}.part"
    if sha256 and known.sha256 != sha256:
        known = Validators()
    for attempt in range(_ATTEMPTS):
        if attempt:
            time.sleep(_PAUSE_SECONDS * 2 ** (attempt - 1))
        try:
            validators = _attempt(place, part, known)
            break
        except _Interrupted as error:
            if attempt + 1 == _ATTEMPTS:
                rest = "; the next update goes on from there" if _part(part)[0] else ""
                raise SourceError(f"{error}{rest}") from None
            say(f"{place.url}: {error}, trying again")
    if validators is None:
        return None
    digest = _digest(part)
    _forget(part, keep_data=True)
    if sha256 and digest != sha256:
        _forget(part)
        raise SourceError(f"its SHA-256 is {digest}, and should be {sha256}")
    os.replace(part, target)
    return msgspec.structs.replace(validators, sha256=digest)


def _attempt(place: Address, part: str, known: Validators) -> Validators | None:
    have, before = _part(part)
    headers = {"Accept-Encoding": "identity", "User-Agent": user_agent()}
    if have:
        headers |= {"Range": f"bytes={have}-", "If-Range": before.strong}
    elif known.etag:
        headers["If-None-Match"] = known.etag
    elif known.modified:
        headers["If-Modified-Since"] = known.modified
    request = urllib.request.Request(place.url, headers=headers)
    if place.credentials:
        request.add_unredirected_header("Authorization", place.credentials)
    with _watched() as watch:
        try:
            with _opener(place.url, watch).open(request, timeout=_CONNECT_SECONDS) as response:
                return _receive(response, part, have, watch)
        except urllib.error.HTTPError as error:
            error.close()
            if error.code == 304 and not have:
                return None
            if error.code == 416 and have:
                _forget(part)
                raise _Interrupted("the part of an earlier download is of no use") from None
            answer = f"the server answers {error.code} {error.reason}".partition("\n")[0]
            if error.code in (408, 429, 500, 502, 503, 504):
                raise _Interrupted(answer) from None
            raise SourceError(answer) from None
        except urllib.error.URLError as error:
            if isinstance(error.reason, ssl.SSLCertVerificationError):
                why = error.reason.verify_message
                raise SourceError(f"its certificate is not trusted ({why}); $SSL_CERT_FILE adds your own") from None
            raise _Interrupted(watch.reason or f"cannot be reached: {_reason(error.reason)}") from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise _Interrupted(watch.reason or f"the connection broke: {_reason(error)}") from None


def _reason(error: object) -> str:
    if isinstance(error, OSError) and error.strerror:
        return str(error.strerror)
    return str(error) or type(error).__name__


def _receive(response: Any, part: str, have: int, watch: "_Watch") -> Validators:
    """Write what comes to the part; raise `_Interrupted` where it ends too early."""
    validators = Validators(response.headers.get("ETag", ""), response.headers.get("Last-Modified", ""))
    length = response.headers.get("Content-Length", "")
    total = have + int(length) if length.isdecimal() else None
    if response.status == 206:
        found = _RANGE(response.headers.get("Content-Range", ""))
        if not have or not found or int(found[1]) != have:
            _forget(part)
            raise _Interrupted("the server sent another part than was asked for")
        total = int(found[3]) if found[3] != "*" else total
    elif response.status != 200:
        raise SourceError(f"the server answers {response.status} {response.reason}")
    elif have:
        have = 0
        total = int(length) if length.isdecimal() else None
    if total is not None and total > SIZE_LIMIT:
        raise SourceError(f"it has {total:,} bytes, more than the {SIZE_LIMIT:,} that are fetched")
    if not have:
        _remember(part, validators)
    with open(part, "ab" if have else "wb") as file:
        _copy(response, file, have, watch)
        size = file.tell()
    if watch.reason:
        raise _Interrupted(watch.reason)
    if total is not None and size != total:
        if size > total:
            _forget(part)
        raise _Interrupted(f"the connection broke after {size:,} of {total:,} bytes")
    return validators


def _copy(response: Any, file: IO[bytes], have: int, watch: "_Watch") -> None:
    size = have
    while data := response.read1(_CHUNK):
        size += len(data)
        watch.count += len(data)
        if size > SIZE_LIMIT:
            raise SourceError(f"it has more than the {SIZE_LIMIT:,} bytes that are fetched")
        try:
            file.write(data)
        except OSError as error:
            raise SourceError(f"cannot be stored: {error.strerror}") from None


def _part(part: str) -> tuple[int, Validators]:
    """How much of an earlier download is there, and of which state; nothing if it cannot be continued."""
    try:
        with open(f"{part}.json", "rb") as file:
            validators = msgspec.json.decode(file.read(1 << 16), type=Validators)
        size = os.stat(part).st_size
    except (OSError, msgspec.MsgspecError):
        return 0, Validators()
    return (size, validators) if validators.strong and size else (0, Validators())


def _remember(part: str, validators: Validators) -> None:
    with open(f"{part}.json", "wb") as file:
        file.write(msgspec.json.encode(validators))


def _forget(part: str, *, keep_data: bool = False) -> None:
    for name in (f"{part}.json",) if keep_data else (f"{part}.json", part):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)


def _digest(path: str) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class _Watch:
    """Sees to it that a connection gets on, by closing its socket when it does not."""

    def __init__(self) -> None:
        self.count = 0
        self.reason = ""
        self.socket: socket.socket | None = None
        self.done = threading.Event()

    def run(self) -> None:
        before = 0
        end = time.monotonic() + _TOTAL_SECONDS
        while not self.done.wait(_WATCH_SECONDS):
            if self.count - before < _WATCH_BYTES or time.monotonic() > end:
                self.reason = f"it is too slow: {self.count - before:,} bytes in {_WATCH_SECONDS:g} seconds"
                with contextlib.suppress(OSError, AttributeError):
                    self.socket.shutdown(socket.SHUT_RDWR)  # type: ignore[union-attr]
                return
            before = self.count


@contextlib.contextmanager
def _watched() -> Iterator[_Watch]:
    watch = _Watch()
    thread = threading.Thread(target=watch.run, daemon=True)
    thread.start()
    try:
        yield watch
    finally:
        watch.done.set()
        thread.join()


def _opener(url: str, watch: _Watch) -> urllib.request.OpenerDirector:
    """HTTP and HTTPS with redirects and proxies; without the `file:`, `ftp:` and `data:` that urllib brings along."""
    local = loopback(urlsplit(url).hostname or "")
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler({} if local else None),
        _handler(urllib.request.HTTPHandler, http.client.HTTPConnection, "http", watch),
        _handler(urllib.request.HTTPSHandler, http.client.HTTPSConnection, "https", watch),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        _Redirects(),
    ):
        opener.add_handler(handler)
    return opener


def _handler(base: Any, connection: Any, scheme: str, watch: _Watch) -> Any:
    """A handler whose connections are watched."""

    class Connection(connection):  # type: ignore[misc]
        def connect(self) -> None:
            super().connect()
            watch.socket = self.sock

    class Handler(base):  # type: ignore[misc]
        pass

    setattr(Handler, f"{scheme}_open", lambda self, request: self.do_open(Connection, request))
    return Handler()


class _Redirects(urllib.request.HTTPRedirectHandler):
    max_redirections = _REDIRECTS
    max_repeats = 2

    def http_error_302(self, req: Any, fp: Any, code: Any, msg: Any, headers: Any) -> Any:
        fp.read = lambda *_: b""  # urllib would read the redirect's body, however long it is
        return super().http_error_302(req, fp, code, msg, headers)

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302

    def redirect_request(self, req: Any, fp: Any, code: Any, msg: Any, headers: Any, newurl: str) -> Any:
        parts = urlsplit(newurl)
        from_here = loopback(urlsplit(req.full_url).hostname or "")
        inwards = loopback(parts.hostname or "") and not from_here
        if inwards or (parts.scheme != "https" and not (from_here and _allowed(parts))):
            raise SourceError(f"the server redirects to {newurl[:200]}, which is not fetched")
        return super().redirect_request(req, fp, code, msg, headers, newurl)
