"""One connection to the server behind the guard: sends a request, reads one answer strictly."""

import asyncio
from collections import deque
from typing import TYPE_CHECKING, cast

import httptools

from garrison.serving.calls import Answer
from garrison.serving.http.headers import to_caller
from garrison.serving.refusals import Reason, Refused

if TYPE_CHECKING:
    from collections.abc import Callable

_MOST_HEAD = 64 << 10
_MOST_INTERIM = 16
_HIGH_WATER, _LOW_WATER = 256 << 10, 64 << 10


class _Unacceptable(Exception):
    """What no answer may be. Raised inside the parser, which wraps it."""


def _refused(message: str) -> Refused:
    return Refused(Reason.BACKEND, message)


class Parts:
    """The body of an answer as it comes. Closing it before its end closes the connection."""

    def __init__(self, connection: "Connection", seconds: float) -> None:
        self._connection = connection
        self._seconds = seconds
        self._parts: deque[bytes] = deque()
        self._held = 0
        self._ended = False
        self._failure: Refused | None = None
        self._waiter: asyncio.Future[None] | None = None

    def __aiter__(self) -> "Parts":
        return self

    async def __anext__(self) -> bytes:
        while not self._parts:
            if self._failure is not None:
                raise self._failure
            if self._ended:
                raise StopAsyncIteration
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                async with asyncio.timeout(self._seconds):
                    await self._waiter
            except TimeoutError:
                self._connection.abort()
                raise Refused(Reason.DEADLINE, "the model server did not answer in time") from None
            finally:
                self._waiter = None
        part = self._parts.popleft()
        self._held -= len(part)
        if self._held < _LOW_WATER:
            self._connection.resume()
        return part

    async def aclose(self) -> None:
        if not self._ended:
            self._connection.abort()

    def add(self, part: bytes) -> None:
        self._parts.append(part)
        self._held += len(part)
        if self._held > _HIGH_WATER:
            self._connection.pause()
        self._wake()

    def end(self, failure: Refused | None = None) -> None:
        self._ended, self._failure = True, failure
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class Connection(asyncio.Protocol):
    """Carries one exchange at a time. Whatever is not exactly one answer to one request ends it."""

    def __init__(
        self,
        most_bytes: int,
        returned: "Callable[[Connection], None]",
        gone: "Callable[[Connection], None]",
    ) -> None:
        """`returned` is told when an exchange is over and another may begin, `gone` when the connection is closed."""
        self._most_bytes = most_bytes
        self._returned = returned
        self._gone = gone
        self._transport: asyncio.Transport | None = None
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpResponseParser(self)
        self._waiter: asyncio.Future[Answer] | None = None
        self._latest: asyncio.Future[Answer] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._stream: Parts | None = None
        self._streaming = False
        self._seconds = 0.0
        self._paused = False
        self.usable = False
        """Whether an exchange may begin."""
        self.idle_since = 0.0
        """By the loop's clock."""
        self._reset()

    def _reset(self) -> None:
        self._headers: list[tuple[bytes, bytes]] = []
        self._body: list[bytes] = []
        self._size = 0
        self._head_size = 0
        self._status = 0
        self._framed = False
        self._complete = False
        self._interim = 0
        self._excess = False
        self._keep = False

    # What the pool does with it.

    def exchange(self, head: bytes, body: bytes, seconds: float, *, stream: bool) -> "asyncio.Future[Answer]":
        """Send a request; the answer to it. With `stream`, the answer is there with its head, and its body follows.

        The future raises `Refused`. Whoever stops to wait for it calls `abandon`.
        """
        transport = self._transport
        assert transport is not None and self.usable
        self.usable = False
        self._streaming = stream
        self._seconds = seconds
        self._waiter = self._latest = waiter = self._loop.create_future()
        self._timer = self._loop.call_later(seconds, self._expired)
        if len(body) < 65536:
            transport.write(head + body)
        else:
            transport.writelines((head, body))
        return waiter

    def abandon(self, waiter: "asyncio.Future[Answer]") -> None:
        """Close at once, unless the exchange is over and another has begun."""
        if self._latest is waiter:
            self.abort()

    def abort(self) -> None:
        """Close at once; what was being sent or received is lost."""
        self.usable = False
        if self._transport is not None:
            self._transport.abort()

    def pause(self) -> None:
        if not self._paused and self._transport is not None and not self._transport.is_closing():
            self._paused = True
            self._transport.pause_reading()

    def resume(self) -> None:
        if self._paused and self._transport is not None and not self._transport.is_closing():
            self._paused = False
            self._transport.resume_reading()

    # What the event loop tells.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's are no subclass of asyncio's.
        self._transport = cast("asyncio.Transport", transport)
        self.usable = True

    def data_received(self, data: bytes) -> None:
        if self._waiter is None and self._stream is None:
            # Nobody asked. It could be taken for the answer to the next request.
            self.abort()
            return
        if not self._status:
            self._head_size += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._fail("the model server's answer cannot be read")
            return
        if not self._status and self._head_size > _MOST_HEAD:
            self._fail("the model server's answer cannot be read")
        elif self._complete:
            self._finish()

    def eof_received(self) -> None:
        self._closed_by_server()

    def connection_lost(self, error: Exception | None) -> None:
        self.usable = False
        if error is None:
            self._closed_by_server()
        else:
            self._fail("the model server closed the connection before it had answered")
        self._gone(self)

    def _closed_by_server(self) -> None:
        if self._status and not self._framed and not self._complete:
            self._complete = True
            self._finish_last()
        else:
            self._fail("the model server closed the connection before it had answered")

    # What the parser tells.

    def on_message_begin(self) -> None:
        if self._complete:
            self._excess = True

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._status:
            raise _Unacceptable  # a trailer
        name = name.lower()
        if name == b"content-length":
            self._framed = True
        elif name == b"transfer-encoding":
            if value.lower() != b"chunked":
                raise _Unacceptable
            self._framed = True
        elif name == b"content-encoding" and value.lower() != b"identity":
            raise _Unacceptable
        self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        if self._complete:
            raise _Unacceptable
        status = self._parser.get_status_code()
        if 100 <= status < 200:
            self._interim += 1
            if status == 101 or self._interim > _MOST_INTERIM:
                raise _Unacceptable
            return
        if not 200 <= status < 600 or 300 <= status < 400:
            # A redirect names an address, and nobody but the configuration names addresses.
            raise _Unacceptable
        self._status = status
        if status == 204:
            self._framed = True
        if self._streaming and status == 200:
            self._stream = Parts(self, self._seconds)
            self._deliver(Answer(status, headers=to_caller(self._headers), stream=self._stream))

    def on_body(self, body: bytes) -> None:
        self._size += len(body)
        if self._stream is not None:
            self._stream.add(body)
        elif self._size > self._most_bytes:
            raise _Unacceptable
        else:
            self._body.append(body)

    def on_message_complete(self) -> None:
        if not self._status:
            self._headers = []
            self._framed = False
            return
        self._complete = True
        # The parser forgets it with the next byte.
        self._keep = self._parser.should_keep_alive()

    # How an exchange ends.

    def _deliver(self, answer: Answer) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(answer)

    def _finish(self) -> None:
        transport = self._transport
        assert transport is not None
        if self._excess:
            self._fail("the model server sent more than its answer")
            return
        keep = self._keep and not self._paused and not transport.is_closing()
        if keep and transport.get_write_buffer_size():
            keep = False
        self._finish_last()
        if keep:
            self._reset()
            self.idle_since = self._loop.time()
            self.usable = True
            self._returned(self)
        else:
            transport.close()

    def _finish_last(self) -> None:
        if self._stream is not None:
            stream, self._stream = self._stream, None
            stream.end()
            return
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        try:
            answer = Answer(self._status, body, to_caller(self._headers))
        except Refused:
            self._fail("the model server's answer cannot be read")
            return
        self._deliver(answer)

    def _fail(self, message: str) -> None:
        refused = _refused(message)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_exception(refused)
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.end(refused)
        self.abort()

    def _expired(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_exception(Refused(Reason.DEADLINE, "the model server did not answer in time"))
        self.abort()
