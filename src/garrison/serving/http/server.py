"""Listens, and ends without dropping a request."""

import asyncio
import email.utils
import os
import re
import ssl
from types import TracebackType

from garrison.core.errors import UsageError
from garrison.serving.config.config import Listen
from garrison.serving.http.gateway import Current
from garrison.serving.http.protocol import ServerProtocol

_SWEEP_SECONDS = 0.5
_PATIENCE = 0.1
"""The share of the time for a body after which it makes way for others where there are too many."""
_BACKLOG = 1024
_ADDRESS = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):(\d{1,5})")


class Server:
    """Serves what `current` holds at the time when a request's head has come.

    Peers are whom the socket says: headers that name another are not believed.
    """

    def __init__(self, current: Current, listen: Listen) -> None:
        """Raises `UsageError` for an address or certificates that cannot be used."""
        self.current = current
        self.buffered = 0
        """Bytes of bodies that are being received."""
        self.stopping = False
        self.date = b""
        self.loop: asyncio.AbstractEventLoop
        self._address = _address(listen.http)
        self._tls = server_context(listen) if listen.certificate else None
        if listen.client_authorities and self._tls is None:
            raise UsageError("client-authorities needs TLS: set certificate and key as well")
        self._connections: set[ServerProtocol] = set()
        self._empty: asyncio.Future[None] | None = None
        self._server: asyncio.Server | None = None
        self._sweeper: asyncio.TimerHandle | None = None

    @property
    def limits(self) -> Listen:
        return self.current.gateway.listen

    @property
    def port(self) -> int:
        """The port that it listens at; 0 for a Unix socket."""
        assert self._server is not None
        name = self._server.sockets[0].getsockname()
        return int(name[1]) if isinstance(name, tuple) else 0

    async def start(self) -> None:
        """Begin to listen. Raises `UsageError` where the address cannot be had."""
        self.loop = loop = asyncio.get_running_loop()
        self._sweep()
        patience = self.limits.header_timeout if self._tls is not None else None

        def made() -> ServerProtocol:
            return ServerProtocol(self)

        try:
            if isinstance(self._address, str):
                self._server = await loop.create_unix_server(
                    made, self._address, backlog=_BACKLOG, ssl=self._tls, ssl_handshake_timeout=patience
                )
            else:
                host, port = self._address
                self._server = await loop.create_server(
                    made, host, port, backlog=_BACKLOG, ssl=self._tls, ssl_handshake_timeout=patience
                )
        except OSError as error:
            self._stop_sweeping()
            where = self._address if isinstance(self._address, str) else f"{self._address[0]}:{self._address[1]}"
            why = os.strerror(error.errno) if error.errno else str(error)
            raise UsageError(f"cannot listen at {where}: {why}") from None

    async def stop(self, grace: float = 30.0) -> None:
        """Accept nothing more, answer what has begun within `grace` seconds, and close."""
        self.stopping = True
        if self._server is not None:
            self._server.close()
        for connection in tuple(self._connections):
            connection.leave()
        if self._connections:
            self._empty = self.loop.create_future()
            await asyncio.wait((self._empty,), timeout=grace)
            for connection in tuple(self._connections):
                connection.abort()
            if self._connections:
                self._empty = self.loop.create_future()
                await asyncio.wait((self._empty,), timeout=1.0)
        self._stop_sweeping()

    async def __aenter__(self) -> "Server":
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    # What connections ask for.

    def admit(self, connection: ServerProtocol) -> bool:
        """Whether one more client can be served."""
        if self.stopping or len(self._connections) >= self.limits.max_connections:
            return False
        self._connections.add(connection)
        return True

    def forget(self, connection: ServerProtocol) -> None:
        self._connections.discard(connection)
        if not self._connections and self._empty is not None and not self._empty.done():
            self._empty.set_result(None)

    def room(self, asking: ServerProtocol, size: int) -> bool:
        """Whether so many bytes more of bodies may be received.

        Where there are too many, those bodies make way that have been coming for long, the oldest first. Otherwise
        few callers that send slowly could keep all others out.
        """
        limits = self.limits
        over = self.buffered + size - limits.max_buffered
        if over <= 0:
            return True
        latest = self.loop.time() + limits.body_timeout * (1 - _PATIENCE)
        slow = [one for one in self._connections if one is not asking and one.receiving and one.due < latest]
        if sum(one.receiving for one in slow) < over:
            return False
        for one in sorted(slow, key=lambda one: one.due):
            over -= one.receiving
            one.make_way()
            if over <= 0:
                break
        return True

    def _sweep(self) -> None:
        self.date = b"date: %b\r\n" % email.utils.formatdate(usegmt=True).encode()
        now = self.loop.time()
        for connection in tuple(self._connections):
            if connection.due < now:
                connection.overdue()
        self._sweeper = self.loop.call_later(_SWEEP_SECONDS, self._sweep)

    def _stop_sweeping(self) -> None:
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None


def server_context(listen: Listen) -> ssl.SSLContext:
    """TLS 1.2 or later; clients show a certificate where `client-authorities` is set. Raises `UsageError`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(listen.certificate, listen.key or None)
        if listen.client_authorities:
            context.load_verify_locations(cafile=listen.client_authorities)
            context.verify_mode = ssl.CERT_REQUIRED
    except (OSError, ssl.SSLError) as error:
        raise UsageError(f"the certificates to listen with cannot be read: {error}") from None
    return context


def _address(text: str) -> tuple[str, int] | str:
    if text.startswith("unix:/"):
        return text.removeprefix("unix:")
    found = _ADDRESS.fullmatch(text)
    if found is None or int(found[2]) > 65535:
        raise UsageError(f"{text!r} is no address to listen at: write address:port or unix:/path")
    return found[1].strip("[]"), int(found[2])
