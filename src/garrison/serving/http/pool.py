"""Connections to one server, kept open and bounded in number.

A request is sent once. A connection that was found closed before anything was written is replaced; once a byte may
have reached the server the caller is told that it failed, as asking twice could be doing twice.
"""

import asyncio
import ssl
import time
from collections import deque

import msgspec

from garrison.serving.calls import Answer, Call
from garrison.serving.http.address import Address
from garrison.serving.http.connections import Connection
from garrison.serving.http.headers import to_server
from garrison.serving.http.routes import STREAMING
from garrison.serving.refusals import Reason, Refused


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """How much of a server is used, and how long it is waited for."""

    connections: int = 64
    waiting: int = 1024
    """Calls that wait for a connection."""
    connect_seconds: float = 5.0
    seconds: float = 60.0
    """For the whole answer; between two parts of one that comes in parts. A deadline of the call shortens it."""
    idle_seconds: float = 4.0
    """After which a connection is not used again. Less than servers keep theirs (uvicorn: 5), so that none is closed
    while a request is on its way."""
    most_bytes: int = 64 << 20
    """Of an answer."""


_BOUNDS = Bounds()


class Pool:
    """Asks one server."""

    def __init__(self, address: Address, bounds: Bounds = _BOUNDS, *, tls: ssl.SSLContext | None = None) -> None:
        self._address = address
        self._bounds = bounds
        self._tls = tls
        self._host = f" HTTP/1.1\r\nhost: {address.authority}\r\naccept-encoding: identity\r\n"
        self._idle: list[Connection] = []
        self._open: set[Connection] = set()
        self._connecting = 0
        self._waiting: deque[asyncio.Future[Connection | None]] = deque()
        self._closed = False

    async def ask(self, call: Call) -> Answer:
        """The server's answer to a call. Raises `Refused`."""
        bounds = self._bounds
        if call.deadline is None:
            seconds = bounds.seconds
        else:
            seconds = min(bounds.seconds, call.deadline - time.monotonic())
            if seconds <= 0:
                raise Refused(Reason.DEADLINE, "the deadline of the request has passed")
        head = self._head(call)
        connection = self._kept()
        if connection is None:
            started = time.monotonic()
            connection = await self._acquire(seconds)
            seconds = max(0.0, seconds - (time.monotonic() - started))
        try:
            return await connection.exchange(head, call.body, seconds, stream=call.operation in STREAMING)
        except asyncio.CancelledError:
            connection.abort()
            raise

    async def close(self) -> None:
        """Close what is not in use; what is closes when its exchange ends."""
        self._closed = True
        for connection in self._idle:
            connection.abort()
        self._idle.clear()
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_exception(Refused(Reason.OVERLOADED, "the guard is shutting down"))
        # Transports close in the loop's next turn.
        await asyncio.sleep(0)

    def _head(self, call: Call) -> bytes:
        text = f"{call.method} {call.target}{self._host}{to_server(call.headers, call.identifier)}"
        if call.method == "POST":
            text = f"{text}content-length: {len(call.body)}\r\n"
        return (text + "\r\n").encode("ascii")

    def _kept(self) -> Connection | None:
        """The connection that was used last: the others grow old and are closed."""
        idle = self._idle
        if not idle:
            return None
        oldest = asyncio.get_running_loop().time() - self._bounds.idle_seconds
        while idle:
            connection = idle.pop()
            if connection.usable and connection.idle_since > oldest:
                if idle and idle[0].idle_since < oldest:
                    idle.pop(0).abort()
                return connection
            connection.abort()
        return None

    async def _acquire(self, seconds: float) -> Connection:
        try:
            async with asyncio.timeout(seconds):
                while True:
                    # A place of one that is being aborted is free once it has gone.
                    if len(self._open) + self._connecting < self._bounds.connections:
                        return await self._connect()
                    connection = await self._wait()
                    if connection is not None and connection.usable:
                        return connection
        except TimeoutError:
            raise Refused(Reason.DEADLINE, "the model server had no free connection in time") from None

    async def _wait(self) -> Connection | None:
        if len(self._waiting) >= self._bounds.waiting:
            raise Refused(Reason.OVERLOADED, "too many requests wait for the model server", retry_after=1)
        waiter: asyncio.Future[Connection | None] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self._pass_on(waiter.result())
            else:
                self._waiting.remove(waiter)
            raise

    async def _connect(self) -> Connection:
        loop = asyncio.get_running_loop()
        address = self._address

        def made() -> Connection:
            return Connection(self._bounds.most_bytes, self._returned, self._gone)

        self._connecting += 1
        try:
            async with asyncio.timeout(self._bounds.connect_seconds):
                if address.path:
                    _, connection = await loop.create_unix_connection(made, address.path)
                else:
                    _, connection = await loop.create_connection(made, address.host, address.port, ssl=self._tls)
            self._open.add(connection)
            return connection
        except (OSError, TimeoutError) as error:
            raise Refused(Reason.BACKEND, "the model server cannot be reached") from error
        finally:
            self._connecting -= 1
            if len(self._open) + self._connecting < self._bounds.connections:
                self._pass_on(None)

    def _returned(self, connection: Connection) -> None:
        if self._closed:
            connection.abort()
        else:
            self._pass_on(connection)

    def _gone(self, connection: Connection) -> None:
        self._open.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        self._pass_on(None)

    def _pass_on(self, connection: Connection | None) -> None:
        """Give a connection, or the place for one, to whoever has waited longest."""
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(connection)
                return
        if connection is not None and connection.usable:
            self._idle.append(connection)
