"""Answers Prometheus, at an address of its own: an ASGI application that knows `/metrics` and nothing else."""

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from typing import Any

from garrison.core.errors import UsageError
from garrison.serving.metrics.exposition import Exposition

Message = MutableMapping[str, Any]


class MetricsApp:
    def __init__(self, exposition: Exposition) -> None:
        self._exposition = exposition

    async def __call__(
        self, scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
    ) -> None:
        if scope["type"] == "lifespan":
            while True:
                message = await receive()
                await send({"type": f"{message['type']}.complete"})
                if message["type"] == "lifespan.shutdown":
                    return
        if scope["type"] != "http":
            await send({"type": "websocket.close"})
            return
        status, body, media_type = 404, b"metrics are at /metrics\n", "text/plain"
        if scope["path"] == "/metrics" and scope["method"] in ("GET", "HEAD"):
            accept = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"accept"), "")
            body, media_type = self._exposition.text(accept)
            status = 200
        headers = [(b"content-type", media_type.encode()), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})


class MetricsServer:
    """Listens for Prometheus."""

    def __init__(self, exposition: Exposition, listen: str) -> None:
        """`listen` is an address and a port. Raises `UsageError`."""
        host, _, port = listen.rpartition(":")
        if not host or not port.isdecimal():
            raise UsageError(f"metrics.listen: {listen!r} is no address and port")
        host = host.strip("[]")
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            self._socket = socket.create_server((host, int(port)), family=family)
        except (OSError, OverflowError) as error:
            raise UsageError(f"metrics.listen: cannot listen at {listen}: {error}") from None
        self._app = MetricsApp(exposition)
        self._server: Any = None
        self._task: asyncio.Task[None] | None = None

    @property
    def port(self) -> int:
        return int(self._socket.getsockname()[1])

    async def start(self) -> None:
        """Begin, in the running loop."""
        import uvicorn

        class Quiet(uvicorn.Server):
            """Signals are the guard's."""

            @contextlib.contextmanager
            def capture_signals(self) -> Iterator[None]:
                yield

        settings = uvicorn.Config(self._app, log_config=None, server_header=False, access_log=False, lifespan="off")
        self._server = Quiet(settings)
        self._task = asyncio.get_running_loop().create_task(self._server.serve(sockets=[self._socket]))
        while not self._server.started and not self._task.done():
            await asyncio.sleep(0.005)

    async def stop(self, grace: float) -> None:
        """End; whoever asks at the moment gets an answer."""
        self._server.should_exit = True
        if self._task is not None:
            await asyncio.wait((self._task,), timeout=grace)
