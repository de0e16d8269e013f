"""The guard as an ASGI application, and before one."""

import asyncio
import socket
from collections.abc import Sequence
from typing import Any

import pytest
import uvicorn

from garrison.serving.calls import Action, Answer, Call
from garrison.serving.config.config import Listen
from garrison.serving.http.app import GuardApp
from garrison.serving.http.gateway import Current, Gateway
from garrison.serving.http.middleware import forward_to
from tests.serving.http.guards import Records, echo, exchange, gateway


def scope(method: str = "POST", path: str = "/v2/models/m/infer", **more: Any) -> dict[str, Any]:
    return {
        "type": "http", "method": method, "path": path, "raw_path": path.encode(), "query_string": b"",
        "headers": [(b"host", b"guard"), *more.pop("headers", [])], "client": ("192.0.2.1", 4321), **more,
    }  # fmt: skip


class Client:
    """What an ASGI server does for one request."""

    def __init__(self, *parts: bytes, stays: bool = True) -> None:
        self._messages = [
            {"type": "http.request", "body": part, "more_body": index + 1 < len(parts)}
            for index, part in enumerate(parts)
        ]
        self._stays = stays
        self.sent: list[dict[str, Any]] = []

    async def receive(self) -> dict[str, Any]:
        if self._messages:
            return self._messages.pop(0)
        if self._stays:
            await asyncio.sleep(3600)
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        self.sent.append(dict(message))

    @property
    def status(self) -> int:
        return int(self.sent[0]["status"])

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.sent[1:])


def ask(made: Gateway, came: dict[str, Any], *parts: bytes) -> Client:
    client = Client(*(parts or (b"",)))
    asyncio.run(GuardApp(Current(made))(came, client.receive, client.send))
    return client


def test_a_request_is_answered() -> None:
    records = Records()
    client = ask(gateway(echo, records=records), scope(), b"a", b"bc")
    assert (client.status, client.body) == (200, b"POST /v2/models/m/infer abc")
    ((call, status, _),) = records.lines
    assert (call.action, call.peer.address, status) == (Action.INFER, "192.0.2.1", 200)


@pytest.mark.parametrize(
    ("came", "parts", "status"),
    [
        (scope(path="/other"), [b""], 404),
        (scope(path="/v2/models/../x"), [b""], 400),
        (scope(method="GET"), [b""], 405),
        (scope(headers=[(b"host", b"other")]), [b""], 400),
        (scope(headers=[(b"content-length", b"5")]), [b"a"], 413),
        (scope(), [b"abc", b"de"], 413),
        (scope(headers=[(b"content-encoding", b"br")]), [b"a"], 415),
        (scope(headers=[(b"x%d" % number, b"") for number in range(100)]), [b""], 413),
        (scope(raw_path=None), [b""], 503),
    ],
)
def test_what_is_refused(came: dict[str, Any], parts: Sequence[bytes], status: int) -> None:
    records = Records()
    client = ask(gateway(echo, records=records, listen=Listen(max_body=4)), came, *parts)
    assert client.status == status
    assert [line[1] for line in records.lines] == [status]
    assert (b"connection", b"close") in client.sent[0]["headers"]


def test_a_body_that_does_not_come_is_given_up() -> None:
    client = Client(b"a", b"b")
    client._messages.pop()
    made = gateway(echo, listen=Listen(body_timeout=0.05))
    asyncio.run(GuardApp(Current(made))(scope(), client.receive, client.send))
    assert client.status == 408


def test_what_is_no_request_is_turned_away() -> None:
    async def run() -> list[dict[str, Any]]:
        sent: list[dict[str, Any]] = []
        messages = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}, {"type": "websocket.connect"}]

        async def receive() -> dict[str, Any]:
            return messages.pop(0)

        async def send(message: Any) -> None:
            sent.append(message)

        app = GuardApp(Current(gateway(echo)))
        await app({"type": "lifespan"}, receive, send)
        await app({"type": "websocket"}, receive, send)
        return sent

    assert [message["type"] for message in asyncio.run(run())] == [
        "lifespan.startup.complete",
        "lifespan.shutdown.complete",
        "websocket.close",
    ]


def test_work_stops_when_the_client_leaves() -> None:
    records = Records()

    async def forever(call: Call) -> Answer:
        await asyncio.sleep(3600)
        raise AssertionError

    client = Client(b"a", stays=False)
    asyncio.run(GuardApp(Current(gateway(forever, records=records)))(scope(), client.receive, client.send))
    assert records.lines[0][2] == "cancelled"
    assert client.sent == []


class Inner:
    """An application behind the guard."""

    def __init__(self, *parts: bytes, status: int = 200, headers: Sequence[tuple[bytes, bytes]] = ()) -> None:
        self._parts = parts
        self._status = status
        self._headers = headers
        self.scopes: list[Any] = []
        self.bodies: list[bytes] = []
        self.ended = 0

    async def __call__(self, came: Any, receive: Any, send: Any) -> None:
        self.scopes.append(came)
        self.bodies.append((await receive())["body"])
        await send({"type": "http.response.start", "status": self._status, "headers": list(self._headers)})
        try:
            for part in self._parts:
                if part == b"wait":
                    await asyncio.sleep(3600)
                if part == b"fail":
                    raise RuntimeError("inside")
                await send({"type": "http.response.body", "body": part, "more_body": True})
            await send({"type": "http.response.body"})
        finally:
            self.ended += 1


def test_an_application_behind_sees_what_the_guard_read() -> None:
    inner = Inner(b"o", b"k", headers=[(b"Content-Type", b"a/b"), (b"Set-Cookie", b"a=b")])
    headers = [(b"authorization", b"x"), (b"cookie", b"x"), (b"content-type", b"c/d"), (b"x-forwarded-for", b"x")]
    client = ask(gateway(forward_to(inner)), scope(path="/v2/models/%6d/infer", headers=headers), b"abc")
    assert (client.status, client.body) == (200, b"ok")
    assert (b"content-type", b"a/b") in client.sent[0]["headers"]
    assert not any(name == b"set-cookie" for name, _ in client.sent[0]["headers"])
    (came,) = inner.scopes
    assert (came["path"], came["raw_path"], inner.bodies) == ("/v2/models/m/infer", b"/v2/models/m/infer", [b"abc"])
    assert {name for name, _ in came["headers"]} == {b"content-type", b"content-length", b"host", b"x-request-id"}
    assert dict(came["headers"])[b"content-type"] == b"c/d"


@pytest.mark.parametrize(
    "inner",
    [
        Inner(b"x", status=302, headers=[(b"location", b"http://other")]),
        Inner(b"fail"),
        Inner(b"x" * 101),
        Inner(b"x", headers=[(b"Content-Encoding", b"gzip")]),
    ],
)
def test_what_an_application_may_not_answer(inner: Inner) -> None:
    client = ask(gateway(forward_to(inner, most_bytes=100)), scope(), b"abc")
    assert client.status == 502
    assert b"inside" not in client.body


def test_an_application_that_answers_nothing_has_failed() -> None:
    async def silent(came: Any, receive: Any, send: Any) -> None:
        return None

    assert ask(gateway(forward_to(silent)), scope(), b"abc").status == 502
    assert ask(gateway(forward_to(silent)), scope(path="/v2/models/m/generate_stream"), b"abc").status == 502


def test_an_answer_in_parts() -> None:
    inner = Inner(*[b"data: 1\n\n"] * 50, headers=[(b"content-type", b"text/event-stream")])
    client = ask(gateway(forward_to(inner)), scope(path="/v2/models/m/generate_stream"), b"abc")
    assert client.body == b"data: 1\n\n" * 50
    assert inner.ended == 1


def test_an_answer_in_parts_that_breaks_off_is_not_ended() -> None:
    inner = Inner(b"a", b"fail")
    with pytest.raises(Exception, match="the model server failed"):
        ask(gateway(forward_to(inner)), scope(path="/v2/models/m/generate_stream"), b"abc")


def test_leaving_an_answer_in_parts_stops_the_application() -> None:
    inner = Inner(b"a", b"wait")

    async def run() -> None:
        client = Client(b"abc")
        app = GuardApp(Current(gateway(forward_to(inner))))
        asking = asyncio.create_task(app(scope(path="/v2/models/m/generate_stream"), client.receive, client.send))
        async with asyncio.timeout(10):
            while len(client.sent) < 2:
                await asyncio.sleep(0.01)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking

    asyncio.run(run())
    assert inner.ended == 1


def test_under_a_server_that_others_wrote() -> None:
    """Through real sockets: what uvicorn makes of a request is what the guard needs to know of it."""

    async def run() -> bytes:
        config = uvicorn.Config(
            GuardApp(Current(gateway(echo))), port=0, log_level="critical", lifespan="on", ws="none", http="httptools"
        )
        server = uvicorn.Server(config)
        with socket.create_server(("127.0.0.1", 0)) as listening:
            serving = asyncio.create_task(server.serve([listening]))
            while not server.started:
                await asyncio.sleep(0.01)
            head = b"POST /v2/models/%6d/infer?x=y HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n"
            escaped = b"POST /v2/models/a%2fb/infer HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n"
            port = listening.getsockname()[1]
            answer = await exchange(port, head + b"\r\nabc" + escaped)
            server.should_exit = True
            await serving
            return answer

    answer = asyncio.run(run())
    assert b"\r\n\r\nPOST /v2/models/m/infer abcHTTP/1.1 400 " in answer
