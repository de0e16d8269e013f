"""Listening, TLS, reloading and ending."""

import asyncio
import ssl
from pathlib import Path

import pytest
import uvloop

from garrison.core.errors import UsageError
from garrison.serving.calls import Action, Answer, Call, Peer
from garrison.serving.config.config import Backend, Listen
from garrison.serving.http.gateway import Current
from garrison.serving.http.pool import Pool
from garrison.serving.http.server import Server
from garrison.serving.refusals import Refused
from tests.serving.http.authorities import Authority
from tests.serving.http.guards import Records, echo, exchange, gateway, serving

INFER = b"POST /v2/models/m/infer HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\n"
CLOSE = b"connection: close\r\n\r\n"


def infer() -> Call:
    return Call(
        Action.INFER,
        transport="http",
        headers={},
        peer=Peer(),
        operation="infer",
        method="POST",
        target="/v2/models/m/infer",
        body=b"abc",
    )


@pytest.mark.parametrize("address", ["", "8000", "127.0.0.1", "127.0.0.1:99999", "a b:1", "http://a:1", "unix:x"])
def test_addresses_to_listen_at_that_are_none(address: str) -> None:
    with pytest.raises(UsageError):
        Server(Current(gateway(echo)), Listen(http=address))


def test_an_address_that_is_taken_is_said_so() -> None:
    async def run() -> None:
        async with serving(gateway(echo)) as server:
            other = Server(Current(gateway(echo)), Listen(http=f"127.0.0.1:{server.port}"))
            with pytest.raises(UsageError, match="cannot listen"):
                await other.start()

    asyncio.run(run())


def test_client_authorities_without_tls_are_a_mistake() -> None:
    with pytest.raises(UsageError, match="TLS"):
        Server(Current(gateway(echo)), Listen(http="127.0.0.1:0", client_authorities="/x.pem"))
    with pytest.raises(UsageError, match="certificates"):
        Server(Current(gateway(echo)), Listen(http="127.0.0.1:0", certificate="/nowhere.pem", key="/nowhere.key"))


def test_it_runs_on_the_loop_of_production() -> None:
    async def run() -> bytes:
        async with serving(gateway(echo)) as server:
            return await exchange(server.port, INFER + b"\r\na" + INFER + CLOSE + b"b")

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(run()).count(b"HTTP/1.1 200 OK") == 2


def test_a_unix_socket(tmp_path: Path) -> None:
    path = str(tmp_path / "guard.sock")

    async def run() -> tuple[bytes, Answer]:
        async with Server(Current(gateway(echo)), Listen(http=f"unix:{path}")):
            reader, writer = await asyncio.open_unix_connection(path)
            writer.write(INFER + CLOSE + b"a")
            answer = await reader.read()
            writer.close()
            await writer.wait_closed()
            pool = Pool(Backend(http=f"unix:{path}"))
            asked = await pool.ask(infer())
            await pool.close()
            return answer, asked

    answer, asked = asyncio.run(run())
    assert answer.endswith(b"infer a")
    assert asked.body == b"POST /v2/models/m/infer abc"


def test_clients_show_a_certificate_and_the_guard_verifies_servers(tmp_path: Path) -> None:
    ours, theirs = Authority(str(tmp_path), "ours"), Authority(str(tmp_path), "theirs")
    certificate, key, _ = ours.issue("guard")
    client, client_key, client_der = ours.issue("client")
    stranger, stranger_key, _ = theirs.issue("stranger")
    records = Records()
    listen = Listen(http="127.0.0.1:0", certificate=certificate, key=key, client_authorities=ours.path)

    async def run() -> None:
        async with Server(Current(gateway(echo, records=records)), listen) as server:
            url = f"https://127.0.0.1:{server.port}"

            async def asked(**settings: str) -> Answer:
                pool = Pool(Backend(http=url, **settings))  # type: ignore[arg-type]
                try:
                    return await pool.ask(infer())
                finally:
                    await pool.close()
                    # TLS says goodbye before it closes.
                    await asyncio.sleep(0.05)

            good = {"authorities": ours.path, "certificate": client, "key": client_key}
            assert (await asked(**good)).body == b"POST /v2/models/m/infer abc"
            assert records.lines[0][0].peer.certificate == client_der
            for bad in (
                good | {"certificate": "", "key": ""},
                good | {"certificate": stranger, "key": stranger_key},
                good | {"authorities": theirs.path},
            ):
                with pytest.raises(Refused):
                    await asked(**bad)
            old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            old.load_verify_locations(ours.path)
            old.load_cert_chain(client, client_key)
            with pytest.warns(DeprecationWarning):
                old.maximum_version = ssl.TLSVersion.TLSv1_1
            with pytest.raises((ssl.SSLError, ConnectionError)):
                await asyncio.open_connection("127.0.0.1", server.port, ssl=old)

    asyncio.run(run())
    assert len(records.lines) == 1


def test_a_new_configuration_drops_no_request() -> None:
    """Requests that have begun end as they began; those whose head comes later meet the new one."""

    async def run() -> list[bytes]:
        go, begun = asyncio.Event(), asyncio.Event()

        async def old(call: Call) -> Answer:
            begun.set()
            await go.wait()
            return Answer(200, b"old")

        async def new(call: Call) -> Answer:
            return Answer(200, b"new")

        async with serving(gateway(old)) as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(INFER + b"\r\na")
            await begun.wait()
            server.current.gateway = gateway(new)
            other = await exchange(server.port, INFER + CLOSE + b"a")
            go.set()
            first = await reader.readuntil(b"old")
            writer.write(INFER + CLOSE + b"a")
            second = await reader.read()
            writer.close()
            return [other, first, second]

    assert [answer[-3:] for answer in asyncio.run(run())] == [b"new", b"old", b"new"]


def test_ending_answers_what_has_begun() -> None:
    async def run() -> tuple[bytes, bytes, bytes]:
        begun = asyncio.Event()

        async def slow(call: Call) -> Answer:
            begun.set()
            await asyncio.sleep(0.2)
            return Answer(200, b"done " + call.body)

        server = Server(Current(gateway(slow)), Listen(http="127.0.0.1:0"))
        await server.start()
        port = server.port
        idle, idle_writer = await asyncio.open_connection("127.0.0.1", port)
        sending, sending_writer = await asyncio.open_connection("127.0.0.1", port)
        sending_writer.write(INFER + b"\r\n")
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(INFER + b"\r\na")
        await begun.wait()
        stopping = asyncio.create_task(server.stop(grace=20))
        await asyncio.sleep(0.05)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)
        sending_writer.write(b"b")
        answers = await reader.read(), await sending.read(), await idle.read()
        await stopping
        for one in (writer, sending_writer, idle_writer):
            one.close()
        return answers

    first, second, third = asyncio.run(run())
    assert first.endswith(b"done a")
    assert b"connection: close" in first
    assert second.endswith(b"done b")
    assert third == b""


def test_ending_waits_no_longer_than_it_may() -> None:
    async def run() -> bytes:
        begun = asyncio.Event()

        async def forever(call: Call) -> Answer:
            begun.set()
            await asyncio.sleep(3600)
            raise AssertionError

        server = Server(Current(gateway(forever)), Listen(http="127.0.0.1:0"))
        await server.start()
        asking = asyncio.create_task(exchange(server.port, INFER + b"\r\na"))
        await begun.wait()
        await server.stop(grace=0.1)
        return await asking

    assert asyncio.run(run()) == b""
