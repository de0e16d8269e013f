"""The guard inside somebody's own gRPC server, before the methods that it has.

It is the only interceptor that decides: what it does not know (reflection, another service) is refused, so that
nothing that the server registers besides the protocol is open by accident.
"""

from collections.abc import Awaitable, Callable
from typing import Any, NoReturn

import grpc
import grpc.aio

from garrison.serving.calls import Answer, Call
from garrison.serving.grpc import metadata
from garrison.serving.grpc.gateway import Current
from garrison.serving.grpc.methods import METHODS, Method
from garrison.serving.grpc.server import end
from garrison.serving.grpc.statuses import failure
from garrison.serving.refusals import Reason, Refused

_ABSENT = Refused(Reason.METHOD, "there is no such method")
_STREAM = Refused(Reason.METHOD, "streams are not offered here: ask for one answer at a time")


class GuardInterceptor(grpc.aio.ServerInterceptor):  # type: ignore[misc]
    """Give it to `grpc.aio.server(interceptors=...)`. The forward of its gateway is not used: the server's own methods
    answer.

    Streams are refused: a server's own method takes a stream as a whole, and the guard answers for each message.
    """

    def __init__(self, current: Current) -> None:
        self._current = current

    async def intercept_service(self, continuation: Callable[[Any], Awaitable[Any]], details: Any) -> Any:
        method = METHODS.get(details.method)
        handler = await continuation(details) if method is not None else None
        if method is None or handler is None:
            return self._refusing(_ABSENT, details.method)
        if method.stream or handler.unary_unary is None:
            return self._refusing(_STREAM, details.method)

        async def guarded(body: bytes, context: Any) -> bytes:
            return await self._answer(method, handler, body, context)

        return grpc.unary_unary_rpc_method_handler(guarded)

    def _refusing(self, refused: Refused, path: str) -> Any:
        async def refuse(messages: Any, context: Any) -> NoReturn:
            await end(context, await self._current.gateway.refuse(refused, metadata.peer_of(context), path))

        return grpc.stream_unary_rpc_method_handler(refuse)

    async def _answer(self, method: Method, handler: Any, body: bytes, context: Any) -> bytes:
        gateway = self._current.gateway
        peer = metadata.peer_of(context)
        try:
            call = gateway.begin(method, context.invocation_metadata() or (), peer, body, context.time_remaining())
        except Refused as refused:
            await end(context, await gateway.refuse(refused, peer, method.path))

        async def own(call: Call) -> Answer:
            call.tensors()
            inner = _Context(context)
            try:
                message = handler.request_deserializer(call.body)
                response = await handler.unary_unary(message, inner)
            except _Aborted:
                return failure(inner.failure.name, inner.text)
            if inner.failure is not grpc.StatusCode.OK:
                return failure(inner.failure.name, inner.text)
            return Answer(200, handler.response_serializer(response))

        answer = await gateway.answer_by(call, own)
        context.set_trailing_metadata((("x-request-id", call.identifier),))
        if answer.status != 200:
            await end(context, answer, call.identifier)
        return answer.body


class _Aborted(Exception):
    """A method has ended its call."""


class _Context:
    """The context of a call as its method sees it. How the call ends is the guard's to say, when it is on record."""

    def __init__(self, context: Any) -> None:
        self._context = context
        self.failure = grpc.StatusCode.OK
        self.text = ""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    async def abort(self, code: Any, details: str = "", trailing_metadata: Any = ()) -> NoReturn:
        self.failure, self.text = code, details
        raise _Aborted

    async def abort_with_status(self, status: Any) -> NoReturn:
        await self.abort(status.code, status.details)

    def set_code(self, code: Any) -> None:
        self.failure = code

    def set_details(self, details: str) -> None:
        self.text = details

    def code(self) -> Any:
        return self.failure

    def details(self) -> str:
        return self.text

    def set_trailing_metadata(self, trailing_metadata: Any) -> None:
        """Nothing of a server's goes back but its message."""

    async def send_initial_metadata(self, initial_metadata: Any) -> None:
        """Likewise."""
