"""Lets in who knows a secret, and nobody else: the guard in front, which alone was told it.

A server on loopback is open to everybody who has an account on the machine; with this it is not.
"""

import hmac
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import grpc
import grpc.aio

HEADER = "x-garrison-backend"
"""By which the guard shows the secret, in REST and in gRPC."""

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class SecretMiddleware:
    """For an ASGI application."""

    def __init__(self, app: Callable[[Message, Receive, Send], Awaitable[None]], secret: str) -> None:
        self._app = app
        self._secret = secret.encode()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not _knows(scope["headers"], self._secret):
            body = b'{"error":"this server answers its guard only"}'
            headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
            await send({"type": "http.response.start", "status": 403, "headers": headers})
            await send({"type": "http.response.body", "body": body})
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            await self._app(scope, receive, send)


class SecretInterceptor(grpc.aio.ServerInterceptor):  # type: ignore[misc]  # grpc is not typed
    """For a gRPC server: every method, streams included."""

    def __init__(self, secret: str) -> None:
        self._secret = secret.encode()

    async def intercept_service(
        self, continuation: Callable[[Any], Awaitable[Any]], details: grpc.HandlerCallDetails
    ) -> Any:
        given = [(name.encode(), _bytes(value)) for name, value in details.invocation_metadata]
        handler = await continuation(details)
        return handler if handler is None or _knows(given, self._secret) else _denied(handler)


def _denied(handler: Any) -> Any:
    """A handler of the same kind that refuses."""

    async def once(request: Any, context: grpc.aio.ServicerContext) -> Any:
        await context.abort(grpc.StatusCode.PERMISSION_DENIED, "this server answers its guard only")

    async def stream(request: Any, context: grpc.aio.ServicerContext) -> Any:
        await context.abort(grpc.StatusCode.PERMISSION_DENIED, "this server answers its guard only")
        yield

    makers = {
        (False, False): (grpc.unary_unary_rpc_method_handler, once),
        (False, True): (grpc.unary_stream_rpc_method_handler, stream),
        (True, False): (grpc.stream_unary_rpc_method_handler, once),
        (True, True): (grpc.stream_stream_rpc_method_handler, stream),
    }
    make, behaviour = makers[bool(handler.request_streaming), bool(handler.response_streaming)]
    return make(behaviour, handler.request_deserializer, handler.response_serializer)


def _knows(headers: list[tuple[bytes, bytes]], secret: bytes) -> bool:
    given = [value for name, value in headers if name.lower() == HEADER.encode()]
    return len(given) == 1 and hmac.compare_digest(given[0], secret)


def _bytes(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode()
