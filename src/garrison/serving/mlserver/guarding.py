"""The guards of runtimes: one for each configuration, whatever number of models it guards.

Apart from the runtime, whose module MLServer reads anew whenever it makes a model.
"""

import multiprocessing
import os
from typing import Any

import msgspec
from mlserver.types import InferenceRequest, InferenceResponse

from garrison.core.errors import UsageError
from garrison.serving.calls import Action, Answer, Call, Peer, Wanted
from garrison.serving.config.reading import read
from garrison.serving.mlserver.payloads import inputs, outputs, replaced
from garrison.serving.refusals import Reason, Refused
from garrison.serving.running import Running
from garrison.serving.tensors.tensor import Tensor

_NO_OTHER = Refused(Reason.BACKEND, "no other model can answer here")


class Payload:
    """The codec of one request that MLServer has read, and the runtime that answers it."""

    def __init__(self, payload: InferenceRequest, runtime: Any) -> None:
        self.response: InferenceResponse | None = None
        """The answer as it leaves."""
        self._payload = payload
        self._runtime = runtime

    def read(self, call: Call) -> tuple[Tensor, ...]:
        call.parameters = _parameters(self._payload, {"headers"})
        call.name = self._payload.id or ""
        call.wanted = tuple(Wanted(one.name, _parameters(one)) for one in self._payload.outputs or ())
        return inputs(self._payload)

    async def ask(self, call: Call) -> Answer:
        """The runtime's answer. What it raises passes."""
        if call.requested:
            raise _NO_OTHER
        call.tensors()
        self.response = await self._runtime.predict(self._payload)
        return Answer(200)

    def outputs(self, call: Call, answer: Answer) -> tuple[Tensor, ...]:
        return outputs(self.response) if self.response is not None else ()

    def write(self, call: Call, answer: Answer, outputs: tuple[Tensor, ...]) -> None:
        assert self.response is not None
        # Parameters may tell what the outputs no longer do.
        self.response = replaced(self.response, outputs).model_copy(update={"parameters": None})


class Refusal(msgspec.Struct, frozen=True):
    """What the guard says instead of an answer."""

    status: int
    message: str


class Guarding:
    """A guard in this process, and the runtimes behind it, by the names of their models."""

    def __init__(self, path: str) -> None:
        """Raises `UsageError` for a configuration that cannot be."""
        self.runtimes: dict[str, Any] = {}
        self._running = Running(read(path), forward=self._forward)

    async def start(self) -> None:
        await self._running.start()

    async def stop(self) -> None:
        await self._running.stop()

    async def predict(self, name: str, version: str, payload: InferenceRequest) -> InferenceResponse | Refusal:
        """What the guard lets out."""
        codec = Payload(payload, self.runtimes[name])
        given = payload.parameters.headers if payload.parameters is not None else None
        headers = {key.lower(): value for key, value in (given or {}).items() if isinstance(value, str)}
        call = Call(
            Action.INFER,
            transport="runtime",
            headers=headers,
            peer=Peer(),
            codec=codec,
            model=name,
            version=version,
            operation="infer",
        )
        answer = await self._running.assembled.guard.answer(call, self._forward)
        if answer.status == 200 and codec.response is not None:
            return codec.response
        return Refusal(answer.status, msgspec.json.decode(answer.body)["error"])

    async def _forward(self, call: Call) -> Answer:
        if isinstance(call.codec, Payload):
            return await call.codec.ask(call)
        # The guard's own: canaries, which are written as requests of REST.
        runtime = self.runtimes.get(call.model)
        if runtime is None:
            raise _NO_OTHER
        response = await runtime.predict(InferenceRequest.model_validate_json(call.body))
        return Answer(200, response.model_dump_json(exclude_none=True).encode())


_GUARDS: dict[str, Guarding] = {}


async def enter(path: str, name: str, runtime: Any) -> Guarding:
    """Put a runtime behind the guard of a configuration. Raises `UsageError`."""
    if multiprocessing.parent_process() is not None:
        raise UsageError("a guard in a worker process would not know of the others: set parallel_workers to 0")
    path = os.path.realpath(path)
    guard = _GUARDS.get(path)
    if guard is None:
        guard = Guarding(path)
        await guard.start()
        _GUARDS[path] = guard
    guard.runtimes[name] = runtime
    return guard


async def leave(path: str, name: str) -> None:
    """Take a runtime away; a guard without any ends."""
    path = os.path.realpath(path)
    guard = _GUARDS.get(path)
    if guard is not None:
        guard.runtimes.pop(name, None)
        if not guard.runtimes:
            del _GUARDS[path]
            await guard.stop()


def _parameters(holder: Any, left_out: set[str] | None = None) -> dict[str, bool | int | float | str]:
    """The plain ones, as text where they are not: nothing that is not named in a schema gets through by its kind."""
    if holder.parameters is None:
        return {}
    found = holder.parameters.model_dump(exclude_none=True, exclude=left_out)
    return {
        name: value if isinstance(value, bool | int | float | str) else repr(value) for name, value in found.items()
    }
