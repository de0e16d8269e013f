"""Servers of all kinds behind the pool, through real sockets."""

import asyncio
import socket
import struct
import time
from collections.abc import Awaitable, Callable

import pytest

from garrison.core.errors import UsageError
from garrison.serving.calls import Action, Answer, Call, Peer
from garrison.serving.config.config import Backend
from garrison.serving.http.address import Address, parsed
from garrison.serving.http.backends import Backends
from garrison.serving.http.pool import Pool
from garrison.serving.refusals import Reason, Refused
from tests.serving.http.guards import Behaviour, backend, request

OK = b"HTTP/1.1 200 OK\r\ncontent-type: a/b\r\ncontent-length: 2\r\n\r\nok"


def call(operation: str = "infer", body: bytes = b"abc", **headers: str) -> Call:
    path = f"/v2/models/m/{operation.replace('-', '_')}"
    return Call(
        Action.INFER,
        transport="http",
        headers=headers,
        peer=Peer(),
        operation=operation,
        method="POST",
        target=path,
        body=body,
    )


def answering(*answers: bytes, close: bool = False) -> Behaviour:
    """Gives these answers, one to each request of a connection."""

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in answers:
            await request(reader)
            writer.write(answer)
            await writer.drain()
        if not close:
            await reader.read()

    return behave


def ask(behave: Behaviour, made: Call | None = None, settings: Backend | None = None) -> Answer:
    async def run() -> Answer:
        async with backend(behave, settings or Backend()) as pool:
            return await pool.ask(made or call())

    return asyncio.run(run())


def refused(behave: Behaviour, made: Call | None = None, settings: Backend | None = None) -> Refused:
    with pytest.raises(Refused) as found:
        ask(behave, made, settings)
    return found.value


@pytest.mark.parametrize(
    ("answer", "close"),
    [
        (OK, False),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n\r\n", False),
        (b"HTTP/1.1 200 OK\r\n\r\nok", True),
        (b"HTTP/1.0 200 OK\r\n\r\nok", True),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + OK, False),
        (OK.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n"), False),
    ],
)
def test_answers_of_each_framing(answer: bytes, close: bool) -> None:
    assert ask(answering(answer, close=close)).body == b"ok"


def test_statuses_of_the_server_pass_and_its_other_headers_do_not() -> None:
    answer = ask(answering(b"HTTP/1.1 500 No\r\nset-cookie: a=b\r\nServer: x\r\ncontent-length: 2\r\n\r\nno"))
    assert (answer.status, answer.body, answer.headers) == (500, b"no", [])


UNREADABLE = {
    "redirect": b"HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/\r\ncontent-length: 0\r\n\r\n",
    "not modified": b"HTTP/1.1 304 Not Modified\r\n\r\n",
    "switching protocols": b"HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
    "garbage": b"\x00\x01\x02 nonsense \r\n\r\n",
    "another protocol": b"SSH-2.0-OpenSSH_9.2\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nokk",
    "length and chunks": b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "negative length": b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
    "another transfer encoding": b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\nok",
    "content encoding": b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 2\r\n\r\nok",
    "chunks that are none": b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nok\r\n0\r\n\r\n",
    "trailers": b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\ncontent-type: x/y\r\n\r\n",
    "more than its answer": OK + OK,
    "more than it said": OK + b"!",
    "interim answers without end": b"HTTP/1.1 100 Continue\r\n\r\n" * 100,
    "a head without end": b"HTTP/1.1 200 OK\r\nx: " + b"a" * 200_000,
    "status that is none": b"HTTP/1.1 999 What\r\ncontent-length: 0\r\n\r\n",
    "control in what is passed on": b"HTTP/1.1 200 OK\r\ncontent-type: a\x01b\r\ncontent-length: 0\r\n\r\n",
    "too much": b"HTTP/1.1 200 OK\r\ncontent-length: 101\r\n\r\n" + b"x" * 101,
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_what_is_not_one_answer_is_refused(name: str) -> None:
    found = refused(answering(UNREADABLE[name]), settings=Backend(max_answer=100))
    assert found.reason is Reason.BACKEND


@pytest.mark.parametrize(
    "part",
    [
        b"",
        b"HTTP/1.1 20",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n",
    ],
)
def test_answers_that_break_off_are_none(part: bytes) -> None:
    assert refused(answering(part, close=True)).reason is Reason.BACKEND


def test_a_reset_is_no_end_of_an_answer() -> None:
    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nhalf")
        await writer.drain()
        await asyncio.sleep(0.05)
        # Closing without waiting for what is unsent resets the connection.
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    assert refused(behave).reason is Reason.BACKEND


def test_a_server_that_is_not_there() -> None:
    async def run() -> None:
        await Pool(Backend(http="http://127.0.0.1:1")).ask(call())

    with pytest.raises(Refused) as found:
        asyncio.run(run())
    assert found.value.reason is Reason.BACKEND
    assert "127.0.0.1" not in found.value.message


@pytest.mark.parametrize("part", [b"", b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nok"])
def test_a_server_that_takes_too_long(part: bytes) -> None:
    assert refused(answering(part), settings=Backend(timeout=0.1)).reason is Reason.DEADLINE


def test_the_deadline_of_the_call_counts() -> None:
    made = call()
    made.deadline = time.monotonic() + 0.1
    assert refused(answering(b""), made).reason is Reason.DEADLINE
    made.deadline = time.monotonic() - 1
    assert refused(answering(OK), made).reason is Reason.DEADLINE


def test_the_server_sees_what_was_read_and_no_credentials() -> None:
    heads = []

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head, body = await request(reader)
        heads.append((head, body))
        writer.write(OK)

    made = call(**{"authorization": "Bearer x", "x-api-key": "x", "cookie": "a=b", "content-type": "application/json"})
    ask(behave, made)
    head, body = heads[0]
    lines = head.decode().strip().split("\r\n")
    assert lines[0] == "POST /v2/models/m/infer HTTP/1.1"
    assert {line.split(":")[0] for line in lines[1:]} == {
        "host", "accept-encoding", "content-type", "content-length", "x-request-id",
    }  # fmt: skip
    assert f"x-request-id: {made.identifier}" in lines
    assert body == b"abc"


async def counted(behave: Behaviour, use: Callable[[Pool], Awaitable[None]], settings: Backend) -> int:
    """How many connections it took."""
    connections = 0

    async def counting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await behave(reader, writer)

    async with backend(counting, settings) as pool:
        await use(pool)
    return connections


def test_a_connection_is_used_again() -> None:
    async def use(pool: Pool) -> None:
        for _ in range(5):
            assert (await pool.ask(call())).body == b"ok"

    assert asyncio.run(counted(answering(*[OK] * 5), use, Backend())) == 1


@pytest.mark.parametrize(
    "answer",
    [
        OK.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n"),
        OK.replace(b"1.1", b"1.0"),
    ],
)
def test_a_connection_that_the_server_will_close_is_not_used_again(answer: bytes) -> None:
    async def use(pool: Pool) -> None:
        for _ in range(3):
            assert (await pool.ask(call())).body == b"ok"

    assert asyncio.run(counted(answering(answer), use, Backend())) == 3


def test_a_connection_found_closed_is_replaced() -> None:
    async def use(pool: Pool) -> None:
        for _ in range(3):
            assert (await pool.ask(call())).body == b"ok"
            await asyncio.sleep(0.05)

    assert asyncio.run(counted(answering(OK, close=True), use, Backend())) == 3


def test_an_old_connection_is_replaced() -> None:
    async def use(pool: Pool) -> None:
        for _ in range(2):
            assert (await pool.ask(call())).body == b"ok"
            await asyncio.sleep(0.05)

    assert asyncio.run(counted(answering(OK, OK), use, Backend(idle_timeout=0.01))) == 2


def test_an_answer_that_nobody_asked_for_is_not_taken_for_the_next() -> None:
    smuggled = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil"

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request(reader)
        writer.write(OK)
        await writer.drain()
        await asyncio.sleep(0.05)
        writer.write(smuggled)
        await reader.read()

    async def use(pool: Pool) -> None:
        for _ in range(3):
            assert (await pool.ask(call())).body == b"ok"
            await asyncio.sleep(0.15)

    assert asyncio.run(counted(behave, use, Backend())) == 3


def test_a_request_that_may_have_arrived_is_not_sent_again() -> None:
    requests = []

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests.append(await request(reader))
        if len(requests) == 1:
            writer.write(OK)
            await writer.drain()
            requests.append(await request(reader))

    async def use(pool: Pool) -> None:
        await pool.ask(call())
        with pytest.raises(Refused):
            await pool.ask(call())

    asyncio.run(counted(behave, use, Backend()))
    assert len(requests) == 2


def test_connections_are_bounded_and_calls_wait_their_turn() -> None:
    async def use(pool: Pool) -> None:
        answers = await asyncio.gather(*[pool.ask(call(body=b"%d" % number)) for number in range(20)])
        assert [answer.body for answer in answers] == [b"ok"] * 20

    assert asyncio.run(counted(answering(*[OK] * 20), use, Backend(connections=2))) == 2
    closing = answering(OK.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n"))
    assert asyncio.run(counted(closing, use, Backend(connections=2))) == 20


def test_calls_that_wait_are_bounded_in_number_and_time() -> None:
    async def use(pool: Pool) -> None:
        results = await asyncio.gather(*[pool.ask(call()) for _ in range(4)], return_exceptions=True)
        assert [isinstance(result, Refused) and result.reason for result in results] == [
            Reason.DEADLINE,
            Reason.DEADLINE,
            Reason.OVERLOADED,
            Reason.OVERLOADED,
        ]

    asyncio.run(counted(answering(b""), use, Backend(connections=1, waiting=1, timeout=0.2)))


def test_leaving_does_not_disturb_others() -> None:
    """Who leaves just when the answer comes must not close the connection under the request of another."""

    async def use(pool: Pool) -> None:
        first = asyncio.create_task(pool.ask(call()))
        await asyncio.sleep(0.05)
        (connection,) = pool._open
        received = connection.data_received
        others = []

        def all_at_once(data: bytes) -> None:
            connection.data_received = received  # type: ignore[method-assign]
            others.append(asyncio.create_task(pool.ask(call())))
            first.cancel()
            received(data)

        connection.data_received = all_at_once  # type: ignore[method-assign]
        with pytest.raises(asyncio.CancelledError):
            await first
        assert (await others[0]).body == b"ok"

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(2):
            await request(reader)
            await asyncio.sleep(0.1)
            writer.write(OK)
        await reader.read()

    assert asyncio.run(counted(behave, use, Backend(connections=1))) == 1


def test_who_leaves_gives_the_place_back() -> None:
    async def use(pool: Pool) -> None:
        stuck = asyncio.create_task(pool.ask(call()))
        waits = asyncio.create_task(pool.ask(call()))
        await asyncio.sleep(0.1)
        waits.cancel()
        stuck.cancel()
        await asyncio.gather(stuck, waits, return_exceptions=True)
        with pytest.raises(Refused) as found:
            await pool.ask(call())
        assert "answer in time" in found.value.message
        assert not pool._waiting

    assert asyncio.run(counted(answering(b""), use, Backend(connections=1, timeout=0.3))) == 2


STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def test_an_answer_in_parts_comes_as_it_is_made() -> None:
    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(2):
            await request(reader)
            writer.write(STREAM_HEAD)
            for number in range(3):
                await writer.drain()
                await asyncio.sleep(0.01)
                writer.write(b"1\r\n%d\r\n" % number)
            writer.write(b"0\r\n\r\n")
        await reader.read()

    async def use(pool: Pool) -> None:
        for _ in range(2):
            answer = await pool.ask(call("generate-stream"))
            assert answer.stream is not None
            assert answer.headers == [(b"content-type", b"text/event-stream")]
            assert [part async for part in answer.stream] == [b"0", b"1", b"2"]

    assert asyncio.run(counted(behave, use, Backend())) == 1


@pytest.mark.parametrize(("end", "reason"), [(True, Reason.BACKEND), (False, Reason.DEADLINE)])
def test_an_answer_in_parts_that_breaks_off_or_stops_is_refused(end: bool, reason: Reason) -> None:
    async def use(pool: Pool) -> None:
        answer = await pool.ask(call("generate-stream"))
        assert answer.stream is not None
        parts = []
        with pytest.raises(Refused) as found:
            async for part in answer.stream:
                parts.append(part)
        assert (parts, found.value.reason) == ([b"a"], reason)

    behave = answering(STREAM_HEAD + b"1\r\na\r\n", close=end)
    asyncio.run(counted(behave, use, Backend(timeout=0.2)))


def test_leaving_an_answer_in_parts_closes_its_connection() -> None:
    ended = []

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request(reader)
        writer.write(STREAM_HEAD + b"1\r\na\r\n")
        await reader.read()
        ended.append(True)

    async def use(pool: Pool) -> None:
        answer = await pool.ask(call("generate-stream"))
        assert answer.stream is not None
        assert await anext(answer.stream) == b"a"
        await answer.stream.aclose()  # type: ignore[attr-defined]
        async with asyncio.timeout(10):
            while not ended:
                await asyncio.sleep(0.01)
        assert not pool._open

    asyncio.run(counted(behave, use, Backend()))


def test_a_server_that_is_faster_than_its_reader_is_slowed_down() -> None:
    sent = 0

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await request(reader)
        writer.write(STREAM_HEAD)
        part = b"10000\r\n" + b"x" * 65536 + b"\r\n"
        for _ in range(1000):
            writer.write(part)
            await writer.drain()
            sent += 1
        writer.write(b"0\r\n\r\n")
        await reader.read()

    async def use(pool: Pool) -> None:
        answer = await pool.ask(call("generate-stream"))
        assert answer.stream is not None
        before = -1
        while sent != before:
            before = sent
            await asyncio.sleep(0.2)
        assert sent < 500
        total = 0
        async for part in answer.stream:
            total += len(part)
        assert total == 1000 * 65536

    asyncio.run(counted(behave, use, Backend()))


def test_a_large_body_arrives_whole() -> None:
    bodies = []

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        bodies.append((await request(reader))[1])
        writer.write(OK)

    body = bytes(range(256)) * 8192
    ask(behave, call(body=body))
    assert bodies == [body]


def test_the_configuration_says_where_calls_go() -> None:
    async def run() -> Answer:
        async with backend(answering(OK)) as pool:
            backends = Backends({"default": Pool(Backend(http="http://127.0.0.1:1")), "other": pool})
            made = call()
            made.backend = "other"
            answer = await backends(made)
            made.backend = "unheard-of"
            with pytest.raises(Refused):
                await backends(made)
            return answer

    assert asyncio.run(run()).body == b"ok"


@pytest.mark.parametrize(
    ("text", "address", "authority"),
    [
        ("http://a:81", Address(host="a", port=81), "a:81"),
        ("http://a/", Address(host="a", port=80), "a"),
        ("https://a", Address(host="a", port=443, secure=True), "a"),
        ("http://[::1]:8", Address(host="::1", port=8), "[::1]:8"),
        ("unix:/run/x", Address(path="/run/x"), "localhost"),
    ],
)
def test_addresses(text: str, address: Address, authority: str) -> None:
    assert parsed(text) == address
    assert parsed(text).authority == authority


@pytest.mark.parametrize(
    "text", ["", "a:1", "ftp://a", "http://", "http://a/x", "http://u:p@a", "http://a:99999", "unix:x"]
)
def test_addresses_that_are_none(text: str) -> None:
    with pytest.raises(UsageError):
        parsed(text)
