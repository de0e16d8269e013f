"""A guard with no stages, servers to put behind it, and raw sockets before it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence

import msgspec

from garrison.serving.calls import Answer, Call, Codec, Forward
from garrison.serving.config.config import Backend, Listen, Model
from garrison.serving.guard import Guard
from garrison.serving.http.gateway import Current, Gateway
from garrison.serving.http.pool import Pool
from garrison.serving.http.server import Server
from garrison.serving.stages import Stage
from garrison.serving.tensors.tensor import Tensor

_LISTEN = Listen()
_BACKEND = Backend()


class Passing:
    """A codec that reads nothing."""

    def read(self, call: Call) -> tuple[Tensor, ...]:
        return ()

    def outputs(self, call: Call, answer: Answer) -> tuple[Tensor, ...]:
        return ()

    def write(self, call: Call, answer: Answer, outputs: tuple[Tensor, ...]) -> None:
        raise NotImplementedError


CODECS: dict[str, Codec] = {"v2": Passing(), "v1": Passing(), "generate": Passing()}


class Records:
    """What was recorded: the call, the status of its answer, and why it was refused."""

    on_failure = "closed"

    def __init__(self) -> None:
        self.lines: list[tuple[Call, int, str]] = []

    def record(self, call: Call, answer: Answer, refused: str) -> None:
        self.lines.append((call, answer.status, refused))


def gateway(
    forward: Forward,
    *,
    records: Records | None = None,
    listen: Listen = _LISTEN,
    models: Sequence[str] = ("m",),
    codecs: Mapping[str, Codec] | None = None,
    stages: Sequence[Stage] = (),
    **options: object,
) -> Gateway:
    def failed(name: str, error: BaseException) -> None:
        raise AssertionError(f"{name} failed") from error

    guard = Guard({name: Model() for name in models}, lambda model: stages, records or Records(), failed)
    return Gateway(guard, forward, codecs=CODECS if codecs is None else codecs, listen=listen, **options)  # type: ignore[arg-type]


async def echo(call: Call) -> Answer:
    """Answers with what the server would have been asked."""
    return Answer(200, call.method.encode() + b" " + call.target.encode() + b" " + call.body)


@contextlib.asynccontextmanager
async def serving(made: Gateway) -> AsyncIterator[Server]:
    server = Server(Current(made), Listen(http="127.0.0.1:0"))
    await server.start()
    try:
        yield server
    finally:
        await server.stop(grace=5)


async def exchange(port: int, *sent: bytes) -> bytes:
    """All that a server answers to these bytes until it closes the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for part in sent:
            writer.write(part)
            with contextlib.suppress(ConnectionError):
                await writer.drain()
        async with asyncio.timeout(20):
            answer = b""
            with contextlib.suppress(ConnectionError):
                while part := await reader.read(65536):
                    answer += part
            return answer
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def backend(behave: Behaviour, settings: Backend = _BACKEND) -> AsyncIterator[Pool]:
    """A pool before a server that behaves as told on each connection."""
    running: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        running.add(task)
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await behave(reader, writer)
        finally:
            running.discard(task)
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    pool = Pool(msgspec.structs.replace(settings, http=f"http://127.0.0.1:{port}"))
    try:
        yield pool
    finally:
        await pool.close()
        server.close()
        for task in tuple(running):
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await server.wait_closed()


async def request(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """The head and the body of the request that comes next."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = 0
    for line in head.split(b"\r\n"):
        if line.lower().startswith(b"content-length:"):
            length = int(line.split(b":")[1])
    return head, await reader.readexactly(length)
