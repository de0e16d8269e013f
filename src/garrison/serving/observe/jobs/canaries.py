"""Inputs with known answers: the model that is asked through the guard is still the model that was approved.

The file is JSON: `{"canaries": [{"name", "inputs": [...], "outputs": [...]}]}`, with inputs as the Open Inference
Protocol writes them, and of each output `name` and `data`, flat.
"""

import asyncio
import math
from collections.abc import Sequence
from typing import Annotated, Any
from urllib.parse import quote

import msgspec

from garrison.core.errors import UsageError
from garrison.core.files import contents
from garrison.serving.calls import Action, Call, Codec, Forward, Peer, Principal
from garrison.serving.config.config import Model
from garrison.serving.observe.jobs.periodic import Job
from garrison.serving.observe.reports import tell
from garrison.serving.refusals import Refused
from garrison.serving.services import Services
from garrison.serving.tensors.tensor import Tensor

_MOST = 1 << 24
_TIMEOUT = 30.0
_PRINCIPAL = Principal(name="garrison-canary")


class Expected(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An output as it should be."""

    name: str
    data: Annotated[list[bool | int | float | str], msgspec.Meta(min_length=1)]


class Canary(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One input with its answer."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
    inputs: Annotated[list[dict[str, Any]], msgspec.Meta(min_length=1)]
    outputs: Annotated[list[Expected], msgspec.Meta(min_length=1)]


class _File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    canaries: Annotated[list[Canary], msgspec.Meta(min_length=1, max_length=1000)]


def read(path: str) -> list[Canary]:
    """The canaries in a file. Raises `UsageError`."""
    try:
        return msgspec.json.decode(contents(path, _MOST), type=_File).canaries
    except (msgspec.DecodeError, RecursionError) as error:
        raise UsageError(f"{path}: no canaries: {error}") from None


class Canaries:
    """Asks, compares, and tells when an answer begins to differ and when all agree again."""

    def __init__(self, name: str, model: Model, forward: Forward, codec: Codec, services: Services) -> None:
        """`forward` is that of calls, `codec` that of the Open Inference Protocol over HTTP. Raises `UsageError`."""
        self._name, self._model, self._services = name, model, services
        self._forward, self._codec = forward, codec
        self._canaries = read(model.observe.canaries.file)
        self.failing = False
        self.runs = 0

    def job(self) -> Job:
        return Job(name=f"{self._name}: canaries", interval=self._model.observe.canaries.seconds, run=self.run)

    async def run(self) -> None:
        """Ask all once."""
        wrong = [f"{one.name}: {reason}" for one in self._canaries if (reason := await self._asked(one))]
        self.runs += 1
        if wrong and not self.failing:
            message = f"{len(wrong)} of {len(self._canaries)} known answers differ; {wrong[0]}"
            tell(self._services, "canary-failed", self._name, message)
        elif self.failing and not wrong:
            tell(self._services, "canary-failed", self._name, "all known answers are right again", resolved=True)
        self.failing = bool(wrong)

    async def _asked(self, canary: Canary) -> str:
        """What is wrong with the answer; empty for nothing."""
        call = Call(
            Action.INFER, transport="http", headers={"content-type": "application/json"}, peer=Peer(),
            codec=self._codec, model=self._name, operation="infer", method="POST",
            target=f"/v2/models/{quote(self._name, safe='')}/infer",
            body=msgspec.json.encode({"inputs": canary.inputs}),
        )  # fmt: skip
        call.principal, call.settings = _PRINCIPAL, self._model
        try:
            answer = await asyncio.wait_for(self._forward(call), _TIMEOUT)
            if answer.status != 200:
                return f"the server answers with {answer.status}"
            outputs = answer.tensors(call)
        except Refused as refused:
            return f"no answer: {refused.message}"
        except TimeoutError:
            return f"no answer in {_TIMEOUT:g} seconds"
        for expected in canary.outputs:
            if reason := _differs(expected, outputs, self._model.observe.canaries.tolerance):
                return reason
        return ""


def _differs(expected: Expected, outputs: Sequence[Tensor], tolerance: float) -> str:
    found = next((one for one in outputs if one.name == expected.name), None)
    if found is None:
        return f"no output {expected.name}"
    values = found.data.ravel().tolist()
    if len(values) != len(expected.data):
        return f"{expected.name} has {len(values):,} elements, and not {len(expected.data):,}"
    worst = 0.0
    for value, wanted in zip(values, expected.data, strict=True):
        if isinstance(value, bytes):
            if value != str(wanted).encode():
                return f"{expected.name} is another text"
        elif isinstance(wanted, str) or not math.isfinite(value):
            return f"{expected.name} is no such number"
        else:
            worst = max(worst, abs(value - wanted))
    return f"{expected.name} is {worst:.3g} off" if worst > tolerance else ""
