"""Reloading, stopping, and what comes over the wire that is no gRPC."""

import asyncio
import contextlib
from typing import Any

import grpc
import grpc.aio
import pytest

from garrison.serving.calls import Answer, Call
from garrison.serving.config.config import Listen
from garrison.serving.grpc.gateway import Current
from garrison.serving.grpc.messages import ModelInferResponse
from garrison.serving.grpc.server import GrpcServer
from tests.serving.grpc.guards import INFER, LISTEN, ModelServer, Records, asked, failure, gateway, guarded, question

BODY = question().SerializeToString()


def named(name: str, begun: asyncio.Event | None = None, release: asyncio.Event | None = None) -> Any:
    async def forward(call: Call) -> Answer:
        if begun is not None and release is not None:
            begun.set()
            await release.wait()
        return Answer(200, ModelInferResponse(model_name=name).SerializeToString())

    return forward


def test_a_new_configuration_drops_no_call() -> None:
    async def run() -> tuple[str, str]:
        begun, release = asyncio.Event(), asyncio.Event()
        current = Current(gateway(named("old", begun, release), Records()))
        server = GrpcServer(current, LISTEN)
        await server.start()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
            first = asyncio.ensure_future(asked(channel, BODY))
            await begun.wait()
            current.gateway = gateway(named("new"), Records())
            second = await asked(channel, BODY)
            release.set()
            answers = [ModelInferResponse.FromString(one).model_name for one in (await first, second)]
        await server.stop(0)
        return answers[0], answers[1]

    assert asyncio.run(run()) == ("old", "new")


def test_stopping_waits_for_calls_that_have_begun_and_takes_no_others() -> None:
    records = Records()

    async def run() -> str:
        begun, release = asyncio.Event(), asyncio.Event()
        server = GrpcServer(Current(gateway(named("late", begun, release), records)), LISTEN)
        await server.start()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
            call = asyncio.ensure_future(asked(channel, BODY))
            await begun.wait()
            stopping = asyncio.ensure_future(server.stop(60))
            await asyncio.sleep(0.05)
            async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as other:
                assert (await failure(asked(other, BODY)))[0] == "UNAVAILABLE"
            release.set()
            answer = ModelInferResponse.FromString(await call).model_name
            await stopping
        return str(answer)

    assert asyncio.run(run()) == "late"
    assert records.told() == [(200, "")]


def test_calls_that_do_not_end_in_time_are_cancelled_and_on_record() -> None:
    records = Records()

    async def run() -> tuple[str, str]:
        begun = asyncio.Event()
        server = GrpcServer(Current(gateway(named("never", begun, asyncio.Event()), records)), LISTEN)
        await server.start()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
            call = asyncio.ensure_future(failure(asked(channel, BODY)))
            await begun.wait()
            await server.stop(0.1)
            return await call

    assert asyncio.run(run())[0] in ("UNAVAILABLE", "CANCELLED")
    assert records.told() == [(499, "cancelled")]


PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
WIRE = {
    "HTTP/1": b"POST /inference.GRPCInferenceService/ModelInfer HTTP/1.1\r\nhost: a\r\n\r\n",
    "no preface": b"\x00" * 64,
    "a frame that is longer than it may be": PREFACE + b"\xff\xff\xff\x00\x00\x00\x00\x00\x01",
    "continuations of nothing": PREFACE + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
    b"\x00\x00\x01\x09\x00\x00\x00\x00\x01\x82" * 50,
    "half a preface": b"PRI * HTT",
}


@pytest.mark.parametrize("name", WIRE)
def test_what_is_no_grpc_ends_its_connection_and_no_other(name: str) -> None:
    async def run() -> None:
        listen = Listen(grpc="127.0.0.1:0", header_timeout=0.5)
        async with guarded(ModelServer(), listen=listen) as address:
            host, port = address.split(":")
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(WIRE[name])
            async with grpc.aio.insecure_channel(address) as channel:
                await asked(channel, BODY)
            async with asyncio.timeout(30):
                with contextlib.suppress(ConnectionError):
                    while await reader.read(65536):
                        pass
            writer.close()
            async with grpc.aio.insecure_channel(address) as channel:
                await asked(channel, BODY)

    asyncio.run(run())


def test_calls_that_are_begun_and_taken_back_in_a_hurry_leave_nothing() -> None:
    records = Records()

    async def run() -> None:
        async with guarded(ModelServer(), records=records) as address, grpc.aio.insecure_channel(address) as channel:
            method = channel.unary_unary(INFER)
            for _ in range(5):
                calls = [method(BODY) for _ in range(100)]
                await asyncio.sleep(0)
                for call in calls:
                    call.cancel()
            # The core may refuse streams of a connection that takes so many back.
            async with asyncio.timeout(30):
                while True:
                    with contextlib.suppress(grpc.aio.AioRpcError):
                        await asked(channel, BODY)
                        break
                    await asyncio.sleep(0.01)

    asyncio.run(run())
    assert records.told()[-1] == (200, "")
    assert {refused for _, refused in records.told()} <= {"", "cancelled"}
