"""Connections to one server, kept open and bounded in number.

A request is sent once. A connection that was found closed before anything was written is replaced; once a byte may
have reached the server the caller is told that it failed, as asking twice could be doing twice.
"""

import asyncio
import time
from collections import deque

from garrison.serving.calls import Answer, Call
from garrison.serving.config.config import Backend
from garrison.serving.config.secrets import secret
from garrison.serving.http.address import client_context, parsed
from garrison.serving.http.connections import Connection
from garrison.serving.http.headers import to_server
from garrison.serving.http.routes import STREAMING
from garrison.serving.refusals import Reason, Refused


class Pool:
    """Asks one server."""

    def __init__(self, backend: Backend) -> None:
        """Raises `UsageError` for an address or certificates that cannot be used."""
        self._backend = backend
        self._address = address = parsed(backend.http)
        self._tls = client_context(backend) if address.secure else None
        self._host = f" HTTP/1.1\r\nhost: {address.authority}\r\naccept-encoding: identity\r\n"
        if backend.secret_file:
            self._host += f"x-garrison-backend: {secret(backend.secret_file)}\r\n"
        self._idle: list[Connection] = []
        self._open: set[Connection] = set()
        self._connecting = 0
        self._waiting: deque[asyncio.Future[Connection | None]] = deque()
        self._closed = False

    async def ask(self, call: Call) -> Answer:
        """The server's answer to a call. Raises `Refused`."""
        backend = self._backend
        if call.deadline is None:
            seconds = backend.timeout
        else:
            seconds = min(backend.timeout, call.deadline - time.monotonic())
            if seconds <= 0:
                raise Refused(Reason.DEADLINE, "the deadline of the request has passed")
        head = self._head(call)
        connection = self._kept()
        if connection is None:
            started = time.monotonic()
            connection = await self._acquire(seconds)
            seconds = max(0.0, seconds - (time.monotonic() - started))
        waiter = connection.exchange(head, call.body, seconds, stream=call.operation in STREAMING)
        try:
            return await waiter
        except asyncio.CancelledError:
            connection.abandon(waiter)
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
        text = f"{call.method} {call.target}{self._host}{to_server(call.headers, call.identifier, call.trace)}"
        if call.method == "POST":
            text = f"{text}content-length: {len(call.body)}\r\n"
        return (text + "\r\n").encode("ascii")

    def _kept(self) -> Connection | None:
        """The connection that was used last: the others grow old and are closed."""
        idle = self._idle
        if not idle:
            return None
        oldest = asyncio.get_running_loop().time() - self._backend.idle_timeout
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
                    if len(self._open) + self._connecting < self._backend.connections:
                        return await self._connect()
                    connection = await self._wait()
                    if connection is not None and connection.usable:
                        return connection
        except TimeoutError:
            raise Refused(Reason.DEADLINE, "the model server had no free connection in time") from None

    async def _wait(self) -> Connection | None:
        if len(self._waiting) >= self._backend.waiting:
            raise Refused(Reason.OVERLOADED, "too many requests wait for the model server", retry_after=1)
        waiter: asyncio.Future[Connection | None] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self._pass_on(waiter.result())
            elif waiter in self._waiting:
                self._waiting.remove(waiter)
            raise

    async def _connect(self) -> Connection:
        loop = asyncio.get_running_loop()
        address = self._address

        def made() -> Connection:
            return Connection(self._backend.max_answer, self._returned, self._gone)

        self._connecting += 1
        try:
            async with asyncio.timeout(self._backend.connect_timeout):
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
            if len(self._open) + self._connecting < self._backend.connections:
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
