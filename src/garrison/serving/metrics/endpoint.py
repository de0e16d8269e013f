"""Answers Prometheus, at an address of its own: an ASGI application that knows `/metrics` and nothing else."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

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
