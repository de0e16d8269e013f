"""A call goes through all stages, is forwarded once, and is on record before its answer is out."""

import asyncio
from collections.abc import Awaitable

import pytest

from garrison.serving.calls import Action, Answer, Call, Peer
from garrison.serving.config.config import Model
from garrison.serving.guard import Guard
from garrison.serving.refusals import Reason, Refused
from garrison.serving.stages import OnFailure, Stage


class Noted:
    """A stage and a recorder that write down what they were asked."""

    def __init__(self, name: str, log: list[str], *, raises: Exception | None = None, open: bool = False) -> None:
        self.name = name
        self.on_failure: OnFailure = "open" if open else "closed"
        self._log = log
        self._raises = raises

    def before(self, call: Call) -> Awaitable[None] | None:
        self._log.append(f"{self.name} before")
        if self._raises:
            raise self._raises
        return asyncio.sleep(0)

    def after(self, call: Call, answer: Answer) -> Awaitable[None] | None:
        self._log.append(f"{self.name} after")
        return None

    def record(self, call: Call, answer: Answer, refused: str) -> Awaitable[None] | None:
        self._log.append(f"recorded {answer.status} {refused}".rstrip())
        if self._raises:
            raise self._raises
        return None


def answered(
    stages: list[Stage], recorder: Noted, log: list[str], *, model: str = "digits", forward: Exception | None = None
) -> tuple[Answer, Call]:
    async def server(call: Call) -> Answer:
        log.append("forwarded")
        if forward:
            raise forward
        return Answer(200, b"{}")

    guard = Guard({"digits": Model()}, lambda model: stages, recorder, lambda name, error: log.append(f"failed {name}"))
    call = Call(Action.INFER, transport="http", headers={}, peer=Peer("127.0.0.1"), model=model)
    call.releases.append(lambda: log.append("released"))
    return asyncio.run(guard.answer(call, server)), call


def test_stages_are_asked_in_order_and_the_answer_is_recorded() -> None:
    log: list[str] = []
    answer, _ = answered([Noted("one", log), Noted("two", log)], Noted("record", log), log)
    assert answer.body == b"{}"
    assert log == ["one before", "two before", "forwarded", "one after", "two after", "released", "recorded 200"]


def test_a_refusal_stops_the_call_and_is_recorded() -> None:
    log: list[str] = []
    refused = Refused(Reason.LIMITED, "too many", retry_after=1.2)
    answer, _ = answered([Noted("one", log, raises=refused), Noted("two", log)], Noted("record", log), log)
    assert (answer.status, dict(answer.headers)[b"retry-after"]) == (429, b"2")
    assert log == ["one before", "released", "recorded 429 limited"]


@pytest.mark.parametrize("open", [False, True])
def test_a_stage_that_fails_refuses_unless_it_is_configured_to_let_through(open: bool) -> None:
    log: list[str] = []
    broken = Noted("one", log, raises=OSError("secret path"), open=open)
    answer, call = answered([broken], Noted("record", log), log)
    assert answer.status == (200 if open else 503)
    assert call.degraded == (["one"] if open else [])
    assert ("forwarded" in log) is open
    assert "failed one" in log
    assert b"secret" not in answer.body


@pytest.mark.parametrize("open", [False, True])
def test_what_cannot_be_recorded_is_not_answered(open: bool) -> None:
    log: list[str] = []
    answer, _ = answered([], Noted("record", log, raises=OSError("disk full"), open=open), log)
    assert answer.status == (200 if open else 503)
    assert (answer.body == b"{}") is open


def test_models_that_are_not_named_are_not_served_and_not_told_of_before_stages_let_in() -> None:
    log: list[str] = []
    denied = Noted("one", log, raises=Refused(Reason.UNAUTHENTICATED, "who are you"))
    assert answered([denied], Noted("record", log), log, model="other")[0].status == 401
    assert answered([], Noted("record", log), log, model="other")[0].status == 404
    assert "forwarded" not in log


def test_a_server_that_fails_in_an_unforeseen_way_is_a_refusal_on_record() -> None:
    log: list[str] = []
    answer, _ = answered([], Noted("record", log), log, forward=RuntimeError("inside"))
    assert answer.status == 503
    assert b"inside" not in answer.body
    assert log[-1] == "recorded 503 failed"


def test_a_caller_that_goes_away_is_on_record() -> None:
    log: list[str] = []

    async def run() -> None:
        async def server(call: Call) -> Answer:
            await asyncio.sleep(60)
            raise AssertionError

        guard = Guard({"digits": Model()}, lambda model: [], Noted("record", log), lambda name, error: None)
        call = Call(Action.INFER, transport="http", headers={}, peer=Peer(), model="digits")
        task = asyncio.create_task(guard.answer(call, server))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
    assert log == ["recorded 499 cancelled"]


class Parts:
    """An answer in parts that says when it was closed."""

    def __init__(self, log: list[str]) -> None:
        self._log = log
        self._left = 2

    def __aiter__(self) -> "Parts":
        return self

    async def __anext__(self) -> bytes:
        if not self._left:
            raise StopAsyncIteration
        self._left -= 1
        return b"part"

    async def aclose(self) -> None:
        self._log.append("closed")


def streamed(log: list[str], recorder: Noted, stages: list[Stage]) -> tuple[Answer, Call]:
    async def server(call: Call) -> Answer:
        return Answer(200, stream=Parts(log))

    guard = Guard({"digits": Model()}, lambda model: stages, recorder, lambda name, error: None)
    call = Call(Action.INFER, transport="http", headers={}, peer=Peer(), model="digits")
    call.releases.append(lambda: log.append("released"))
    return asyncio.run(guard.answer(call, server)), call


@pytest.mark.parametrize("whole", [True, False])
def test_a_call_holds_its_places_until_its_parts_have_ended_or_are_left(whole: bool) -> None:
    log: list[str] = []
    answer, _ = streamed(log, Noted("record", log), [])
    assert "released" not in log

    async def read() -> None:
        assert answer.stream is not None
        assert await anext(answer.stream) == b"part"
        assert "released" not in log
        if whole:
            assert [part async for part in answer.stream] == [b"part"]
        else:
            await answer.stream.aclose()  # type: ignore[attr-defined]

    asyncio.run(read())
    assert log.count("released") == 1


class Refusing(Noted):
    def after(self, call: Call, answer: Answer) -> Awaitable[None] | None:
        raise Refused(Reason.UNACCEPTABLE, "not so")


def test_parts_that_nobody_will_read_are_closed() -> None:
    log: list[str] = []
    assert streamed(log, Noted("record", log), [Refusing("one", log)])[0].status == 422
    assert {"closed", "released"} <= set(log)
    log.clear()
    assert streamed(log, Noted("record", log, raises=OSError("disk full")), [])[0].status == 503
    assert {"closed", "released"} <= set(log)
