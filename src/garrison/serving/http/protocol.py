"""HTTP/1.1 to clients: reads one request at a time, bounded in size and time, and answers it as the guard says.

A connection is in one of these states: it waits for a request, reads its head, reads its body, answers, or has refused
something and reads on only so that the client gets to see why. `due` is when the state has lasted too long; the server
looks at all of them twice a second, which costs less than a timer for each request.
"""

import asyncio
import enum
import math
from collections import deque
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, NamedTuple, cast

import httptools

from garrison.serving.calls import Answer, Call, Peer
from garrison.serving.http.gateway import Gateway, too_large, unread
from garrison.serving.refusals import Reason, Refused

if TYPE_CHECKING:
    from garrison.serving.http.server import Server

_MOST_PIPELINED = 32
_MOST_HELD = 64 << 10
_LINGER_SECONDS = 2.0
_MOST_LINGERING = 1 << 30
_LEAST_TAKEN = 64 << 10
"""Bytes of an answer that a client takes at least in the time that it has for a body."""
_LONG_HEAD = "the request has too many headers, or too long ones"
_CROWDED = "too many requests are being received"
_STATUS = {
    200: "OK", 201: "Created", 202: "Accepted", 204: "No Content", 400: "Bad Request", 401: "Unauthorized",
    403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed", 408: "Request Timeout", 413: "Content Too Large",
    415: "Unsupported Media Type", 422: "Unprocessable Content", 429: "Too Many Requests",
    500: "Internal Server Error", 502: "Bad Gateway", 503: "Service Unavailable", 504: "Gateway Timeout",
}  # fmt: skip
_LINES = {status: f"HTTP/1.1 {status} {text}\r\n".encode() for status, text in _STATUS.items()}
_ALWAYS = b"x-content-type-options: nosniff\r\ncache-control: no-store\r\n"
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class _State(enum.Enum):
    IDLE = enum.auto()
    HEAD = enum.auto()
    BODY = enum.auto()
    LEAVING = enum.auto()
    """What comes is thrown away."""


class _Stop(Exception):
    """Ends the parsing of what came. The parser wraps it."""

    def __init__(self, refused: Refused) -> None:
        self.refused = refused


class _Request(NamedTuple):
    """What is next to be answered."""

    gateway: Gateway
    call: Call
    keep: bool
    """Whether another request may follow."""
    chunked: bool
    """Whether the client understands an answer in parts."""
    refused: Refused | None


class ServerProtocol(asyncio.Protocol):
    """One connection of a client."""

    def __init__(self, server: "Server") -> None:
        self._server = server
        self._loop = server.loop
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport
        self._peer = Peer()
        self._state = _State.IDLE
        self._task: asyncio.Task[None] | None = None
        self._ready: deque[_Request] = deque()
        self._held: list[bytes] = []
        self._held_size = 0
        self._reading = True
        self._writable: asyncio.Future[None] | None = None
        self._unsent = 0
        self._clear()
        self.due = math.inf

    def _clear(self) -> None:
        self._call: Call | None = None
        self._method = self._version = ""
        self._target = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._head_size = 0
        self._body: list[bytes] = []
        self._body_size = 0
        self._most = 0
        self._raw = 0

    # What the event loop tells.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's are no subclass of asyncio's.
        self._transport = cast("asyncio.Transport", transport)
        if not self._server.admit(self):
            self._transport.abort()
            return
        name = transport.get_extra_info("peername")
        tls = transport.get_extra_info("ssl_object")
        self._peer = Peer(
            address=name[0] if isinstance(name, tuple) else "",
            # A certificate that cannot be verified ends the handshake; none of those gets here.
            certificate=tls.getpeercert(binary_form=True) if tls is not None else None,
        )
        self.due = self._loop.time() + self._server.limits.header_timeout

    def data_received(self, data: bytes) -> None:
        if self._state is _State.LEAVING:
            self._raw += len(data)
            if self._raw > _MOST_LINGERING:
                self.abort()
        elif self._task is not None:
            # The next request came before the answer to this one. It waits, and so does whatever follows it.
            self._held.append(data)
            self._held_size += len(data)
            if self._held_size > _MOST_HELD and self._reading:
                self._reading = False
                self._transport.pause_reading()
        else:
            self._feed(data)

    def connection_lost(self, error: Exception | None) -> None:
        self._server.forget(self)
        self._server.buffered -= self._body_size
        self._state = _State.LEAVING
        self._clear()
        self._ready.clear()
        self._held.clear()
        self.due = math.inf
        if self._task is not None:
            self._task.cancel()

    def pause_writing(self) -> None:
        if self._writable is None:
            self._writable = self._loop.create_future()
            self._unsent = self._transport.get_write_buffer_size()
            self.due = self._loop.time() + self._server.limits.body_timeout

    def resume_writing(self) -> None:
        if self._writable is not None:
            if not self._writable.done():
                self._writable.set_result(None)
            self._writable = None
            self.due = math.inf

    # What the server asks for.

    def overdue(self) -> None:
        """Called once `due` has passed."""
        if self._writable is not None:
            unsent = self._transport.get_write_buffer_size()
            if unsent <= self._unsent - _LEAST_TAKEN:
                self._unsent = unsent
                self.due = self._loop.time() + self._server.limits.body_timeout
                return
        if self._state in (_State.HEAD, _State.BODY) and self._task is None:
            self._refuse(Refused(Reason.SLOW, "the request did not come in time"))
        else:
            self.abort()

    @property
    def receiving(self) -> int:
        """Bytes that have come of a body that is not whole."""
        return self._body_size

    def make_way(self) -> None:
        """Give up a body that is not whole, since there are too many."""
        self._refuse(Refused(Reason.OVERLOADED, _CROWDED, retry_after=1))

    def leave(self) -> None:
        """Close, once what has begun is answered."""
        if self._task is None and self._state is _State.IDLE:
            self._state = _State.LEAVING
            self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        self._transport.abort()

    # What the parser tells.

    def on_message_begin(self) -> None:
        self._state = _State.HEAD
        if len(self._ready) >= _MOST_PIPELINED:
            raise _Stop(Refused(Reason.MALFORMED, "too many requests came at once"))
        self.due = self._loop.time() + self._server.limits.header_timeout

    def on_url(self, part: bytes) -> None:
        self._target += part
        self._count_head(len(part))

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._state is not _State.HEAD:
            raise _Stop(Refused(Reason.MALFORMED, "trailers are not accepted"))
        self._headers.append((name, value))
        self._count_head(len(name) + len(value))
        if len(self._headers) > self._server.limits.max_headers:
            raise _Stop(Refused(Reason.TOO_LARGE, _LONG_HEAD))

    def on_headers_complete(self) -> None:
        self._gateway = gateway = self._server.current.gateway
        self._method = self._parser.get_method().decode("ascii")
        self._version = version = self._parser.get_http_version()
        if version != "1.1" and version != "1.0":
            raise _Stop(Refused(Reason.MALFORMED, "the version of HTTP is neither 1.1 nor 1.0"))
        try:
            self._call = call = gateway.begin(self._method, self._target, self._headers, self._peer)
            declared = gateway.declared(call)
            chunked = "transfer-encoding" in call.headers
            if chunked and version == "1.0":
                raise Refused(Reason.MALFORMED, "HTTP/1.0 knows no transfer encodings")
            if declared or chunked:
                gateway.head(call)
            if not self._server.room(self, declared or 0):
                raise Refused(Reason.OVERLOADED, _CROWDED, retry_after=1)
        except Refused as refused:
            raise _Stop(refused) from None
        self._most = gateway.most_bytes(call)
        self._raw = 0
        self._state = _State.BODY
        if declared or chunked:
            self.due = self._loop.time() + gateway.listen.body_timeout
            if "expect" in call.headers and version == "1.1" and not self._ready:
                self._transport.write(_CONTINUE)

    def on_body(self, part: bytes) -> None:
        size = len(part)
        server = self._server
        self._body_size += size
        server.buffered += size
        if self._body_size > self._most:
            assert self._call is not None
            raise _Stop(too_large(self._call))
        if server.buffered > self._gateway.listen.max_buffered and not server.room(self, 0):
            raise _Stop(Refused(Reason.OVERLOADED, _CROWDED, retry_after=1))
        self._body.append(part)

    def on_message_complete(self) -> None:
        call = self._call
        assert call is not None
        call.body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        self._server.buffered -= self._body_size
        current = self._version == "1.1"
        keep = current and self._parser.should_keep_alive()
        self._clear()
        self._state = _State.IDLE
        self._ready.append(_Request(self._gateway, call, keep, current, None))

    # Reading.

    def _feed(self, data: bytes) -> None:
        if self._state is _State.BODY:
            # What frames a body may not be many times the body.
            self._raw += len(data)
            if self._raw > 2 * self._most + _MOST_HELD:
                self._refuse(Refused(Reason.TOO_LARGE, "the body is too large"))
                return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserCallbackError as error:
            if not isinstance(error.__context__, _Stop):
                raise
            self._refuse(error.__context__.refused)
            return
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._refuse(Refused(Reason.MALFORMED, "the request is no valid HTTP"))
            return
        if self._state is _State.HEAD:
            # The parser tells of a header once it has ended.
            self._raw += len(data)
            if self._raw > 2 * self._server.limits.max_head + _MOST_HELD:
                self._refuse(Refused(Reason.TOO_LARGE, _LONG_HEAD))
                return
        self._next()

    def _count_head(self, size: int) -> None:
        self._head_size += size
        if self._head_size > self._server.limits.max_head:
            raise _Stop(Refused(Reason.TOO_LARGE, _LONG_HEAD))

    def _refuse(self, refused: Refused) -> None:
        """Answer what came before, then with a refusal, and read nothing more."""
        call = self._call or unread(self._peer, self._method)
        self._server.buffered -= self._body_size
        self._clear()
        self._state = _State.LEAVING
        self._ready.append(_Request(self._server.current.gateway, call, False, False, refused))
        self._next()

    # Answering.

    def _next(self) -> None:
        """Begin with the next request that is whole."""
        if self._ready and self._task is None:
            self.due = math.inf
            self._task = self._loop.create_task(self._answer(self._ready.popleft()))

    async def _answer(self, request: _Request) -> None:
        call = request.call
        keep = False
        try:
            if request.refused is None:
                answer = await request.gateway.answer(call)
            else:
                answer = await request.gateway.refuse(request.refused, call)
            keep = request.keep and not self._server.stopping
            if answer.stream is None:
                self._transport.write(self._head(answer, call, keep, b"content-length: %d\r\n" % len(answer.body)))
            else:
                keep = keep and request.chunked
                await self._write_parts(answer, answer.stream, call, keep, request.chunked)
            if self._writable is not None:
                await self._writable
        except BaseException:
            # No half of an answer may look like a whole one.
            self.abort()
            raise
        finally:
            self._task = None
        self._answered(keep, request.refused is not None)

    def _head(self, answer: Answer, call: Call, keep: bool, framing: bytes) -> bytes:
        status = answer.status
        lines = [_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status, self._server.date, _ALWAYS]
        for name, value in answer.headers:
            lines.append(b"%b: %b\r\n" % (name, value))
        lines.append(b"x-request-id: %b\r\n" % call.identifier.encode())
        if not keep:
            lines.append(b"connection: close\r\n")
        if status == 204:
            lines.append(b"\r\n")
        else:
            lines.append(framing)
            lines.append(b"\r\n")
            if call.method != "HEAD":
                lines.append(answer.body)
        return b"".join(lines)

    async def _write_parts(
        self, answer: Answer, parts: AsyncIterator[bytes], call: Call, keep: bool, chunked: bool
    ) -> None:
        write = self._transport.write
        try:
            write(self._head(answer, call, keep, b"transfer-encoding: chunked\r\n" if chunked else b""))
            async for part in parts:
                if part:
                    write(b"%x\r\n%b\r\n" % (len(part), part) if chunked else part)
                if self._writable is not None:
                    await self._writable
            if chunked:
                write(b"0\r\n\r\n")
        except Refused:
            # The status is long sent. What breaks off does not look whole.
            self.abort()
        finally:
            close = getattr(parts, "aclose", None)
            if close is not None:
                await close()

    def _answered(self, keep: bool, refused: bool) -> None:
        if self._transport.is_closing():
            return
        now = self._loop.time()
        if not keep:
            if refused:
                self._linger(now)
            else:
                self._state = _State.LEAVING
                self._transport.close()
            return
        limits = self._server.limits
        if self._state is _State.IDLE:
            self.due = now + limits.idle_timeout
        elif self._state is not _State.LEAVING:
            self.due = now + (limits.header_timeout if self._state is _State.HEAD else limits.body_timeout)
        if self._held and not self._ready:
            data = b"".join(self._held)
            self._held.clear()
            self._held_size = 0
            if not self._reading:
                self._reading = True
                self._transport.resume_reading()
            if self._state is not _State.LEAVING:
                self._feed(data)
        self._next()

    def _linger(self, now: float) -> None:
        """Close for writing, and throw away what still comes: closing with bytes unread would reset the connection,
        and the client would not see why (RFC 9112, 9.6)."""
        self._ready.clear()
        self._held.clear()
        self.due = now + _LINGER_SECONDS
        if not self._reading:
            self._reading = True
            self._transport.resume_reading()
        if self._transport.can_write_eof():
            self._transport.write_eof()
