"""The guard as a gRPC server.

HTTP/2 is read by gRPC's own core, and messages come to Python as bytes: no servicer is generated, and there is one
handler for all methods. Every unary call is taken as a stream of one message, so that how long that one message takes
is bounded, too.
"""

import asyncio
from typing import Any, NoReturn

import grpc
import grpc.aio

from garrison.core.errors import UsageError
from garrison.core.files import contents
from garrison.serving.calls import Answer, Peer
from garrison.serving.config.config import Listen
from garrison.serving.grpc import health, metadata
from garrison.serving.grpc.gateway import Current, Gateway
from garrison.serving.grpc.messages import ModelInferResponse, ModelStreamInferResponse
from garrison.serving.grpc.methods import METHODS, Method
from garrison.serving.grpc.statuses import status
from garrison.serving.refusals import Reason, Refused

_MOST_PEM = 1 << 20
_STREAMS = 100
"""Calls of one connection at the same time."""
_CODES = {code.name: code for code in grpc.StatusCode}
_SLOW = Refused(Reason.SLOW, "the request did not come in time")
_EMPTY = Refused(Reason.MALFORMED, "the request has no message")


class GrpcServer:
    """Listens from `start` to `stop`. Made inside the event loop that uses it."""

    def __init__(self, current: Current, listen: Listen) -> None:
        """Raises `UsageError` for an address or certificates that cannot be used."""
        self._health = health.Health()
        handler = _Handler(current, self._health)
        # gRPC's own message to calls beyond these is RESOURCE_EXHAUSTED, before anything of ours runs.
        self._server = grpc.aio.server(
            handlers=(handler,), options=_options(listen), maximum_concurrent_rpcs=listen.max_calls
        )
        self.port = self._listen(listen)
        """The port that it got."""

    def _listen(self, listen: Listen) -> int:
        if listen.client_authorities and not listen.certificate:
            raise UsageError("client-authorities needs TLS: set certificate and key as well")
        try:
            if not listen.certificate:
                return int(self._server.add_insecure_port(listen.grpc))
            pair = (contents(listen.key or listen.certificate, _MOST_PEM), contents(listen.certificate, _MOST_PEM))
            trusted = listen.client_authorities
            authorities = contents(trusted, _MOST_PEM) if trusted else None
            credentials = grpc.ssl_server_credentials((pair,), authorities, authorities is not None)
            return int(self._server.add_secure_port(listen.grpc, credentials))
        except RuntimeError:
            raise UsageError(f"cannot listen at {listen.grpc} for gRPC") from None

    async def start(self) -> None:
        await self._server.start()

    async def stop(self, seconds: float) -> None:
        """Take no new calls, and wait so long for those that have begun; then cancel them."""
        self._health.serving = False
        await self._server.stop(seconds)


def _options(listen: Listen) -> list[tuple[str, int]]:
    return [
        # Otherwise any process of the machine may listen on the same port and take a part of the calls.
        ("grpc.so_reuseport", 0),
        ("grpc.max_receive_message_length", listen.max_body),
        # Answers are bounded where they come from.
        ("grpc.max_send_message_length", -1),
        ("grpc.max_metadata_size", listen.max_head),
        ("grpc.absolute_max_metadata_size", listen.max_head),
        ("grpc.max_concurrent_streams", _STREAMS),
        ("grpc.max_allowed_incoming_connections", listen.max_connections),
        ("grpc.max_connection_idle_ms", int(listen.idle_timeout * 1000)),
        ("grpc.server_handshake_timeout_ms", int(listen.header_timeout * 1000)),
        # Dead peers are found; pings more often than that end the connection.
        ("grpc.keepalive_time_ms", 60_000),
        ("grpc.keepalive_timeout_ms", 20_000),
        ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
        ("grpc.http2.max_ping_strikes", 2),
        # No compression: a small message must not become a large one.
        ("grpc.compression_enabled_algorithms_bitset", 1),
    ]


class _Handler(grpc.GenericRpcHandler):  # type: ignore[misc]
    def __init__(self, current: Current, liveness: health.Health) -> None:
        self._current = current
        self._handlers: dict[str, Any] = {path: self._for(method) for path, method in METHODS.items()}
        self._handlers |= liveness.handlers()

    def service(self, details: Any) -> Any:
        return self._handlers.get(details.method) or self._unknown(details.method)

    def _for(self, method: Method) -> Any:
        if method.stream:

            async def stream(messages: Any, context: Any) -> None:
                await self._stream(method, context)

            return grpc.stream_stream_rpc_method_handler(stream)

        async def unary(messages: Any, context: Any) -> bytes:
            return await self._unary(method, context)

        return grpc.stream_unary_rpc_method_handler(unary)

    def _unknown(self, path: str) -> Any:
        async def refuse(messages: Any, context: Any) -> bytes:
            refused = Refused(Reason.METHOD, "there is no such method")
            await end(context, await self._current.gateway.refuse(refused, metadata.peer_of(context), path))

        return grpc.stream_unary_rpc_method_handler(refuse)

    async def _unary(self, method: Method, context: Any) -> bytes:
        gateway = self._current.gateway
        peer = metadata.peer_of(context)
        try:
            body = await _message(context, gateway.listen.body_timeout)
            if body is None:
                raise _EMPTY
            call = gateway.begin(method, context.invocation_metadata() or (), peer, body, context.time_remaining())
        except Refused as refused:
            await end(context, await gateway.refuse(refused, peer, method.path))
        answer = await gateway.answer(call)
        context.set_trailing_metadata((("x-request-id", call.identifier),))
        if answer.status != 200:
            await end(context, answer, call.identifier)
        return answer.body

    async def _stream(self, method: Method, context: Any) -> None:
        peer = metadata.peer_of(context)
        while True:
            gateway = self._current.gateway
            try:
                body = await _message(context, gateway.listen.idle_timeout)
            except Refused as refused:
                await end(context, await gateway.refuse(refused, peer, method.path))
            if body is None:
                return
            await context.write(await self._part(gateway, method, context, peer, body))

    async def _part(self, gateway: Gateway, method: Method, context: Any, peer: Peer, body: bytes) -> bytes:
        """The answer to one message of a stream: a call of its own, so that nothing is let through by being one of
        many."""
        try:
            call = gateway.begin(method, context.invocation_metadata() or (), peer, body, context.time_remaining())
        except Refused as refused:
            answer = await gateway.refuse(refused, peer, method.path)
        else:
            answer = await gateway.answer(call)
        part = ModelStreamInferResponse()
        if answer.status == 200:
            part.infer_response.CopyFrom(ModelInferResponse.FromString(answer.body))
        else:
            said = status(answer)
            part.error_message = f"{said.code}: {said.text}"
        serialised: bytes = part.SerializeToString()
        return serialised


async def _message(context: Any, seconds: float) -> bytes | None:
    """The next message of a call; `None` at its end."""
    try:
        async with asyncio.timeout(seconds):
            message = await context.read()
    except TimeoutError:
        raise _SLOW from None
    return None if message is grpc.aio.EOF else message


async def end(context: Any, answer: Answer, identifier: str = "") -> NoReturn:
    """End a call with a refusal, or with a failure of the server."""
    said = status(answer)
    if identifier:
        said.trailing["x-request-id"] = identifier
    await context.abort(_CODES[said.code], said.text, tuple(said.trailing.items()))
    raise AssertionError
