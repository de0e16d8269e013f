"""The guard as an ASGI application, for any server that runs those. No framework.

Servers differ in what they bound. What a head may hold and how long a body may take is bounded here; how slowly a head
may come is the server's to bound. `garrison.serving.http.protocol` does all of it and costs less.
"""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from garrison.serving.calls import Answer, Call, Peer
from garrison.serving.http.gateway import Current, Gateway, too_large, unread
from garrison.serving.refusals import Reason, Refused

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

_ALWAYS = ((b"x-content-type-options", b"nosniff"), (b"cache-control", b"no-store"))


class _Gone(Exception):
    """The client has left."""


class GuardApp:
    """Answers HTTP requests as the guard says, and nothing else: no websockets, no upgrades."""

    def __init__(self, current: Current) -> None:
        self._current = current

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
        elif scope["type"] == "http":
            await self._http(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        gateway = self._current.gateway
        client = scope.get("client")
        peer = Peer(address=client[0] if client else "")
        call = None
        try:
            call = gateway.begin(scope["method"], _target(scope), scope["headers"], peer)
            if gateway.declared(call) or call.method == "POST":
                gateway.head(call)
            async with asyncio.timeout(gateway.listen.body_timeout):
                call.body = await _body(call, gateway, receive)
        except _Gone:
            return
        except Refused as refused:
            await _refused(gateway, refused, call or unread(peer, scope["method"]), send)
            return
        except TimeoutError:
            slow = Refused(Reason.SLOW, "the request did not come in time")
            await _refused(gateway, slow, call or unread(peer, scope["method"]), send)
            return
        await _answered(gateway, call, receive, send)


async def _refused(gateway: Gateway, refused: Refused, call: Call, send: Send) -> None:
    await _send(await gateway.refuse(refused, call), send, call, close=True)


def _target(scope: Scope) -> bytes:
    raw: bytes | None = scope.get("raw_path")
    # Without the raw path nobody can tell an encoded slash from a slash, and the guard reads strictly.
    if raw is None:
        raise Refused(Reason.FAILED, "the server does not tell the path as it came")
    root = scope.get("root_path", "").encode()
    return raw[len(root) :] if root and raw.startswith(root) else raw


async def _body(call: Call, gateway: Gateway, receive: Receive) -> bytes:
    most = gateway.most_bytes(call)
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _Gone
        part = message.get("body", b"")
        size += len(part)
        if size > most:
            raise too_large(call)
        if part:
            parts.append(part)
        if not message.get("more_body", False):
            return parts[0] if len(parts) == 1 else b"".join(parts)


async def _answered(gateway: Gateway, call: Call, receive: Receive, send: Send) -> None:
    """Answers, and stops working on the answer when the client leaves."""

    async def work() -> None:
        await _send(await gateway.answer(call), send, call)

    working = asyncio.ensure_future(work())
    leaving = asyncio.ensure_future(_left(receive))
    try:
        await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
    finally:
        leaving.cancel()
        if not working.done():
            working.cancel()
        results = await asyncio.gather(working, leaving, return_exceptions=True)
    if isinstance(results[0], Exception):
        raise results[0]


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _send(answer: Answer, send: Send, call: Call, *, close: bool = False) -> None:
    headers = [*answer.headers, *_ALWAYS, (b"x-request-id", call.identifier.encode())]
    if close:
        headers.append((b"connection", b"close"))
    if answer.stream is None:
        headers.append((b"content-length", b"%d" % len(answer.body)))
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body})
        return
    stream = answer.stream
    try:
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        async for part in stream:
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
    finally:
        closing = getattr(stream, "aclose", None)
        if closing is not None:
            await closing()


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        elif message["type"] == "lifespan.shutdown":
            await send({"type": "lifespan.shutdown.complete"})
            return
