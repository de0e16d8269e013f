"""A server that does not answer is left alone, tried now and then, and taken back when it answers."""

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from garrison.serving.admit.breaker import Breaker, Breakers
from garrison.serving.calls import Action, Answer, Call, Peer
from garrison.serving.refusals import Reason, Refused
from garrison.serving.services import Services

if TYPE_CHECKING:
    from garrison.serving.incidents import Incident


class Unused:
    def __getattr__(self, name: str) -> Any:
        raise AssertionError(name)


class World:
    """A server that can be told to fail, and a clock."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.incidents: list[Incident] = []
        self.services = Services(
            store=Unused(),
            report=self.incidents.append,
            noticed=lambda call, mark: None,
            monotonic=lambda: self.now,
            wall=lambda: self.now,
        )
        self.asked = 0
        self.result: Answer | Exception = Answer(200)
        self.forward = Breakers(self.services).around(self._server)

    async def _server(self, call: Call) -> Answer:
        self.asked += 1
        if isinstance(self.result, Exception):
            raise self.result
        return self.result

    def ask(self, deadline: float | None = None) -> str:
        call = Call(Action.INFER, transport="http", headers={}, peer=Peer(), model="m")
        call.deadline = None if deadline is None else call.received + deadline
        try:
            return str(asyncio.run(self._asked(call)).status)
        except Refused as refused:
            return refused.reason.value

    async def _asked(self, call: Call) -> Answer:
        return await self.forward(call)


DEAD = Refused(Reason.BACKEND, "the model server cannot be reached")


def test_failures_in_a_row_open_it_and_good_answers_close_it_again() -> None:
    world = World()
    world.result = DEAD
    assert [world.ask() for _ in range(12)] == ["backend"] * 10 + ["overloaded"] * 2
    assert world.asked == 10
    world.now += 1.3
    assert [world.ask() for _ in range(2)] == ["backend", "overloaded"]
    world.result = Answer(200)
    world.now += 2.5
    assert [world.ask() for _ in range(3)] == ["200", "200", "200"]
    assert [(one.finding.rule, one.resolved) for one in world.incidents] == [
        ("backend-down", False),
        ("backend-down", True),
    ]


def test_pauses_grow_and_have_an_end() -> None:
    world = World()
    breaker = Breaker("default", world.services, jitter=lambda: 1.0)
    for _ in range(10):
        breaker.leave(breaker.enter(), True)
    pauses = []
    for _ in range(8):
        began = world.now
        while True:
            world.now += 0.25
            try:
                probe = breaker.enter()
            except Refused:
                continue
            break
        pauses.append(world.now - began)
        breaker.leave(probe, True)
    assert pauses == [1, 2, 4, 8, 16, 30, 30, 30]


def test_one_call_at_a_time_tries() -> None:
    world = World()
    breaker = Breaker("default", world.services, jitter=lambda: 1.0)
    for _ in range(10):
        breaker.leave(breaker.enter(), True)
    world.now += 1
    assert breaker.enter()
    with pytest.raises(Refused):
        breaker.enter()
    breaker.leave(True, None)  # whoever tried went away
    assert breaker.enter()


def test_mostly_failures_open_it_too() -> None:
    world = World()
    for number in range(60):
        world.result = Answer(503) if number % 2 else Answer(200)
        world.ask()
    assert world.asked < 60
    assert len(world.incidents) == 1


@pytest.mark.parametrize("result", [Answer(400), Answer(404), Answer(500), Refused(Reason.MALFORMED, "no")])
def test_what_callers_do_wrong_is_no_failure_of_the_server(result: Answer | Exception) -> None:
    world = World()
    world.result = result
    for _ in range(100):
        world.ask()
    assert world.asked == 100


def test_impatient_callers_open_nothing() -> None:
    world = World()
    world.result = Refused(Reason.DEADLINE, "late")
    for _ in range(50):
        world.ask(deadline=0.5)
    assert world.asked == 50
    for _ in range(50):
        world.ask(deadline=30)
    assert world.asked == 60


def test_old_failures_count_no_more() -> None:
    world = World()
    for number in range(300):
        world.now += 1
        world.result = Answer(503) if number % 2 else Answer(200)
        world.ask()
    assert world.asked == 300


def test_servers_have_breakers_of_their_own() -> None:
    world = World()
    world.result = DEAD
    for _ in range(20):
        world.ask()
    call = Call(Action.INFER, transport="http", headers={}, peer=Peer(), model="m")
    call.backend = "other"
    world.result = Answer(200)
    assert asyncio.run(world._asked(call)).status == 200
