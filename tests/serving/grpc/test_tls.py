"""TLS before the guard and behind it, and the certificates that clients show."""

import asyncio
from pathlib import Path

import grpc
import grpc.aio
import pytest

from garrison.core.errors import UsageError
from garrison.serving.config.config import Backend, Listen
from garrison.serving.grpc.forward import GrpcForward
from garrison.serving.grpc.gateway import Current
from garrison.serving.grpc.server import GrpcServer
from tests.serving.grpc.certificates import Authority
from tests.serving.grpc.guards import ModelServer, Records, asked, failure, gateway, guarded, question

BODY = question().SerializeToString()


def channel(address: str, authority: Authority, shown: tuple[Path, Path, bytes] | None = None) -> grpc.aio.Channel:
    pair = (shown[1].read_bytes(), shown[0].read_bytes()) if shown else (None, None)
    credentials = grpc.ssl_channel_credentials(authority.certificate.read_bytes(), *pair)
    return grpc.aio.secure_channel(address, credentials)


def listening(server: tuple[Path, Path, bytes], authorities: str = "") -> Listen:
    return Listen(grpc="127.0.0.1:0", certificate=str(server[0]), key=str(server[1]), client_authorities=authorities)


def test_clients_show_certificates_of_the_authority_and_the_call_has_them(tmp_path: Path) -> None:
    authority, other = Authority(tmp_path), Authority(tmp_path, "other")
    server, client, stranger = authority.issue("server"), authority.issue("client"), other.issue("stranger")
    records = Records()

    async def run() -> None:
        listens = listening(server, str(authority.certificate))
        async with guarded(ModelServer(), records=records, listen=listens) as address:
            async with channel(address, authority, client) as shown:
                await asked(shown, BODY)
            for one in (None, stranger):
                async with channel(address, authority, one) as refused:
                    assert (await failure(asked(refused, BODY)))[0] == "UNAVAILABLE"
            async with grpc.aio.insecure_channel(address) as plain:
                assert (await failure(asked(plain, BODY)))[0] == "UNAVAILABLE"

    asyncio.run(run())
    assert [call.peer.certificate for call, _, _ in records.lines] == [client[2]]


def test_without_authorities_clients_show_none(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    records = Records()

    async def run() -> None:
        listens = listening(authority.issue("server"))
        async with (
            guarded(ModelServer(), records=records, listen=listens) as address,
            channel(address, authority, authority.issue("client")) as shown,
        ):
            await asked(shown, BODY)

    asyncio.run(run())
    assert records.lines[0][0].peer.certificate is None


def test_the_server_behind_is_verified(tmp_path: Path) -> None:
    authority, other = Authority(tmp_path), Authority(tmp_path, "other")
    certificate, key, _ = authority.issue("server")

    async def run() -> None:
        pair = (key.read_bytes(), certificate.read_bytes())
        server = grpc.aio.server(handlers=(ModelServer(),))
        port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials((pair,)))
        await server.start()
        try:
            for trusted, status in ((authority, 200), (other, 502)):
                records = Records()
                forward = GrpcForward(
                    {"default": Backend(grpc=f"https://127.0.0.1:{port}", authorities=str(trusted.certificate))}
                )
                guard = GrpcServer(Current(gateway(forward, records)), Listen(grpc="127.0.0.1:0"))
                await guard.start()
                async with grpc.aio.insecure_channel(f"127.0.0.1:{guard.port}") as plain:
                    if status == 200:
                        await asked(plain, BODY)
                    else:
                        await failure(asked(plain, BODY))
                await guard.stop(0)
                await forward.close()
                assert records.told()[0][0] == status
        finally:
            await server.stop(0)

    asyncio.run(run())


def test_what_cannot_be_listened_on(tmp_path: Path) -> None:
    async def listen(listening: Listen) -> None:
        GrpcServer(Current(gateway(None, Records())), listening)

    empty = tmp_path / "empty.pem"
    empty.write_bytes(b"")
    for one in (
        Listen(grpc="256.0.0.1:1"),
        Listen(grpc="127.0.0.1:0", certificate=str(tmp_path / "none.pem"), key=str(empty)),
        Listen(grpc="127.0.0.1:0", certificate=str(empty), key=str(empty)),
    ):
        with pytest.raises(UsageError):
            asyncio.run(listen(one))


def test_no_two_servers_share_a_port() -> None:
    async def run() -> None:
        async with guarded(ModelServer()) as address:
            with pytest.raises(UsageError, match="cannot listen"):
                GrpcServer(Current(gateway(None, Records())), Listen(grpc=address))

    asyncio.run(run())
