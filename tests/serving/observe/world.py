"""A small model's world: natural rows, a reference, calls, and services that keep what they are told."""

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from garrison.serving.calls import Action, Answer, Call, Peer, Principal
from garrison.serving.incidents import Incident
from garrison.serving.services import Services
from garrison.serving.state.store import StoreUnavailable
from garrison.serving.tensors.tensor import Tensor

FEATURES = 8
_MIXING = np.random.default_rng(99).normal(size=(FEATURES, FEATURES))
Rows = NDArray[np.float32]


def natural(count: int, seed: int) -> Rows:
    """Correlated rows, none of them normal."""
    random = np.random.default_rng(seed)
    return np.asarray(np.tanh(random.normal(size=(count, FEATURES)) @ _MIXING / 2) * 3 + 5, np.float32)


def scored(rows: Rows) -> Rows:
    """What the model answers: scores of three classes."""
    logits = (rows - 5) @ _MIXING[:, :3]
    exponents = np.exp(logits - logits.max(1, keepdims=True))
    return np.asarray(exponents / exponents.sum(1, keepdims=True), np.float32)


def tensor(name: str, data: Any) -> Tensor:
    array = np.asarray(data)
    return Tensor(name, "BYTES" if array.dtype == object else "FP32", array.shape, array, {})


class Codec:
    """Bodies that are what they hold already."""

    def read(self, call: Call) -> tuple[Tensor, ...]:
        raise AssertionError("inputs are given")

    def outputs(self, call: Call, answer: Answer) -> tuple[Tensor, ...]:
        table = np.array(msgspec.json.decode(answer.body), np.float32)
        return (tensor("scores", table),)

    def write(self, call: Call, answer: Answer, outputs: tuple[Tensor, ...]) -> None:
        raise AssertionError("nothing is written")


def asked(rows: Rows, principal: str = "ann", roles: tuple[str, ...] = (), **attributes: str) -> tuple[Call, Answer]:
    """A call with these rows, and its answer."""
    call = Call(Action.INFER, transport="http", headers={}, peer=Peer(), codec=Codec(), model="m")
    call.principal = Principal(name=principal, roles=roles, attributes=attributes)
    call.inputs = (tensor("x", rows),)
    answer = Answer(200)
    answer.outputs = (tensor("scores", scored(rows)),)
    return call, answer


class MemoryStore:
    """One dictionary; raises while it is told to."""

    def __init__(self) -> None:
        self.sums: dict[str, float] = {}
        self.gone = False

    async def get(self, key: str) -> bytes | None:
        raise AssertionError

    async def put(self, key: str, value: bytes, lifetime: float) -> None:
        raise AssertionError

    async def add(self, key: str, lifetime: float) -> bool:
        raise AssertionError

    async def increase(self, key: str, amount: float, lifetime: float) -> float:
        if self.gone:
            raise StoreUnavailable
        self.sums[key] = self.sums.get(key, 0.0) + amount
        return self.sums[key]


class World:
    """Services, with a clock that goes when it is told to."""

    def __init__(self, store: MemoryStore | None = None) -> None:
        self.now = 1000.0
        self.incidents = list[Incident]()
        self.store = store or MemoryStore()
        self.services = Services(
            store=self.store, report=self.incidents.append, noticed=lambda call, mark: None,
            monotonic=lambda: self.now, wall=lambda: self.now,
        )  # fmt: skip

    def told(self) -> Sequence[tuple[str, bool]]:
        """Rules of incidents, and whether they are over."""
        return [(one.finding.rule, one.resolved) for one in self.incidents]
