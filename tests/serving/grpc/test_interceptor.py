"""The guard inside a server that has methods of its own."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

import grpc
import grpc.aio
import pytest

from garrison.serving.calls import Call
from garrison.serving.grpc.gateway import Current
from garrison.serving.grpc.interceptor import GuardInterceptor
from garrison.serving.grpc.messages import ModelInferRequest, ModelInferResponse
from garrison.serving.refusals import Reason, Refused
from garrison.serving.stages import Stage
from tests.serving.grpc.guards import INFER, SERVICE, Looking, Records, asked, doubled, failure, gateway, question

REFLECTION = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
STREAM = f"{SERVICE}ModelStreamInfer"


class Own(grpc.GenericRpcHandler):  # type: ignore[misc]
    """Methods as generated code registers them, with messages instead of bytes."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    def service(self, details: Any) -> Any:
        if details.method in (STREAM, REFLECTION):
            return grpc.stream_stream_rpc_method_handler(self.stream)
        if details.method != INFER:
            return None
        return grpc.unary_unary_rpc_method_handler(
            self.infer,
            request_deserializer=ModelInferRequest.FromString,
            response_serializer=ModelInferResponse.SerializeToString,
        )

    async def stream(self, messages: Any, context: Any) -> AsyncIterator[bytes]:
        yield b"open"

    async def infer(self, request: Any, context: Any) -> Any:
        self.asked.append(request)
        if request.id == "abort":
            context.set_trailing_metadata((("inside", "secret"),))
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "bad input")
        if request.id == "code":
            context.set_code(grpc.StatusCode.INTERNAL)
            context.set_details("Traceback")
        return ModelInferResponse.FromString(doubled(request.SerializeToString()))


@contextlib.asynccontextmanager
async def inside(own: Own, records: Records, stages: Sequence[Stage] = ()) -> AsyncIterator[Any]:
    guard = GuardInterceptor(Current(gateway(None, records, stages)))
    server = grpc.aio.server(handlers=(own,), interceptors=(guard,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield channel
    finally:
        await server.stop(0)


def test_calls_go_through_the_stages_to_the_servers_own_methods() -> None:
    own, records = Own(), Records()

    async def run() -> bytes:
        async with inside(own, records, [Looking()]) as channel:
            return await asked(channel, question(id="a").SerializeToString() + b"\xaa\x3e\x05proof")

    answer = ModelInferResponse.FromString(asyncio.run(run()))
    assert answer.id == "a"
    assert own.asked == [question(id="a")]
    assert records.told() == [(200, "")]


def test_what_is_refused_does_not_reach_them() -> None:
    own, records = Own(), Records()

    def refuse(call: Call) -> None:
        raise Refused(Reason.UNAUTHENTICATED, "who are you")

    async def run() -> None:
        async with inside(own, records, [Looking(refuse)]) as channel:
            assert await failure(asked(channel, question().SerializeToString())) == ("UNAUTHENTICATED", "who are you")
            assert (await failure(asked(channel, b"\xff")))[0] == "INVALID_ARGUMENT"

    asyncio.run(run())
    assert own.asked == []
    assert records.told() == [(401, "unauthenticated"), (400, "malformed")]


@pytest.mark.parametrize("path", [STREAM, REFLECTION, f"{SERVICE}RepositoryIndex", "/other.Service/Method"])
def test_nothing_that_the_server_registers_goes_round_it(path: str) -> None:
    records = Records()

    async def run() -> None:
        async with inside(Own(), records) as channel:
            call = channel.stream_stream(path)(iter([question().SerializeToString()]))
            with pytest.raises(grpc.aio.AioRpcError) as failed:
                [part async for part in call]
            assert failed.value.code() is grpc.StatusCode.UNIMPLEMENTED

    asyncio.run(run())
    assert records.told() == [(405, "method")]


def test_how_a_method_ends_its_call_is_on_record_before_it_is_out() -> None:
    records = Records()

    async def run() -> None:
        async with inside(Own(), records) as channel:
            call = channel.unary_unary(INFER)(question(id="abort").SerializeToString())
            assert await failure(call) == ("INVALID_ARGUMENT", "bad input")
            assert "inside" not in dict(await call.trailing_metadata())
            answered = await failure(asked(channel, question(id="code").SerializeToString()))
            assert answered == ("INTERNAL", "the model server failed")

    asyncio.run(run())
    assert records.told() == [(400, ""), (500, "")]
