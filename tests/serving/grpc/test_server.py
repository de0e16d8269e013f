"""What holds on REST holds on gRPC: over real channels, before a real server of gRPC's."""

import asyncio
from typing import Any

import grpc
import grpc.aio
import numpy as np
import pytest

from garrison.serving.calls import Action, Answer, Call, Peer
from garrison.serving.config.config import Listen
from garrison.serving.grpc.gateway import Gateway
from garrison.serving.grpc.messages import ModelInferRequest, ModelInferResponse, ModelStreamInferResponse, message
from garrison.serving.grpc.methods import METHODS
from garrison.serving.guard import Guard
from garrison.serving.http.routes import ROUTES
from garrison.serving.refusals import Reason, Refused
from garrison.serving.tensors.tensor import Tensor
from tests.serving.grpc.guards import INFER, SERVICE, Looking, ModelServer, Records, asked, before, failure, question


@pytest.mark.parametrize("raw", [True, False])
def test_a_call_goes_through_the_stages_and_is_answered_in_the_form_it_has(raw: bool) -> None:
    records, seen = Records(), []

    def look(call: Call) -> None:
        values = call.tensors()[0].data.tolist()
        seen.append((call.action, call.model, call.name, call.headers["authorization"], call.peer.address))
        seen.append(values)

    def halve(call: Call, answer: Answer) -> None:
        outputs = answer.tensors(call)
        answer.replace(call, tuple(Tensor(t.name, t.datatype, t.shape, t.data / 2, t.parameters) for t in outputs))

    async def run() -> Any:
        async with before(ModelServer(), records=records, stages=[Looking(look, halve)]) as channel:
            body = question((1.5, 2.5), raw=raw, id="mine").SerializeToString()
            return ModelInferResponse.FromString(
                await asked(channel, body, metadata=(("authorization", "Bearer key"),))
            )

    answer = asyncio.run(run())
    assert seen == [(Action.INFER, "m", "mine", "Bearer key", "127.0.0.1"), [1.5, 2.5]]
    assert records.told() == [(200, "")]
    assert answer.id == "mine"
    if raw:
        assert np.frombuffer(answer.raw_output_contents[0], np.float32).tolist() == [1.5, 2.5]
    else:
        assert list(answer.outputs[0].contents.fp32_contents) == [1.5, 2.5]
        assert not answer.raw_output_contents


def test_what_is_not_understood_does_not_go_on_even_if_no_stage_looks() -> None:
    backend = ModelServer()
    clean = question().SerializeToString()
    unknown = b"\xaa\x3e\x05proof"  # field 997

    async def run() -> None:
        async with before(backend) as channel:
            await asked(channel, clean + unknown)
            await asked(
                channel,
                message("RepositoryIndexRequest")(ready=True).SerializeToString() + unknown,
                method=f"{SERVICE}RepositoryIndex",
            )

    asyncio.run(run())
    assert backend.asked == [(INFER, clean), (f"{SERVICE}RepositoryIndex", b"\x10\x01")]


@pytest.mark.parametrize(
    "method",
    [
        f"{SERVICE}ModelInfers",
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        "/inference.Other/ModelInfer",
        "/grpc.health.v1.Health/Watch",
    ],
)
def test_other_methods_do_not_exist_and_are_on_record(method: str) -> None:
    backend, records = ModelServer(), Records()

    async def run() -> tuple[str, str]:
        async with before(backend, records=records) as channel:
            return await failure(asked(channel, b"", method=method))

    assert asyncio.run(run()) == ("UNIMPLEMENTED", "there is no such method")
    assert records.told() == [(405, "method")]
    assert not backend.asked


@pytest.mark.parametrize("path", sorted(METHODS))
def test_no_method_goes_round_the_stages(path: str) -> None:
    backend, records = ModelServer(), Records()

    def refuse(call: Call) -> None:
        raise Refused(Reason.UNAUTHENTICATED, "who are you")

    async def run() -> None:
        method = METHODS[path]
        request = method.request()
        if method.model:
            setattr(request, method.model, "m")
        body = request.SerializeToString()
        async with before(backend, records=records, stages=[Looking(refuse)]) as channel:
            if method.stream:
                parts = [part async for part in channel.stream_stream(path)(iter([body]))]
                said = ModelStreamInferResponse.FromString(parts[0]).error_message
                assert said == "UNAUTHENTICATED: who are you"
            else:
                assert await failure(asked(channel, body, method=path)) == ("UNAUTHENTICATED", "who are you")

    asyncio.run(run())
    assert records.told() == [(401, "unauthenticated")]
    assert records.lines[0][0].action is METHODS[path].action
    assert not backend.asked


def test_what_is_asked_for_counts_as_the_same_over_rest() -> None:
    over_rest = {route.operation: route.action for route in ROUTES}
    for method in METHODS.values():
        assert over_rest[method.operation] is method.action, method.path
        assert bool(method.model) >= (method.action in (Action.INFER, Action.METADATA, Action.MANAGE)), method.path


MALFORMED = {
    "no protobuf": b"\xff\xff\xff",
    "no text": b"\x0a\x01\xff",
    "no model": question(model="").SerializeToString(),
    "a path for a model": question(model="../m").SerializeToString(),
    "a path for a version": question(model_version="1/../2").SerializeToString(),
    "a long name": question(model="m" * 300).SerializeToString(),
    "lengths that lie": ModelInferRequest(
        model_name="m",
        inputs=[{"name": "x", "datatype": "FP32", "shape": [3]}],
        raw_input_contents=[b"\0" * 8],
    ).SerializeToString(),
    "a negative shape": ModelInferRequest(
        model_name="m",
        inputs=[{"name": "x", "datatype": "FP32", "shape": [-1, -2]}],
        raw_input_contents=[b"\0" * 8],
    ).SerializeToString(),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_requests_stop_here(name: str) -> None:
    backend, records = ModelServer(), Records()

    async def run() -> tuple[str, str]:
        async with before(backend, records=records) as channel:
            return await failure(asked(channel, MALFORMED[name]))

    assert asyncio.run(run())[0] == "INVALID_ARGUMENT"
    assert records.told() == [(400, "malformed")]
    assert not backend.asked


def test_models_that_are_not_served_and_ones_that_bring_code_along() -> None:
    backend, records = ModelServer(), Records()
    load = message("RepositoryModelLoadRequest")

    async def run() -> None:
        async with before(backend, records=records) as channel:
            assert (await failure(asked(channel, question(model="other").SerializeToString())))[0] == "NOT_FOUND"
            for body in (
                load(model_name="m", parameters={"config": {"string_param": "{}"}}),
                load(model_name="m", parameters={"file:1/model.py": {"bytes_param": b"import os"}}),
            ):
                method = f"{SERVICE}RepositoryModelLoad"
                code, _ = await failure(asked(channel, body.SerializeToString(), method=method))
                assert code == "PERMISSION_DENIED"
            await asked(channel, load(model_name="m").SerializeToString(), method=f"{SERVICE}RepositoryModelLoad")

    asyncio.run(run())
    assert [refused for _, refused in records.told()] == ["unknown", "forbidden", "forbidden", ""]
    assert [body for _, body in backend.asked] == [b"\x12\x01m"]


def test_refusals_have_the_codes_of_grpc_and_say_when_to_come_again() -> None:
    def refuse(call: Call) -> None:
        raise Refused(Reason.LIMITED, "too many", retry_after=3)

    async def run() -> None:
        async with before(ModelServer(), stages=[Looking(refuse)]) as channel:
            call = channel.unary_unary(INFER)(question().SerializeToString())
            with pytest.raises(grpc.aio.AioRpcError, match="too many"):
                await call
            trailing = dict(await call.trailing_metadata())
            assert await call.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert trailing["reason"] == "limited"
            assert trailing["retry-after"] == "3"
            assert trailing["x-request-id"]

    asyncio.run(run())


def test_what_metadata_may_come() -> None:
    backend = ModelServer()

    async def run() -> None:
        body = question().SerializeToString()
        async with before(backend, listen=Listen(grpc="127.0.0.1:0", max_headers=8)) as channel:
            twice = (("authorization", "Bearer a"), ("authorization", "Bearer b"))
            assert (await failure(asked(channel, body, metadata=twice)))[0] == "INVALID_ARGUMENT"
            many = tuple((f"x-{number}", "a") for number in range(10))
            assert (await failure(asked(channel, body, metadata=many)))[0] == "RESOURCE_EXHAUSTED"
            long = (("x-long", "a" * 30_000),)
            assert (await failure(asked(channel, body, metadata=long)))[0] == "RESOURCE_EXHAUSTED"
            assert not backend.asked
            passing = (("authorization", "Bearer a"), ("cookie", "secret"), ("x-bin", b"\xff"))
            await asked(channel, body, metadata=passing)

    asyncio.run(run())
    assert set(backend.metadata[0]) == {"user-agent"}


def test_a_trace_goes_on_to_the_server() -> None:
    backend = ModelServer()
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

    async def run() -> None:
        async with before(backend, stages=[Looking(lambda call: setattr(call, "trace", trace))]) as channel:
            await asked(channel, question().SerializeToString())

    asyncio.run(run())
    assert backend.metadata[0]["traceparent"] == trace


def test_sizes_are_bounded_both_ways_and_nothing_is_compressed() -> None:
    async def large(body: bytes, context: Any) -> bytes:
        return b"\x0a" + b"\x80\x80\x04" + b"m" * 65536

    backend = ModelServer({INFER: large})

    async def run() -> None:
        async with before(backend, listen=Listen(grpc="127.0.0.1:0", max_body=4096), max_answer=1024) as channel:
            code, _ = await failure(asked(channel, question([0.0] * 2000).SerializeToString()))
            assert code == "RESOURCE_EXHAUSTED"
            # Compressed ones are small on the way, and may be large here.
            code, _ = await failure(asked(channel, question().SerializeToString(), compression=grpc.Compression.Gzip))
            assert code == "UNIMPLEMENTED"
            assert not backend.asked
            code, _ = await failure(asked(channel, question().SerializeToString()))
            assert code in ("RESOURCE_EXHAUSTED", "INTERNAL")

    asyncio.run(run())


def test_a_caller_that_leaves_stops_its_call_and_that_is_on_record() -> None:
    records = Records()
    cancelled = []

    async def run() -> None:
        begun = asyncio.Event()

        async def slow(body: bytes, context: Any) -> bytes:
            begun.set()
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                cancelled.append(True)
                raise
            return b""

        async with before(ModelServer({INFER: slow}), records=records) as channel:
            call = channel.unary_unary(INFER)(question().SerializeToString())
            task = asyncio.ensure_future(failure(call))
            await begun.wait()
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            async with asyncio.timeout(30):
                while not (records.lines and cancelled):
                    await asyncio.sleep(0.01)

    asyncio.run(run())
    assert records.told() == [(499, "cancelled")]
    assert cancelled == [True]


def test_deadlines_bind_the_guard_and_the_server_behind() -> None:
    records = Records()
    remaining = []

    async def run() -> None:
        async def slow(body: bytes, context: Any) -> bytes:
            remaining.append(context.time_remaining())
            await asyncio.sleep(60)
            return b""

        async with before(ModelServer({INFER: slow}), records=records, timeout=0.2) as channel:
            body = question().SerializeToString()
            code, text = await failure(asked(channel, body, timeout=100))
            assert (code, text) == ("DEADLINE_EXCEEDED", "the model server did not answer in time")
        async with before(ModelServer({INFER: slow}), records=records) as channel:
            assert (await failure(asked(channel, body, timeout=0.3)))[0] == "DEADLINE_EXCEEDED"

    asyncio.run(run())
    assert max(remaining) < 0.4
    assert records.told()[0] == (504, "deadline")


def test_a_message_that_does_not_come_ends_its_call() -> None:
    records = Records()

    async def run() -> tuple[str, str]:
        async with before(
            ModelServer(), records=records, listen=Listen(grpc="127.0.0.1:0", body_timeout=0.2)
        ) as channel:

            async def never() -> Any:
                await asyncio.sleep(60)
                yield b""

            return await failure(channel.stream_unary(INFER)(never()))

    assert asyncio.run(run()) == ("DEADLINE_EXCEEDED", "the request did not come in time")
    assert records.told() == [(408, "slow")]


def test_a_call_without_a_message_is_malformed() -> None:
    async def run() -> tuple[str, str]:
        async with before(ModelServer()) as channel:
            return await failure(channel.stream_unary(INFER)(iter([])))

    assert asyncio.run(run()) == ("INVALID_ARGUMENT", "the request has no message")


def test_each_message_of_a_stream_is_a_call_of_its_own() -> None:
    records = Records()

    def positive(call: Call) -> None:
        if call.tensors()[0].data.min() < 0:
            raise Refused(Reason.UNACCEPTABLE, "out of range")

    async def run() -> list[Any]:
        async with before(ModelServer(), records=records, stages=[Looking(positive)]) as channel:
            stream = channel.stream_stream(f"{SERVICE}ModelStreamInfer")
            bodies = [question((value,)).SerializeToString() for value in (1, -1, 3)] + [b"\xff"]
            return [ModelStreamInferResponse.FromString(part) async for part in stream(iter(bodies))]

    parts = asyncio.run(run())
    numbers = [np.frombuffer(p.infer_response.raw_output_contents[0], np.float32)[0] for p in (parts[0], parts[2])]
    assert numbers == [2, 6]
    assert [part.error_message for part in parts[1::2]] == [
        "INVALID_ARGUMENT: out of range",
        "INVALID_ARGUMENT: the message cannot be read",
    ]
    assert [refused for _, refused in records.told()] == ["", "unacceptable", "", "malformed"]


def test_health_is_answered_by_the_guard_itself() -> None:
    backend = ModelServer()

    async def run() -> None:
        async with before(backend) as channel:
            check = "/grpc.health.v1.Health/Check"
            assert await asked(channel, b"", method=check) == b"\x08\x01"
            named = b"\x0a\x1einference.GRPCInferenceService"
            assert await asked(channel, named, method=check) == b"\x08\x01"
            assert (await failure(asked(channel, b"\x0a\x01a", method=check)))[0] == "NOT_FOUND"

    asyncio.run(run())
    assert not backend.asked


def test_no_more_calls_at_once_than_there_may_be() -> None:
    async def run() -> None:
        release = asyncio.Event()
        begun = asyncio.Event()

        async def slow(body: bytes, context: Any) -> bytes:
            begun.set()
            await release.wait()
            return b""

        async with before(ModelServer({INFER: slow}), listen=Listen(grpc="127.0.0.1:0", max_calls=1)) as channel:
            body = question().SerializeToString()
            first = asyncio.ensure_future(asked(channel, body))
            await begun.wait()
            assert (await failure(asked(channel, body)))[0] == "RESOURCE_EXHAUSTED"
            release.set()
            await first

    asyncio.run(run())


def test_a_model_may_take_less_than_others() -> None:
    records = Records()

    async def forward(call: Call) -> Answer:
        raise AssertionError("forwarded")

    narrow = Gateway(Guard({}, lambda model: (), records, lambda name, error: None), forward, max_bodies={"m": 100})
    method = METHODS[INFER]
    with pytest.raises(Refused, match="too large"):
        narrow.begin(method, (), Peer(), question([0.0] * 50).SerializeToString(), None)
    narrow.begin(method, (), Peer(), question([0.0] * 50, model="other").SerializeToString(), None)
