"""Lines go into a stream of Redis as they are; what is required is waited for, and refused where Redis is gone."""

import asyncio
import shutil
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from garrison.core.errors import UsageError
from garrison.serving.calls import Answer
from garrison.serving.record.copies import StreamCopy
from garrison.serving.record.settings import Copy
from garrison.serving.record.verification import verify
from tests.serving.record.logs import segment
from tests.serving.record.test_audit import audit, call

redis = pytest.importorskip("redis")
SERVER = shutil.which("redis-server") or shutil.which("valkey-server")
pytestmark = pytest.mark.skipif(SERVER is None, reason="no redis-server on this machine")


class Server:
    def __init__(self, folder: Path) -> None:
        self.socket = folder / "redis.sock"
        self.address = f"unix://{self.socket}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        assert SERVER is not None
        options = ["--port", "0", "--unixsocket", str(self.socket), "--save", "", "--dir", str(self.socket.parent)]
        self._process = subprocess.Popen([SERVER, *options], stdout=subprocess.DEVNULL)
        with self.client() as client:
            for _ in range(600):
                try:
                    client.ping()
                    return
                except redis.exceptions.ConnectionError:
                    time.sleep(0.05)
        raise AssertionError("redis-server did not start")

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self.socket.unlink(missing_ok=True)
            self._process = None

    def client(self) -> Any:
        return redis.Redis.from_url(self.address)

    def lines(self) -> list[bytes]:
        with self.client() as client:
            return [fields[b"line"] for _, fields in client.xrange("garrison:audit")]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    made = Server(tmp_path)
    made.start()
    yield made
    made.stop()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.01)


def test_the_stream_has_the_lines_as_they_are_in_the_log(server: Server, tmp_path: Path) -> None:
    log, config = audit(tmp_path, copy=Copy(address=server.address))

    async def run() -> None:
        log.start()
        for _ in range(1200):
            assert log.recorder(config).record(call(), Answer(200), "") is None
        await log.stop()

    asyncio.run(run())
    assert server.lines() == segment(tmp_path / "log").read_bytes().splitlines()


def test_a_required_copy_is_waited_for_and_refused_where_redis_is_gone(server: Server, tmp_path: Path) -> None:
    told: list[BaseException] = []
    log, config = audit(tmp_path, told, copy=Copy(address=server.address, required=True), durability="disk")
    recorder = log.recorder(config)

    async def run() -> None:
        log.start()
        one = call()
        await cast("Awaitable[None]", recorder.record(one, Answer(200), ""))
        assert any(one.identifier.encode() in line for line in server.lines())
        server.stop()
        with pytest.raises(OSError, match="out of reach"):
            await cast("Awaitable[None]", recorder.record(call(), Answer(200), ""))
        server.start()
        async with asyncio.timeout(60):
            while True:
                try:
                    await cast("Awaitable[None]", recorder.record(call(), Answer(200), ""))
                    break
                except OSError:
                    await asyncio.sleep(0.05)
        await log.stop()

    asyncio.run(run())
    assert told
    # What could not be sent was sent later, in its order.
    assert server.lines() == segment(tmp_path / "log").read_bytes().splitlines()[3:]
    assert verify(str(tmp_path / "log")).problem is None


def test_a_copy_that_is_not_required_holds_up_nothing(server: Server, tmp_path: Path) -> None:
    told: list[BaseException] = []
    server.stop()
    log, config = audit(tmp_path, told, copy=Copy(address=server.address))

    async def run() -> None:
        log.start()
        assert log.recorder(config).record(call(), Answer(200), "") is None
        await until(lambda: bool(told))
        server.start()
        await log.stop()

    asyncio.run(run())
    assert server.lines() == segment(tmp_path / "log").read_bytes().splitlines()


def test_the_stream_is_kept_short(server: Server) -> None:
    async def run() -> None:
        copy = StreamCopy(Copy(address=server.address, most=100), "guard-1", lambda error: None)
        copy.start()
        for number in range(2000):
            copy.put(b"%d" % number)
        await copy.sent()
        await copy.stop()

    asyncio.run(run())
    kept = server.lines()
    assert 100 <= len(kept) < 400 and kept[-1] == b"1999"


def test_what_waits_is_bounded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("garrison.serving.record.copies._WAITING", 10)

    async def run() -> None:
        copy = StreamCopy(Copy(address=f"unix://{tmp_path}/none"), "guard-1", lambda error: None)
        for _ in range(15):
            copy.put(b"x")
        assert copy.left_out == 5
        with pytest.raises(OSError, match="come to a stop"):
            await copy.sent()
        await copy.stop()

    asyncio.run(run())


def test_an_address_that_is_none() -> None:
    with pytest.raises(UsageError, match=r"record\.copy\.address"):
        StreamCopy(Copy(address="http://127.0.0.1"), "guard-1", lambda error: None)
