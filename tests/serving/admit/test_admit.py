"""Callers get what they may have, and no more."""

import asyncio
import time
from collections.abc import Awaitable, Sequence
from dataclasses import replace
from typing import cast

import numpy
import pytest

from garrison.serving.admit.callers import network
from garrison.serving.admit.places import places
from garrison.serving.admit.rows import stage as rows_stage
from garrison.serving.admit.settings import Admit, Limits
from garrison.serving.admit.stage import stage
from garrison.serving.calls import Action, Answer, Call, Peer, Principal
from garrison.serving.config.config import Config, Model
from garrison.serving.guard import Guard
from garrison.serving.refusals import Reason, Refused
from garrison.serving.services import Services
from garrison.serving.state.memory import MemoryStore
from garrison.serving.state.store import Short, StoreUnavailable, Take
from garrison.serving.tensors.tensor import Tensor


class Clock:
    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class Around:
    """A process with a guard, and clocks that stand."""

    def __init__(self, everything: Admit | None = None, model: Admit | None = None) -> None:
        self.clock, self.wall = Clock(1000), Clock(1_800_000_000)
        store = MemoryStore(monotonic=self.clock, wall=self.wall)
        self.services = Services(store, lambda incident: None, lambda call, mark: None, self.clock, self.wall)
        self.model = Model(admit=model or Admit())
        self.config = Config(models={"digits": self.model}, admit=everything or Admit())
        self.stage = stage(self.config, self.model, self.services)

    def ask(self, name: str = "ann", *roles: str, end: bool = True, action: Action = Action.INFER) -> str:
        """What came of a call: nothing, or the reason of a refusal."""
        made = call(name, *roles, action=action)
        try:
            assert self.stage.before(made) is None
        except Refused as refused:
            return refused.reason.value
        finally:
            if end:
                for release in made.releases:
                    release()
        return ""


def call(name: str = "ann", *roles: str, rows: int = 1, action: Action = Action.INFER, address: str = "") -> Call:
    made = Call(action, transport="http", headers={}, peer=Peer(address), model="digits")
    if name:
        made.principal = Principal(name=name, roles=roles, method="key")
    made.inputs = (
        Tensor("one", "FP32", (1, 2), numpy.zeros((1, 2), "f4"), {}),
        Tensor("many", "FP32", (rows, 2), numpy.zeros((rows, 2), "f4"), {}),
    )
    return made


def test_rates_are_each_callers_own_and_refill() -> None:
    around = Around(model=Admit(rate=2, burst=3))
    assert [around.ask() for _ in range(4)] == ["", "", "", "limited"]
    assert around.ask("bob") == ""
    around.clock.now += 0.5
    assert [around.ask(), around.ask()] == ["", "limited"]


def test_roles_replace_limits_and_all_together_have_theirs() -> None:
    around = Around(model=Admit(rate=1, roles={"paid": Limits(rate=100, burst=5)}, total=Limits(rate=1, burst=6)))
    assert [around.ask("ann", "paid") for _ in range(6)] == ["", "", "", "", "", "limited"]
    assert around.ask("bob") == ""
    assert around.ask("eve") == "limited"


def test_an_action_may_cost_more() -> None:
    around = Around(model=Admit(rate=1, burst=5, costs={Action.EXPLAIN: 4}))
    assert around.ask(action=Action.EXPLAIN) == ""
    assert around.ask(action=Action.EXPLAIN) == "limited"
    assert around.ask() == ""


def test_nobody_holds_more_than_a_share_of_the_places() -> None:
    around = Around(model=Admit(total=Limits(concurrency=4), share=0.5))
    assert [around.ask(end=False) for _ in range(3)] == ["", "", "limited"]
    assert [around.ask("bob", end=False) for _ in range(2)] == ["", ""]
    assert around.ask("eve") == "overloaded"


def test_places_are_given_back_however_a_call_ends() -> None:
    around = Around(model=Admit(concurrency=1))
    held = places(around.services)

    class Recorder:
        on_failure = "closed"

        def record(self, call: Call, answer: Answer, refused: str) -> None:
            return None

    guard = Guard({"digits": around.model}, lambda model: [around.stage], Recorder(), lambda name, error: None)  # type: ignore[arg-type]

    async def run() -> None:
        async def fails(call: Call) -> Answer:
            assert len(held) == 3
            raise Refused(Reason.BACKEND, "gone")

        async def hangs(call: Call) -> Answer:
            await asyncio.sleep(60)
            raise AssertionError

        assert (await guard.answer(call(), fails)).status == 502
        assert len(held) == 0
        task = asyncio.create_task(guard.answer(call(), hangs))
        await asyncio.sleep(0)
        assert (await guard.answer(call(), fails)).status == 429
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
    assert len(held) == 0


def test_quotas_end_with_the_day_and_no_jump_of_the_clock_renews_them() -> None:
    around = Around(model=Admit(queries_per_day=2))
    assert [around.ask() for _ in range(3)] == ["", "", "limited"]
    for jump in (86400, -2 * 86400, 86400):
        around.wall.now += jump
        assert around.ask() == "limited"
    around.clock.now += 86400
    around.wall.now += 86400
    assert [around.ask() for _ in range(3)] == ["", "", "limited"]
    assert around.ask(action=Action.METADATA) == ""


def test_rows_are_charged_by_the_longest_input() -> None:
    around = Around(model=Admit(rows_rate=1, rows_burst=100, rows_per_month=150))
    rows = rows_stage(around.config, around.model, around.services)
    assert rows is not None
    assert rows.before(call(rows=100)) is None
    with pytest.raises(Refused, match="too many"):
        rows.before(call(rows=1))
    with pytest.raises(Refused) as caught:
        rows.before(call(rows=101))
    assert caught.value.reason is Reason.TOO_LARGE
    around.clock.now += 100
    around.wall.now += 100
    with pytest.raises(Refused, match="quota"):
        rows.before(call(rows=60))
    assert rows.before(call(rows=50)) is None
    assert rows_stage(Config(), Model(), around.services) is None


def test_deadlines_are_set_and_clamped() -> None:
    around = Around(model=Admit(timeout=5, most_timeout=10))
    for wanted, given in ((None, 5), (3.0, 3), (500.0, 10)):
        made = call()
        made.deadline = None if wanted is None else made.received + wanted
        around.stage.before(made)
        assert made.deadline == pytest.approx(made.received + given)
    assert made.received <= time.monotonic()


def test_anonymous_callers_are_told_apart_by_their_network() -> None:
    around = Around(model=Admit(rate=1))
    outcomes = []
    for address in ("2001:db8::1", "2001:db8::2", "2001:db8:0:1::1", "192.0.2.1", "::ffff:192.0.2.1"):
        try:
            outcomes.append(around.stage.before(call("", address=address)) is None)
        except Refused:
            outcomes.append(False)
    assert outcomes == [True, False, True, True, False]
    assert network("fe80::1%eth0") == "fe80::"
    assert network("nonsense:") == "nonsense:"


class Gone(MemoryStore):
    """A store that does not answer, at once or after a while."""

    def __init__(self, waits: bool) -> None:
        super().__init__()
        self._waits = waits

    def take(self, takes: Sequence[Take]) -> Short | None:
        if not self._waits:
            raise StoreUnavailable

        async def later() -> None:
            raise StoreUnavailable

        return cast("Short | None", later())


@pytest.mark.parametrize("waits", [False, True])
def test_without_the_store_nobody_gets_in_or_each_process_limits_alone(waits: bool) -> None:
    async def run(on_failure: str) -> tuple[list[str], Call]:
        around = Around()
        services = replace(around.services, store=Gone(waits))
        model = Model(admit=Admit(rate=1, burst=2, on_failure=on_failure))  # type: ignore[arg-type]
        opened = stage(Config(models={"digits": model}), model, services)
        outcomes = []
        for _ in range(3):
            made = call()
            try:
                waiting: Awaitable[None] | None = opened.before(made)
                if waiting is not None:
                    await waiting
                outcomes.append("")
            except Refused as refused:
                outcomes.append(refused.reason.value)
            except StoreUnavailable:
                outcomes.append("unavailable")
        return outcomes, made

    assert asyncio.run(run("closed"))[0] == ["unavailable"] * 3
    outcomes, made = asyncio.run(run("open"))
    assert outcomes == ["", "", "limited"]
    assert made.degraded == ["admit"]
