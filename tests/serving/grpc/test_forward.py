"""What the server behind says, and what of it goes on."""

import asyncio
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from garrison.core.errors import UsageError
from garrison.serving.calls import Call
from garrison.serving.config.config import Backend
from garrison.serving.grpc.forward import GrpcForward
from garrison.serving.grpc.messages import ModelInferRequest
from tests.serving.grpc.guards import INFER, Looking, ModelServer, Records, asked, before, failure, question
from tests.serving.servers import free_ports

BODY = question().SerializeToString()


def failing(code: grpc.StatusCode, details: str) -> ModelServer:
    async def fail(body: bytes, context: Any) -> bytes:
        await context.abort(code, details, (("x-inside", "secret"),))
        return b""

    return ModelServer({INFER: fail})


@pytest.mark.parametrize(
    ("code", "details", "passed"),
    [
        ("INVALID_ARGUMENT", "input x has shape [3]", ("INVALID_ARGUMENT", "input x has shape [3]")),
        ("INVALID_ARGUMENT", "a\nb" + "c" * 5000, ("INVALID_ARGUMENT", "a b" + "c" * 1021)),
        ("NOT_FOUND", "no such version", ("NOT_FOUND", "no such version")),
        ("INTERNAL", "Traceback ... /models/digits/1/model.py", ("INTERNAL", "the model server failed")),
        ("UNKNOWN", "KeyError: 'x'", ("UNKNOWN", "the model server failed")),
        ("UNAUTHENTICATED", "bad token", ("UNAVAILABLE", "the model server failed")),
        ("UNAVAILABLE", "10.0.0.7 is loading", ("UNAVAILABLE", "the model server cannot be reached")),
        ("DEADLINE_EXCEEDED", "", ("DEADLINE_EXCEEDED", "the model server did not answer in time")),
    ],
)
def test_failures_pass_as_what_they_are_and_tell_nothing_of_the_inside(
    code: str, details: str, passed: tuple[str, str]
) -> None:
    async def run() -> None:
        async with before(failing(grpc.StatusCode[code], details)) as channel:
            call = channel.unary_unary(INFER)(BODY)
            assert await failure(call) == passed
            assert "x-inside" not in dict(await call.trailing_metadata())

    asyncio.run(run())


def test_a_dead_server_is_said_to_be_out_of_reach_and_asked_again_when_it_is_back() -> None:
    records = Records()
    (port,) = free_ports(1)

    async def run() -> None:
        async with before(f"127.0.0.1:{port}", records=records) as channel:
            for _ in range(2):
                assert await failure(asked(channel, BODY)) == ("UNAVAILABLE", "the model server cannot be reached")
            server = grpc.aio.server(handlers=(ModelServer(),))
            server.add_insecure_port(f"127.0.0.1:{port}")
            await server.start()
            try:
                async with asyncio.timeout(30):
                    while True:
                        try:
                            await asked(channel, BODY)
                            break
                        except grpc.aio.AioRpcError:
                            await asyncio.sleep(0.05)
            finally:
                await server.stop(0)

    asyncio.run(run())
    assert records.told()[:2] == [(502, "backend")] * 2
    assert records.told()[-1] == (200, "")


def test_no_request_is_sent_twice() -> None:
    backend = failing(grpc.StatusCode.UNAVAILABLE, "")

    async def run() -> None:
        async with before(backend) as channel:
            await failure(asked(channel, BODY))

    asyncio.run(run())
    assert len(backend.asked) == 1


def test_an_answer_that_is_none_does_not_go_on() -> None:
    async def nonsense(body: bytes, context: Any) -> bytes:
        return b"\xff\xff"

    async def run() -> tuple[str, str]:
        async with before(ModelServer({INFER: nonsense}), stages=[Looking()]) as channel:
            return await failure(asked(channel, BODY))

    assert asyncio.run(run()) == ("UNAVAILABLE", "the model server's answer cannot be read")


def test_another_model_in_a_models_place_is_asked_by_its_own_name() -> None:
    backend = ModelServer()

    def replace(call: Call) -> None:
        call.requested, call.model, call.version = call.model, "fallback", ""

    async def run() -> None:
        async with before(backend, stages=[Looking(replace)]) as channel:
            await asked(channel, question(model_version="3").SerializeToString())

    asyncio.run(run())
    sent = ModelInferRequest.FromString(backend.asked[0][1])
    assert (sent.model_name, sent.model_version) == ("fallback", "")


def test_over_a_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "s"

    async def run() -> None:
        server = grpc.aio.server(handlers=(ModelServer(),))
        server.add_insecure_port(f"unix:{path}")
        await server.start()
        try:
            async with before(f"unix:{path}") as channel:
                assert await asked(channel, BODY)
        finally:
            await server.stop(0)

    asyncio.run(run())


@pytest.mark.parametrize("address", ["host", "unix:relative", "dns:///host:1", "https://host", "http://a:1/b", ":1"])
def test_addresses_that_are_none(address: str) -> None:
    async def run() -> None:
        GrpcForward({"default": Backend(grpc=address)})

    with pytest.raises(UsageError, match="address"):
        asyncio.run(run())
