"""A guard with the stages of a test, a gRPC server to put behind it, and a channel before it."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import grpc
import grpc.aio
import numpy as np

from garrison.serving.calls import Answer, Call
from garrison.serving.config.config import Backend, Listen, Model
from garrison.serving.grpc.forward import GrpcForward
from garrison.serving.grpc.gateway import Current, Gateway
from garrison.serving.grpc.messages import ModelInferRequest, ModelInferResponse
from garrison.serving.grpc.server import GrpcServer
from garrison.serving.guard import Guard
from garrison.serving.stages import OnFailure, Stage

SERVICE = "/inference.GRPCInferenceService/"
INFER = f"{SERVICE}ModelInfer"

LISTEN = Listen(grpc="127.0.0.1:0")

Behaviour = Callable[[bytes, Any], Awaitable[bytes]]


class Records:
    """What was recorded: the call, the status of its answer, and why it was refused."""

    on_failure: OnFailure = "closed"

    def __init__(self) -> None:
        self.lines: list[tuple[Call, int, str]] = []

    def record(self, call: Call, answer: Answer, refused: str) -> None:
        self.lines.append((call, answer.status, refused))

    def told(self) -> list[tuple[int, str]]:
        return [(status, refused) for _, status, refused in self.lines]


class Looking:
    """A stage that reads everything, and does what a test tells it."""

    name = "looking"
    on_failure: OnFailure = "closed"

    def __init__(
        self,
        before: Callable[[Call], Any] = lambda call: call.tensors(),
        after: Callable[[Call, Answer], Any] = lambda call, answer: answer.tensors(call),
    ) -> None:
        self._before = before
        self._after = after

    def before(self, call: Call) -> Awaitable[None] | None:
        self._before(call)
        return None

    def after(self, call: Call, answer: Answer) -> Awaitable[None] | None:
        self._after(call, answer)
        return None


class ModelServer(grpc.GenericRpcHandler):  # type: ignore[misc]
    """A server that notes what it is asked; `behaviours` by method answer in place of the usual ones."""

    def __init__(self, behaviours: dict[str, Behaviour] | None = None) -> None:
        self.asked: list[tuple[str, bytes]] = []
        self.metadata: list[dict[str, Any]] = []
        self._behaviours = behaviours or {}

    def service(self, details: Any) -> Any:
        method = details.method

        async def answer(body: bytes, context: Any) -> bytes:
            self.asked.append((method, body))
            self.metadata.append(dict(context.invocation_metadata()))
            behaviour = self._behaviours.get(method)
            if behaviour is not None:
                return await behaviour(body, context)
            return doubled(body) if method == INFER else b""

        return grpc.unary_unary_rpc_method_handler(answer)


def doubled(body: bytes) -> bytes:
    """An answer whose output `y` is twice the input, in the form that the input has."""
    request = ModelInferRequest.FromString(body)
    response = ModelInferResponse(model_name=request.model_name, id=request.id)
    for index, one in enumerate(request.inputs):
        output = response.outputs.add(name="y", datatype=one.datatype, shape=one.shape)
        if request.raw_input_contents:
            data = np.frombuffer(request.raw_input_contents[index], np.float32) * 2
            response.raw_output_contents.append(data.tobytes())
        else:
            output.contents.fp32_contents.extend(2 * value for value in one.contents.fp32_contents)
    serialised: bytes = response.SerializeToString()
    return serialised


def question(values: Sequence[float] = (1.0, 2.0), *, model: str = "m", raw: bool = True, **fields: Any) -> Any:
    """A request for a model with one input `x` of FP32."""
    request = ModelInferRequest(model_name=model, **fields)
    one = request.inputs.add(name="x", datatype="FP32", shape=[len(values)])
    if raw:
        request.raw_input_contents.append(np.array(values, np.float32).tobytes())
    else:
        one.contents.fp32_contents.extend(values)
    return request


def gateway(forward: Any, records: Records, stages: Sequence[Stage] = (), listen: Listen = LISTEN) -> Gateway:
    def failed(name: str, error: BaseException) -> None:
        raise AssertionError(f"{name} failed") from error

    return Gateway(Guard({"m": Model()}, lambda model: stages, records, failed), forward, listen=listen)


@contextlib.asynccontextmanager
async def backend_at(backend: ModelServer, options: Sequence[tuple[str, Any]] = ()) -> AsyncIterator[str]:
    server = grpc.aio.server(handlers=(backend,), options=[("grpc.so_reuseport", 0), *options])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(0)


@contextlib.asynccontextmanager
async def guarded(
    backend: ModelServer | str,
    *,
    records: Records | None = None,
    stages: Sequence[Stage] = (),
    listen: Listen = LISTEN,
    **bounds: Any,
) -> AsyncIterator[str]:
    """The address of a guard before a server, or before the address of one; `bounds` are the backend's."""
    async with contextlib.AsyncExitStack() as stack:
        behind = backend if isinstance(backend, str) else await stack.enter_async_context(backend_at(backend))
        forward = GrpcForward({"default": Backend(grpc=behind, **bounds)})
        stack.push_async_callback(forward.close)
        current = Current(gateway(forward, records or Records(), stages, listen))
        server = GrpcServer(current, listen)
        await server.start()
        stack.push_async_callback(server.stop, 0)
        yield f"127.0.0.1:{server.port}"


@contextlib.asynccontextmanager
async def before(backend: ModelServer | str, **options: Any) -> AsyncIterator[Any]:
    """A channel to a guard before a server."""
    async with guarded(backend, **options) as address, grpc.aio.insecure_channel(address) as channel:
        yield channel


async def asked(channel: Any, body: bytes, *, method: str = INFER, **options: Any) -> bytes:
    answer: bytes = await channel.unary_unary(method)(body, **options)
    return answer


async def failure(awaitable: Awaitable[Any]) -> tuple[str, str]:
    """The code and the text of a call that fails."""
    try:
        await awaitable
    except grpc.aio.AioRpcError as error:
        return error.code().name, error.details() or ""
    raise AssertionError("the call was answered")
