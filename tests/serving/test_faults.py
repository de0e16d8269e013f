"""The assembled guard while what it depends on fails: servers, Redis, the disk, clocks, its own life."""

import asyncio
import functools
import http.client
import json
import resource
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from garrison.cli.main import main
from garrison.serving.assembly import Assembled
from garrison.serving.calls import Answer, Call, Peer
from garrison.serving.config.reading import read
from garrison.serving.record.audit import Audit
from garrison.serving.services import Services
from garrison.serving.state.memory import MemoryStore
from tests.serving.grpc.guards import INFER, asked, question
from tests.serving.guarded import Guard, ask, calls, guarding, keyed, started
from tests.serving.servers import free_ports

OUTPUTS = [{"name": "scores", "datatype": "FP64", "shape": [1, 2], "data": [0.25, 0.75]}]
BODY = json.dumps({"model_name": "digits", "outputs": OUTPUTS}).encode()
SCHEMA = '\n[[models.{0}.schema.inputs]]\nname = "x"\ndatatype = "FP32"\nshape = [-1, 2]\n'

Behaviour = Callable[[socket.socket], bool]
"""Answers one request; whether another may follow."""


def answer(body: bytes = BODY, *, length: int | None = None, more: bytes = b"") -> bytes:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    return head % (len(body) if length is None else length) + body + more


def good(connection: socket.socket) -> bool:
    connection.sendall(answer())
    return True


def sends(*parts: bytes, end: bool = True) -> Behaviour:
    def behave(connection: socket.socket) -> bool:
        for part in parts:
            connection.sendall(part)
        return not end

    return behave


def resets(part: bytes = b"") -> Behaviour:
    def behave(connection: socket.socket) -> bool:
        connection.sendall(part)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return False

    return behave


class Backend:
    """A model server whose behaviour a test chooses, and that counts what it was asked."""

    def __init__(self) -> None:
        self.behave: Behaviour = good
        self.seen: Counter[str] = Counter()
        """Requests by the id that the guard gave them."""
        self.sent: Counter[str] = Counter()
        """Requests by the id in their bodies."""
        self.last = b""
        """The body that came last."""
        self.ended = threading.Event()
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self.port = 0
        self.start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", self.port))
        self.port = self._listening.getsockname()[1]
        self._threads.append(threading.Thread(target=self._accept, args=(self._listening,)))
        self._threads[-1].start()

    def stop(self) -> None:
        """Be gone: nothing listens, and what was open is closed."""
        self.ended.set()
        for one in (self._listening, *tuple(self._open)):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for thread in self._threads:
            thread.join()
        self._threads.clear()
        self.ended.clear()

    def _accept(self, listening: socket.socket) -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            self._open.add(connection)
            thread = threading.Thread(target=self._serve, args=(connection,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as reader, suppress(OSError):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while reader.readline():
                headers = http.client.parse_headers(reader)
                body = reader.read(int(headers["content-length"] or 0))
                self.last = body
                self.seen[str(headers["x-request-id"])] += 1
                with suppress(ValueError, AttributeError):
                    self.sent[str(json.loads(body).get("id"))] += 1
                if not self.behave(connection):
                    break
        self._open.discard(connection)


@contextmanager
def backends(count: int = 1) -> Iterator[list[Backend]]:
    made = [Backend() for _ in range(count)]
    try:
        yield made
    finally:
        for one in made:
            one.stop()


def body(identifier: str = "") -> dict[str, Any]:
    named = {"id": identifier} if identifier else {}
    return {**named, "inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [0.5, 0.5]}]}


def path(model: str = "digits") -> str:
    return f"/v2/models/{model}/infer"


def until(wanted: Callable[[], bool], seconds: float = 30.0) -> None:
    latest = time.monotonic() + seconds
    while not wanted():
        assert time.monotonic() < latest
        time.sleep(0.05)


def verified(log: str) -> bool:
    return main(["audit", "verify", log]) == 0


# The server behind.


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Guard, Backend, Backend]]:
    """A guard before a server that a test makes fail, and another before which `other` and `protected` are."""
    with backends(2) as (first, second):
        text = f'[backends.default]\nhttp = "{first.address}"\ntimeout = 0.7\nmax-answer = 100000\n'
        text += f'[backends.second]\nhttp = "{second.address}"\n[models.other]\nbackend = "second"\n'
        text += '[[models.protected.protect.rules]]\noutputs = ["scores"]\ndigits = 1\n'
        text += "".join(SCHEMA.format(name) for name in ("digits", "other", "protected"))
        with guarding(tmp_path_factory.mktemp("guard"), text) as guard:
            yield guard, first, second


def waits(part: bytes = b"") -> Callable[[Backend], Behaviour]:
    def made(backend: Backend) -> Behaviour:
        def behave(connection: socket.socket) -> bool:
            connection.sendall(part)
            # The guard gives up first, and closes.
            connection.settimeout(20)
            with suppress(OSError):
                connection.recv(1)
            return False

        return behave

    return made


FAULTS: dict[str, tuple[Behaviour | Callable[[Backend], Behaviour], set[int]]] = {
    "slow": (waits(), {504}),
    "slow in its head": (waits(b"HTTP/1.1 200 OK\r\ncontent-le"), {504}),
    "slow in its body": (waits(answer()[:-5]), {504}),
    "ends without an answer": (sends(), {502}),
    "resets": (resets(), {502}),
    "resets in its body": (resets(answer()[:-5]), {502}),
    "says more than comes": (sends(answer(length=len(BODY) + 5)), {502}),
    "says less than comes": (sends(answer(length=len(BODY) - 5, more=b"")), {200, 502}),
    "another answer behind": (sends(answer() + answer(b'{"outputs": []}'), end=False), {200, 502}),
    "says a negative length": (sends(answer(length=-1)), {502}),
    "two lengths": (sends(answer().replace(b"\r\n\r\n", b"\r\ncontent-length: 3\r\n\r\n", 1)), {502}),
    "length and chunks": (sends(answer().replace(b"\r\n\r\n", b"\r\ntransfer-encoding: chunked\r\n\r\n", 1)), {502}),
    "chunks that lie": (
        sends(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffffff\r\na\r\n0\r\n\r\n"),
        {502},
    ),
    "no HTTP": (sends(b"\x00\xff" * 100), {502}),
    "the protocol of mail": (sends(b"220 smtp.example.org ESMTP\r\n"), {502}),
    "an answer too long": (sends(answer(b" " * 200_000)), {502}),
    "a head without end": (sends(b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 50_000), {502}),
    "an upgrade": (sends(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\r\n"), {502}),
}


@pytest.mark.parametrize("name", FAULTS)
def test_what_a_failing_server_does_is_told_and_disturbs_nobody_else(
    name: str, faulty: tuple[Guard, Backend, Backend]
) -> None:
    guard, backend, _ = faulty
    behave, statuses = FAULTS[name]
    seen = sum(backend.seen.values())
    backend.behave = behave(backend) if name.startswith("slow") else behave  # type: ignore[arg-type,assignment]
    try:
        begun = time.monotonic()
        status, found = guard.ask(path(), body(f"fault {name}"))
        assert status in statuses
        assert time.monotonic() - begun < 15
        if status != 200:
            assert found["reason"] in ("backend", "deadline")
            assert "127.0.0.1" not in json.dumps(found)
    finally:
        backend.behave = good
    assert sum(backend.seen.values()) == seen + 1
    for _ in range(3):
        status, found = guard.ask(path(), body())
        assert (status, found["outputs"]) == (200, OUTPUTS)
    assert guard.ask(path("other"), body())[0] == 200


GARBAGE = {
    "no JSON": b"<html>it works</html>",
    "invalid UTF-8": b'{"outputs": [{"name": "\xff"}]}',
    "no outputs": b'{"model_name": "digits"}',
    "too few numbers": BODY.replace(b"[1, 2]", b"[1, 3]"),
    "a negative shape": BODY.replace(b"[1, 2]", b"[-1, -2]"),
    "texts for numbers": BODY.replace(b"0.25", b'"a quarter"'),
    "deep": b'{"outputs": ' + b"[" * 40_000,
    "nothing": b"",
    "no numbers": BODY.replace(b"0.25", b"NaN"),
}


@pytest.mark.parametrize("name", GARBAGE)
def test_garbage_passes_no_protection_of_answers(name: str, faulty: tuple[Guard, Backend, Backend]) -> None:
    guard, backend, _ = faulty
    assert guard.ask(path("protected"), body())[1]["outputs"][0]["data"] == [0.2, 0.8]
    backend.behave = sends(answer(GARBAGE[name]), end=False)
    try:
        status, found = guard.ask(path("protected"), body())
        assert status in (502, 503), found
    finally:
        backend.behave = good
    assert guard.ask(path("protected"), body())[0] == 200


def test_a_server_that_is_dead_is_left_alone_until_it_is_back(faulty: tuple[Guard, Backend, Backend]) -> None:
    guard, backend, _ = faulty
    backend.stop()
    statuses = [guard.ask(path(), body())[0] for _ in range(10)]
    assert statuses == [502] * 10
    asked_at = time.monotonic()
    status, found, headers = ask(guard.http, path(), body(), {"x-api-key": guard.key()})
    assert (status, found["reason"]) == (503, "overloaded")
    assert 1 <= int(headers["retry-after"]) <= 60
    assert time.monotonic() - asked_at < 10
    assert guard.ask(path("other"), body())[0] == 200
    backend.start()
    until(lambda: guard.ask(path(), body())[0] == 200)
    until(lambda: [guard.ask(path(), body())[0] for _ in range(8)] == [200] * 8)
    incidents = [json.loads(line) for line in _lines(guard.log) if b'"incident"' in line]
    assert [one.get("resolved", False) for one in incidents if one["rule"] == "backend-down"] == [False, True]


def _lines(log: str) -> list[bytes]:
    return [line for one in sorted(Path(log).glob("audit-*")) for line in one.read_bytes().splitlines()]


def test_a_server_of_grpc_that_is_dead_or_slow(tmp_path: Path) -> None:
    import grpc
    import grpc.aio

    with socket.create_server(("127.0.0.1", 0)) as silent:
        (dead,) = free_ports(1)
        text = f'[backends.default]\ngrpc = "127.0.0.1:{dead}"\ntimeout = 1\nconnect-timeout = 1\n'
        text += f'[backends.silent]\ngrpc = "127.0.0.1:{silent.getsockname()[1]}"\ntimeout = 1\nconnect-timeout = 1\n'
        text += '[models.silent]\nbackend = "silent"\n' + SCHEMA.format("digits") + SCHEMA.format("silent")
        with guarding(tmp_path, text, grpc=True) as guard:

            async def run(model: str) -> str:
                sent = question([0.5, 0.5], model=model)
                sent.inputs[0].shape[:] = [1, 2]
                async with grpc.aio.insecure_channel(guard.grpc) as channel:
                    key = (("x-api-key", guard.key()),)
                    try:
                        await asked(channel, sent.SerializeToString(), metadata=key, timeout=30, method=INFER)
                    except grpc.aio.AioRpcError as error:
                        return str(error.code().name)
                return "OK"

            assert asyncio.run(run("digits")) == "UNAVAILABLE"
            assert asyncio.run(run("silent")) in ("UNAVAILABLE", "DEADLINE_EXCEEDED")
        assert calls(guard.log)[0]["refused"] == "backend"
        assert verified(guard.log)


# Redis.


@contextmanager
def redis(directory: Path) -> Iterator[subprocess.Popen[bytes]]:
    server = shutil.which("redis-server") or shutil.which("valkey-server")
    if server is None:
        pytest.skip("redis-server is not installed")
    command = [server, "--port", "0", "--unixsocket", str(directory / "s"), "--save", "", "--dir", str(directory)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        until(lambda: answers(directory / "s"))
        yield process
    finally:
        process.kill()
        process.wait()


def answers(place: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as connection, suppress(OSError):
        connection.settimeout(5)
        connection.connect(str(place))
        connection.sendall(b"PING\r\n")
        return connection.recv(16) == b"+PONG\r\n"
    return False


def test_without_redis_calls_are_refused_or_limited_here_as_configured(tmp_path: Path) -> None:
    # A short path: sockets have at most 108 bytes.
    with backends() as (backend,), tempfile.TemporaryDirectory() as place, redis(Path(place)) as first:
        directory = Path(place)
        text = f'[backends.default]\nhttp = "{backend.address}"\n'
        text += f'[state]\naddress = "unix://{directory}/s"\ntimeout = 1\n[models.digits]\nadmit.rate = 1000\n'
        text += '[models.open]\nadmit = {queries-per-day = 3, on-failure = "open"}\n'
        text += SCHEMA.format("digits") + SCHEMA.format("open")
        with guarding(tmp_path, text) as guard:
            assert guard.ask(path(), body())[0] == 200
            assert [guard.ask(path("open"), body())[0] for _ in range(2)] == [200, 200]
            first.send_signal(signal.SIGSTOP)
            begun = time.monotonic()
            assert [guard.ask(path(), body())[0] for _ in range(5)] == [503] * 5
            assert time.monotonic() - begun < 20
            first.kill()
            first.wait()
            count = sum(backend.seen.values())
            status, found = guard.ask(path(), body())
            assert (status, found["reason"]) == (503, "failed")
            assert sum(backend.seen.values()) == count
            # Alone, this guard counts anew, and still counts.
            assert [guard.ask(path("open"), body())[0] for _ in range(5)] == [200, 200, 200, 429, 429]
            with redis(directory):
                until(lambda: guard.ask(path(), body())[0] == 200)
                assert [guard.ask(path("open"), body())[0] for _ in range(4)] == [200, 200, 200, 429]
        degraded = [bool(one.get("degraded")) for one in calls(guard.log) if one["model"] == "open"]
        assert degraded == [False] * 2 + [True] * 5 + [False] * 4
        assert verified(guard.log)


# The disk.


def small_disk(place: Path) -> Iterator[None]:
    place.mkdir(mode=0o700)
    command = ["mount", "-t", "tmpfs", "-o", "size=64k,mode=0700", "garrison-test", str(place)]
    mounted = shutil.which("mount") and subprocess.run(command, capture_output=True, check=False).returncode == 0
    if not mounted:
        pytest.skip("takes the right to mount")
    try:
        yield
    finally:
        subprocess.run(["umount", str(place)], check=True)


class FullDisk:
    """A file system of 64 KiB, filled by another file than the log's."""

    def __init__(self, folder: Path) -> None:
        self._place = folder / "audit"

    @contextmanager
    def __call__(self) -> Iterator[None]:
        yield from small_disk(self._place)

    def fill(self, guard: Guard) -> None:
        with suppress(OSError), open(self._place / "filler", "wb", buffering=0) as file:
            while file.write(bytes(512)):
                pass

    def free(self, guard: Guard) -> None:
        (self._place / "filler").unlink()


class Limited:
    """A limit on how long files may get, set on the guard while it runs; the kernel says no in the same place."""

    def __init__(self, folder: Path) -> None:
        self._place = folder / "audit"

    @contextmanager
    def __call__(self) -> Iterator[None]:
        yield

    def fill(self, guard: Guard) -> None:
        longest = max(one.stat().st_size for one in self._place.glob("audit-*"))
        hard = resource.prlimit(guard.process.pid, resource.RLIMIT_FSIZE)[1]
        resource.prlimit(guard.process.pid, resource.RLIMIT_FSIZE, (longest + 700, hard))

    def free(self, guard: Guard) -> None:
        hard = resource.prlimit(guard.process.pid, resource.RLIMIT_FSIZE)[1]
        resource.prlimit(guard.process.pid, resource.RLIMIT_FSIZE, (hard, hard))


@pytest.mark.parametrize("durability", ["system", "disk"])
@pytest.mark.parametrize("disk", [FullDisk, Limited])
@pytest.mark.parametrize("on_failure", ["closed", "open"])
def test_when_the_disk_is_full(
    on_failure: str, disk: type[FullDisk | Limited], durability: str, tmp_path: Path
) -> None:
    text = f'[record]\non-failure = "{on_failure}"\ncheckpoint-records = 3\ndurability = "{durability}"\n'
    full = disk(tmp_path)
    with backends() as (backend,), full():
        text += f'[backends.default]\nhttp = "{backend.address}"\n' + SCHEMA.format("digits")
        with guarding(tmp_path, text) as guard:
            answered = []

            def asking() -> int:
                status, _, headers = ask(guard.http, path(), body(), {"x-api-key": guard.key()})
                if status == 200:
                    answered.append(headers["x-request-id"])
                return status

            assert [asking() for _ in range(4)] == [200] * 4
            full.fill(guard)
            statuses = [asking() for _ in range(12)]
            if on_failure == "closed":
                # What still fits is still answered.
                assert statuses == [200] * statuses.count(200) + [503] * (12 - statuses.count(200))
                assert statuses[-4:] == [503] * 4
            else:
                assert statuses == [200] * 12
            assert any("record failed" in line for line in guard.said)
            full.free(guard)
            assert [asking() for _ in range(4)] == [200] * 4
        assert verified(guard.log)
        recorded = {one["id"] for one in calls(guard.log)}
        missing = [one for one in answered if one not in recorded]
        assert bool(missing) is (on_failure == "open")


# Clocks.


class Clock:
    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class Inside:
    """An assembled guard in this process, with clocks of its own and a server that answers at once."""

    def __init__(self, folder: Path, text: str) -> None:
        keyed(folder)
        head = '[authenticate]\nkeys = "keys.json"\n[[authorise.roles.caller]]\nactions = ["*"]\nmodels = ["*"]\n'
        (folder / "guard.toml").write_text(head + text + SCHEMA.format("digits"))
        config = read(str(folder / "guard.toml"))
        self.wall = Clock(time.time())
        self.monotonic = Clock(time.monotonic())
        self.failed: list[str] = []
        store = MemoryStore(wall=self.wall, monotonic=self.monotonic)
        services = Services(
            store=store,
            report=lambda incident: None,
            noticed=lambda call, mark: None,
            monotonic=self.monotonic,
            wall=self.wall,
        )
        self.audit = Audit(config, services)

        async def forward(call: Call) -> Answer:
            return Answer(200, BODY, [(b"content-type", b"application/json")])

        self.assembled = Assembled(
            config,
            services,
            self.audit.recorder(config),
            lambda name, error: self.failed.append(name),
            forward=forward,
        )
        self._key = (folder / "caller.key").read_text().encode()

    def ask(self) -> int:
        headers = [(b"host", b"a"), (b"x-api-key", self._key), (b"content-type", b"application/json")]
        call = self.assembled.http.begin("POST", path().encode(), headers, Peer("127.0.0.1"))
        call.body = json.dumps(body()).encode()

        async def run() -> Answer:
            return await self.assembled.http.answer(call)

        return asyncio.run(run()).status


@pytest.mark.parametrize("jump", [86400.0, -86400.0, 400 * 86400.0, -3600.0])
def test_a_clock_that_jumps_frees_nobody_of_limits_and_breaks_no_chain(jump: float, tmp_path: Path) -> None:
    text = "[record]\ncheckpoint-records = 2\n[models.digits]\nadmit = {rate = 0.001, burst = 3, queries-per-day = 5}\n"
    guard = Inside(tmp_path, text)
    assert [guard.ask() for _ in range(4)] == [200, 200, 200, 429]
    guard.wall.now += jump
    assert [guard.ask() for _ in range(2)] == [429, 429]
    guard.wall.now -= 2 * jump
    assert guard.ask() == 429
    guard.wall.now += jump
    guard.monotonic.now += 3000
    guard.wall.now += 3000
    statuses = [guard.ask() for _ in range(4)]
    # Three are free again by the rate; of those the quota of the day has two left, where it is the same day.
    assert statuses in ([200, 200, 429, 429], [200, 200, 200, 429])
    asyncio.run(guard.audit.stop())
    assert not guard.failed
    assert verified(str(tmp_path / "audit"))


TEXT = '[[models.digits.schema.inputs]]\nname = "t"\ndatatype = "BYTES"\nshape = [-1, 1]\noptional = true\n'
STAGES = {
    "authorise": '[authorise]\non-failure = "{0}"\n',
    "admit": '[models.digits.admit]\nrate = 1000\nrows-rate = 1000\non-failure = "{0}"\n',
    "schema": '[models.digits.schema]\non-failure = "{0}"\n',
    "screen": '[models.digits.screen]\nsecrets.reaction = "block"\non-failure = "{0}"\n' + TEXT,
    "observe": '[models.digits.observe]\nfeedback.enabled = true\non-failure = "{0}"\n',
    "protect": '[models.digits.protect]\non-failure = "{0}"\nrules = [{{outputs = ["scores"], digits = 1}}]\n',
}


@pytest.mark.parametrize("on_failure, status", [("closed", 503), ("open", 200)])
@pytest.mark.parametrize("name", STAGES)
def test_a_stage_that_fails_is_closed_or_open_as_configured(
    name: str, on_failure: str, status: int, tmp_path: Path
) -> None:
    guard = Inside(tmp_path, STAGES[name].format(on_failure))
    assert guard.ask() == 200

    def fails(*_: object) -> None:
        raise ZeroDivisionError

    failing = [stage for stage in guard.assembled.stages["digits"] if stage.name == name]
    assert failing
    for stage in failing:
        stage.before = fails  # type: ignore[method-assign]
        stage.after = fails  # type: ignore[method-assign]
    assert guard.ask() == status
    assert set(guard.failed) == {name}
    asyncio.run(guard.audit.stop())
    last = calls(str(tmp_path / "audit"))[-1]
    assert last["status"] == status
    if on_failure == "open":
        assert name in last["degraded"]


def test_a_guard_that_cannot_tell_who_asks_lets_nobody_in(tmp_path: Path) -> None:
    guard = Inside(tmp_path, "")

    def fails(*_: object) -> None:
        raise ZeroDivisionError

    (first, *_) = guard.assembled.stages["digits"]
    assert (first.name, first.on_failure) == ("authenticate", "closed")
    first.before = fails  # type: ignore[method-assign]
    assert guard.ask() == 503
    asyncio.run(guard.audit.stop())


# Its own life.


class Client(threading.Thread):
    """Asks on, on one connection, until the guard is gone; every request has an id of its own."""

    def __init__(self, guard: Guard, prefix: str) -> None:
        super().__init__()
        self._guard = guard
        self._prefix = prefix
        self.answered: dict[str, str] = {}
        """What the guard called a request, by the request's own id."""
        self.asked = 0

    def run(self) -> None:
        headers = {"x-api-key": self._guard.key(), "content-type": "application/json"}
        connection = http.client.HTTPConnection("127.0.0.1", self._guard.port, timeout=60)
        try:
            while True:
                self.asked += 1
                name = f"{self._prefix} {self.asked}"
                connection.request("POST", path(), json.dumps(body(name)), headers)
                with connection.getresponse() as response:
                    whole = json.loads(response.read())
                assert response.status == 200 and whole["outputs"] == OUTPUTS
                self.answered[name] = response.headers["x-request-id"]
        except (OSError, http.client.HTTPException, ValueError):
            pass
        finally:
            connection.close()


def _busy(clients: list[Client], enough: int) -> bool:
    return sum(len(one.answered) for one in clients) > enough


def test_a_guard_that_is_killed_has_on_record_all_that_it_answered(tmp_path: Path) -> None:
    with backends() as (backend,):
        text = f'[backends.default]\nhttp = "{backend.address}"\n' + SCHEMA.format("digits")
        text += '[record]\ncheckpoint-records = 50\ndurability = "{0}"\n'
        keyed(tmp_path)
        answered: dict[str, str] = {}
        for number, durability in enumerate(["system", "disk", "system", "disk", "system"]):
            with guarding(tmp_path, text.format(durability)) as guard:
                clients = [Client(guard, f"{number} {one}") for one in range(8)]
                for client in clients:
                    client.start()
                until(functools.partial(_busy, clients, 150 + 37 * number))
                guard.process.kill()
                for client in clients:
                    client.join()
                for client in clients:
                    answered |= client.answered
            assert verified(guard.log)
            recorded = Counter(one["id"] for one in calls(guard.log))
            assert set(answered.values()) <= set(recorded)
            assert max(recorded.values()) == 1
        assert len(answered) > 5 * 150
        assert max(backend.seen.values()) == 1
        assert max(backend.sent.values()) == 1
        # What was answered was asked, once.
        assert set(answered) <= set(backend.sent)
        with started(tmp_path, guard.port, 0) as again:
            assert again.ask(path(), body())[0] == 200
        assert verified(guard.log)
