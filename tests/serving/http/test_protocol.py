"""Clients of all kinds, through real sockets."""

import asyncio
import itertools
import re
import resource

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from garrison.serving.calls import Action, Answer, Call
from garrison.serving.config.config import Listen
from garrison.serving.http.protocol import ServerProtocol
from garrison.serving.refusals import Reason, Refused
from tests.serving.http.guards import Records, echo, exchange, gateway, serving

INFER = b"POST /v2/models/m/infer HTTP/1.1\r\nhost: a\r\n"
CLOSE = b"connection: close\r\n"


def ask(*sent: bytes, listen: Listen | None = None, records: Records | None = None) -> bytes:
    async def run() -> bytes:
        async with serving(gateway(echo, listen=listen or Listen(), records=records)) as server:
            return await exchange(server.port, *sent)

    return asyncio.run(run())


def statuses(answer: bytes) -> list[int]:
    return [int(found) for found in re.findall(rb"HTTP/1\.1 (\d{3}) ", answer)]


def test_a_request_is_answered() -> None:
    records = Records()
    answer = ask(INFER + CLOSE + b"content-length: 3\r\n\r\nabc", records=records)
    assert statuses(answer) == [200]
    assert answer.endswith(b"\r\n\r\nPOST /v2/models/m/infer abc")
    assert b"\r\nserver:" not in answer.lower()
    (call, status, refused), = records.lines  # fmt: skip
    assert (call.action, call.model, call.peer.address, status, refused) == (Action.INFER, "m", "127.0.0.1", 200, "")
    assert call.identifier.encode() in answer


def test_a_body_in_chunks_is_put_together() -> None:
    chunks = b"1\r\na\r\n2;name=value\r\nbc\r\n0\r\n\r\n"
    answer = ask(INFER + CLOSE + b"transfer-encoding: chunked\r\n\r\n", chunks[:5], chunks[5:])
    assert answer.endswith(b"infer abc")


def test_requests_in_one_piece_are_answered_one_after_the_other() -> None:
    one = INFER + b"content-length: 1\r\n\r\n"
    answer = ask(one + b"a" + one + b"b" + INFER + CLOSE + b"content-length: 1\r\n\r\nc")
    assert statuses(answer) == [200, 200, 200]
    assert [body[:1] for body in answer.split(b"infer ")[1:]] == [b"a", b"b", b"c"]


def test_an_error_is_told_after_the_answers_to_what_came_before_it() -> None:
    answer = ask(INFER + b"content-length: 1\r\n\r\na" + b"nonsense\r\n\r\n" + INFER + b"\r\n")
    assert statuses(answer) == [200, 400]


def test_a_flood_of_requests_in_one_piece_ends() -> None:
    answer = ask((INFER + b"content-length: 1\r\n\r\na") * 200)
    assert statuses(answer)[-1] == 400
    assert len(statuses(answer)) <= 40


CONTRADICTIONS = {
    "two lengths": INFER + b"content-length: 1\r\ncontent-length: 1\r\n\r\na",
    "two different lengths": INFER + b"content-length: 1\r\ncontent-length: 2\r\n\r\na",
    "length and chunks": INFER + b"content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks and length": INFER + b"transfer-encoding: chunked\r\ncontent-length: 4\r\n\r\n0\r\n\r\n",
    "signed length": INFER + b"content-length: +1\r\n\r\na",
    "list of lengths": INFER + b"content-length: 1, 1\r\n\r\na",
    "overflowing length": INFER + b"content-length: 18446744073709551617\r\n\r\na",
    "unknown transfer encoding": INFER + b"transfer-encoding: xchunked\r\n\r\n0\r\n\r\n",
    "chunked not last": INFER + b"transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "chunked twice": INFER + b"transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked after a tab of another kind": INFER + b"transfer-encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
    "chunked in old HTTP": INFER.replace(b"1.1", b"1.0") + b"transfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunk size in another base": INFER + b"transfer-encoding: chunked\r\n\r\n0x1\r\na\r\n0\r\n\r\n",
    "chunk with a bare line feed": INFER + b"transfer-encoding: chunked\r\n\r\n1\na\n0\n\n",
    "trailer": INFER + b"transfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\ncontent-length: 9\r\n\r\n",
    "two hosts": INFER + b"host: b\r\n\r\n",
    "no host": INFER.replace(b"host: a\r\n", b"") + b"\r\n",
    "folded header": INFER + b"x: a\r\n b\r\n\r\n",
    "space before the colon": INFER + b"content-length : 1\r\n\r\na",
    "bare line feed": INFER + b"x: a\n\r\n",
    "control in a value": INFER + b"x: a\x01\r\n\r\n",
    "null in a value": INFER + b"x: a\x00\r\n\r\n",
    "byte beyond ASCII in a value": INFER + b"x: \xe9\r\n\r\n",
    "byte beyond ASCII in a name": INFER + b"x\xe9: a\r\n\r\n",
    "upgrade": INFER + b"connection: upgrade\r\nupgrade: websocket\r\n\r\n",
    "upgrade to HTTP/2": INFER + b"connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: a\r\n\r\n",
    "preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/2 in words": INFER.replace(b"1.1", b"2.0") + b"\r\n",
    "HTTP/0.9": b"GET /v2\r\n\r\n",
    "version that is none": INFER.replace(b"1.1", b"1.9") + b"\r\n",
    "absolute target": INFER.replace(b"/v2", b"http://other/v2") + b"\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00",
    "another expectation": INFER + b"expect: miracles\r\n\r\n",
}


@pytest.mark.parametrize("name", CONTRADICTIONS)
def test_what_could_be_read_in_two_ways_is_refused_and_nothing_after_it_is_read(name: str) -> None:
    records = Records()
    answer = ask(CONTRADICTIONS[name] + INFER + b"content-length: 1\r\n\r\nx", records=records)
    assert statuses(answer) == [400]
    assert b"connection: close" in answer
    assert [(status, refused) for _, status, refused in records.lines] == [(400, "malformed")]


@pytest.mark.parametrize("method", [b"HEAD", b"PUT", b"DELETE", b"TRACE", b"OPTIONS", b"PATCH", b"GET"])
def test_methods_that_a_path_does_not_have(method: bytes) -> None:
    answer = ask(INFER.replace(b"POST", method) + b"\r\n")
    assert statuses(answer) == [405]
    assert b"\r\nallow: POST\r\n" in answer
    assert answer.endswith(b"\r\n\r\n") is (method == b"HEAD")


def test_connect_goes_nowhere() -> None:
    assert statuses(ask(b"CONNECT other:443 HTTP/1.1\r\nhost: other\r\n\r\n")) == [400]


def test_a_body_that_says_it_is_too_large_is_not_waited_for() -> None:
    answer = ask(INFER + b"content-length: 5\r\n\r\n", listen=Listen(max_body=4))
    assert statuses(answer) == [413]
    answer = ask(INFER + b"expect: 100-continue\r\ncontent-length: 5\r\n\r\n", listen=Listen(max_body=4))
    assert statuses(answer) == [413]


class Strict:
    """Lets in who shows the word."""

    name = "strict"
    on_failure = "closed"

    def head(self, call: Call) -> None:
        self.before(call)

    def before(self, call: Call) -> None:
        if call.headers.get("x-api-key") != "word":
            raise Refused(Reason.UNAUTHENTICATED, "who?")

    def after(self, call: Call, answer: Answer) -> None:
        pass


@pytest.mark.parametrize("framing", [b"content-length: 5\r\n", b"transfer-encoding: chunked\r\n"])
@pytest.mark.parametrize("expect", [b"", b"expect: 100-continue\r\n"])
def test_a_strangers_body_is_not_waited_for(framing: bytes, expect: bytes) -> None:
    records = Records()

    async def run() -> bytes:
        async with serving(gateway(echo, records=records, stages=[Strict()])) as server:
            return await exchange(server.port, INFER + framing + expect + b"\r\n")

    answer = asyncio.run(run())
    assert statuses(answer) == [401] and b"\r\nconnection: close\r\n" in answer
    ((call, status, refused),) = records.lines
    assert (call.action, call.model, status, refused) == (Action.INFER, "m", 401, "unauthenticated")


def test_whom_the_head_lets_in_is_asked_for_the_body() -> None:
    async def run() -> bytes:
        async with serving(gateway(echo, stages=[Strict()])) as server:
            return await exchange(server.port, INFER + CLOSE + b"x-api-key: word\r\ncontent-length: 3\r\n\r\nabc")

    assert asyncio.run(run()).endswith(b"infer abc")


def test_a_body_that_turns_out_too_large_is_read_no_further() -> None:
    chunks = b"transfer-encoding: chunked\r\n\r\n" + b"3\r\nabc\r\n" * 2 + b"0\r\n\r\n"
    assert statuses(ask(INFER + chunks, listen=Listen(max_body=4))) == [413]


def test_a_body_may_be_as_large_as_it_may() -> None:
    assert statuses(ask(INFER + CLOSE + b"content-length: 4\r\n\r\nabcd", listen=Listen(max_body=4))) == [200]


def test_a_model_may_have_a_lower_limit() -> None:
    async def run(model: bytes, body: bytes) -> list[int]:
        made = gateway(echo, listen=Listen(max_body=4), models=("m", "n"), max_bodies={"m": 3, "n": 9})
        async with serving(made) as server:
            head = INFER.replace(b"/m/", b"/" + model + b"/") + CLOSE + b"content-length: %d\r\n\r\n" % len(body)
            return statuses(await exchange(server.port, head + body))

    assert asyncio.run(run(b"m", b"abc")) == [200]
    assert asyncio.run(run(b"m", b"abcd")) == [413]
    assert asyncio.run(run(b"n", b"abcde")) == [413]


def test_chunks_may_not_be_all_frame() -> None:
    frame = b"1;" + b"x" * 9000 + b"\r\na\r\n"
    answer = ask(INFER + b"transfer-encoding: chunked\r\n\r\n", *[frame] * 300, listen=Listen(max_body=4))
    assert statuses(answer) == [413]


def test_a_get_has_no_body() -> None:
    assert statuses(ask(b"GET /v2 HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\n\r\na")) == [413]


def test_eighty_megabytes_cost_no_memory() -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    part = b"x" * (1 << 20)
    head = INFER + b"content-length: %d\r\n\r\n" % (80 << 20)
    assert 413 in statuses(ask(head, *[part] * 80))
    chunked = INFER + b"transfer-encoding: chunked\r\n\r\n"
    assert 413 in statuses(ask(chunked, *[b"100000\r\n" + part + b"\r\n"] * 80))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 40 << 10


def test_bodies_of_all_together_are_bounded() -> None:
    async def run() -> list[int]:
        limits = Listen(max_buffered=1000)
        async with serving(gateway(echo, listen=limits)) as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(INFER + b"content-length: 800\r\n\r\n" + b"x" * 700)
            while server.buffered < 700:
                await asyncio.sleep(0.01)
            refused = await exchange(server.port, INFER + b"content-length: 800\r\n\r\n")
            chunks = INFER + b"transfer-encoding: chunked\r\n\r\n190\r\n" + b"x" * 400 + b"\r\n0\r\n\r\n"
            also = await exchange(server.port, chunks)
            writer.write(b"x" * 100)
            first = await reader.readuntil(b"\r\n\r\n")
            writer.close()
            await writer.wait_closed()
            while server.buffered:
                await asyncio.sleep(0.01)
            return statuses(refused + also + first)

    assert asyncio.run(run()) == [503, 503, 200]


def test_bodies_that_come_slowly_make_way_for_others() -> None:
    async def run() -> tuple[list[int], list[int]]:
        limits = Listen(max_buffered=1000, body_timeout=10)
        async with serving(gateway(echo, listen=limits)) as server:
            slow = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(3)]
            for _, writer in slow:
                writer.write(INFER + b"content-length: 330\r\n\r\n" + b"x" * 320)
            async with asyncio.timeout(20):
                while server.buffered < 960:
                    await asyncio.sleep(0.01)
            await asyncio.sleep(1.2)
            other = await exchange(server.port, INFER + CLOSE + b"content-length: 100\r\n\r\n" + b"x" * 100)
            for _, writer in slow[1:]:
                writer.write(b"x" * 10)
            answers = [await reader.readuntil(b"\r\n\r\n") for reader, _ in slow]
            for _, writer in slow:
                writer.close()
            return statuses(other), statuses(b"".join(answers))

    assert asyncio.run(run()) == ([200], [503, 200, 200])


@pytest.mark.parametrize(
    "head",
    [
        INFER + b"".join(b"x%d: a\r\n" % number for number in range(100)) + b"\r\n",
        INFER + b"x: " + b"a" * 20000 + b"\r\n\r\n",
        INFER.replace(b"/m/", b"/" + b"m" * 20000 + b"/") + b"\r\n",
    ],
)
def test_floods_of_headers_are_refused(head: bytes) -> None:
    assert statuses(ask(head)) == [413]


def test_a_header_that_does_not_end_is_refused() -> None:
    assert statuses(ask(INFER + b"x: ", *[b"a" * 50000] * 10)) == [413]
    assert statuses(ask(b"POST /", *[b"a" * 50000] * 10)) == [413]


def test_content_encodings_are_refused() -> None:
    assert statuses(ask(INFER + b"content-encoding: gzip\r\ncontent-length: 3\r\n\r\nabc")) == [415]


SLOW = {
    "head": INFER[:30],
    "headers": INFER,
    "body": INFER + b"content-length: 9\r\n\r\nabc",
    "chunks": INFER + b"transfer-encoding: chunked\r\n\r\n1\r\na\r\n",
}


@pytest.mark.parametrize("name", SLOW)
def test_slow_requests_are_given_up(name: str) -> None:
    limits = Listen(header_timeout=0.2, body_timeout=0.2)
    records = Records()
    assert statuses(ask(SLOW[name], listen=limits, records=records)) == [408]
    assert [refused for _, _, refused in records.lines] == ["slow"]


def test_a_head_that_comes_drop_by_drop_is_given_up() -> None:
    async def run() -> bytes:
        async with serving(gateway(echo, listen=Listen(header_timeout=0.5))) as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)

            async def drip() -> None:
                for byte in INFER + b"x: " + b"a" * 10000:
                    writer.write(bytes([byte]))
                    await asyncio.sleep(0.02)

            dripping = asyncio.create_task(drip())
            try:
                async with asyncio.timeout(20):
                    return await reader.read()
            finally:
                dripping.cancel()
                await asyncio.gather(dripping, return_exceptions=True)
                writer.close()

    assert statuses(asyncio.run(run())) == [408]


def test_who_says_nothing_is_let_go() -> None:
    assert ask(b"", listen=Listen(header_timeout=0.2)) == b""
    whole = INFER + b"content-length: 1\r\n\r\na"
    assert statuses(ask(whole, listen=Listen(idle_timeout=0.2))) == [200]


def test_who_takes_no_answer_is_let_go() -> None:
    async def large(call: Call) -> Answer:
        return Answer(200, bytes(64 << 20))

    async def run() -> int:
        async with serving(gateway(large, listen=Listen(body_timeout=0.2))) as server:
            _, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1024)
            writer.write(INFER + b"content-length: 1\r\n\r\na")
            await asyncio.sleep(0.1)
            async with asyncio.timeout(20):
                while server._connections:
                    await asyncio.sleep(0.05)
            writer.close()
            return len(server._connections)

    assert asyncio.run(run()) == 0


def test_a_client_is_told_to_continue_once_its_head_is_accepted() -> None:
    async def run() -> bytes:
        async with serving(gateway(echo)) as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(INFER + CLOSE + b"expect: 100-continue\r\ncontent-length: 3\r\n\r\n")
            interim = await reader.readuntil(b"\r\n\r\n")
            writer.write(b"abc")
            answer = await reader.read()
            writer.close()
            return interim + answer

    answer = asyncio.run(run())
    assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n")
    assert answer.endswith(b"infer abc")


def test_old_clients_are_answered_and_left() -> None:
    answer = ask(INFER.replace(b"1.1", b"1.0") + b"content-length: 1\r\n\r\na")
    assert statuses(answer) == [200]
    assert b"connection: close" in answer


def test_work_for_a_client_that_has_gone_stops_and_is_recorded() -> None:
    stopped = []
    records = Records()

    async def run() -> None:
        begun = asyncio.Event()

        async def forever(call: Call) -> Answer:
            begun.set()
            try:
                await asyncio.sleep(3600)
            finally:
                stopped.append(call)
            raise AssertionError

        async with serving(gateway(forever, records=records)) as server:
            _, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(INFER + b"content-length: 1\r\n\r\na")
            await begun.wait()
            writer.close()
            async with asyncio.timeout(20):
                while not records.lines:
                    await asyncio.sleep(0.01)

    asyncio.run(run())
    assert len(stopped) == 1
    assert records.lines[0][2] == "cancelled"


def test_clients_beyond_the_most_are_turned_away() -> None:
    async def run() -> list[bytes]:
        async with serving(gateway(echo, listen=Listen(max_connections=1))) as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(INFER + b"content-length: 1\r\n\r\na")
            first = await reader.readuntil(b"\r\n\r\n")
            second = await exchange(server.port, INFER + b"\r\n")
            writer.close()
            return [first[:12], second]

    assert asyncio.run(run()) == [b"HTTP/1.1 200", b""]


def test_what_fails_after_its_head_does_not_look_whole() -> None:
    async def parts():  # type: ignore[no-untyped-def]
        yield b"data: 1\n\n"
        raise Refused(Reason.BACKEND, "gone")

    async def run() -> bytes:
        async def stream(call: Call) -> Answer:
            return Answer(200, stream=parts())

        async with serving(gateway(stream)) as server:
            return await exchange(server.port, INFER + b"content-length: 1\r\n\r\na")

    answer = asyncio.run(run())
    assert not answer.endswith(b"0\r\n\r\n")


WHOLE = (
    INFER
    + b"content-type: application/json\r\ncontent-length: 12\r\n\r\n"
    + b"abc\r\n\r\nGET /"
    + INFER
    + b"transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    + INFER
    + CLOSE
    + b"content-length: 0\r\n\r\n"
)


@settings(max_examples=40, deadline=None)
@given(st.sets(st.integers(1, len(WHOLE) - 1), max_size=12))
def test_it_does_not_matter_where_requests_are_cut(cuts: set[int]) -> None:
    """Fed to the protocol as pieces; what the network makes of them is no different."""
    records = Records()
    at = [0, *sorted(cuts), len(WHOLE)]
    pieces = [WHOLE[start:end] for start, end in itertools.pairwise(at)]
    answer = asyncio.run(fed(pieces, records))
    assert statuses(answer) == [200, 200, 200]
    assert [call.body for call, _, _ in records.lines] == [b"abc\r\n\r\nGET /", b"abc", b""]


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.binary(max_size=60),
            st.sampled_from(
                [INFER, b"\r\n", b"content-length: 3\r\n", b"transfer-encoding: chunked\r\n", b"\r\n\r\n", b"abc",
                 b"0\r\n", b"connection: close\r\n", b"expect: 100-continue\r\n", b"x: ",
                 b"GET /v2 HTTP/1.1\r\nhost: a\r\n\r\n"]
            ),
        ),
        max_size=12,
    )
)  # fmt: skip
def test_whatever_comes_is_answered_or_refused_and_recorded(pieces: list[bytes]) -> None:
    records = Records()
    answer = asyncio.run(fed(pieces, records))
    final = [status for status in statuses(answer) if status != 100]
    assert final == [status for _, status, _ in records.lines]
    assert set(final) <= {200, 400, 404, 405, 408, 413, 415}


async def fed(pieces: list[bytes], records: Records) -> bytes:
    """What a connection answers to these pieces, without a network between."""

    class Transport(asyncio.Transport):
        def __init__(self) -> None:
            super().__init__()
            self.written = b""
            self.closed = False

        def write(self, data: bytes | bytearray | memoryview) -> None:
            self.written += bytes(data)

        def is_closing(self) -> bool:
            return self.closed

        def close(self) -> None:
            self.closed = True

        abort = close

        def can_write_eof(self) -> bool:
            return False

    async with serving(gateway(echo, records=records)) as server:
        transport = Transport()
        protocol = ServerProtocol(server)
        protocol.connection_made(transport)
        for piece in pieces:
            if piece and not transport.closed:
                protocol.data_received(piece)
                await asyncio.sleep(0)
        for _ in range(50):
            await asyncio.sleep(0)
        protocol.connection_lost(None)
        for _ in range(3):
            await asyncio.sleep(0)
        assert server.buffered == 0
        return transport.written
