"""Limits hold in both stores, whoever asks, whatever the clocks do, and over a restart."""

import asyncio
import contextlib
import math
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from garrison.core.errors import UsageError
from garrison.serving.state.memory import MemoryStore
from garrison.serving.state.opening import open_store
from garrison.serving.state.redis import RedisStore
from garrison.serving.state.settings import State
from garrison.serving.state.store import Short, StoreUnavailable, Take


class Clock:
    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def bucket(cost: float = 1, most: float = 10, interval: float = 0.5, key: str = "b") -> Take:
    return Take(key, cost, most, interval, 0)


def count(cost: float = 1, most: float = 5, key: str = "c") -> Take:
    return Take(key, cost, most, 0, 3600)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    server = shutil.which("redis-server")
    if server is None:
        pytest.skip("redis-server is not installed")
    # A short path: sockets have at most 108 bytes.
    with tempfile.TemporaryDirectory() as directory:
        socket = Path(directory) / "s"
        command = [server, "--port", "0", "--unixsocket", str(socket), "--save", "", "--dir", directory]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            until = time.monotonic() + 30
            while not socket.exists() and time.monotonic() < until:
                time.sleep(0.01)
            yield f"unix://{socket}"
        finally:
            process.terminate()
            process.wait()


@given(
    st.floats(1, 20),
    st.floats(0.01, 2),
    st.lists(st.tuples(st.floats(0, 5), st.floats(0.1, 10)), max_size=60),
)
def test_no_window_has_more_than_burst_and_rate(most: float, interval: float, asked: list[tuple[float, float]]) -> None:
    clock = Clock()
    store = MemoryStore(monotonic=clock)
    taken: list[tuple[float, float]] = []
    for gap, cost in asked:
        clock.now += gap
        short = store.take([bucket(cost, most, interval)])
        if short is None:
            taken.append((clock.now, cost))
        elif math.isfinite(short.wait):
            # Who waits as told is let in.
            clock.now += short.wait
            assert store.take([bucket(cost, most, interval)]) is None
            taken.append((clock.now, cost))
    for first, (begin, _) in enumerate(taken):
        total = 0.0
        for end, cost in taken[first:]:
            total += cost
            assert total <= most + (end - begin) / interval + 1e-6


@given(st.lists(st.integers(0, 30), max_size=200), st.integers(1, 5))
def test_eviction_never_increases_what_a_key_is_allowed(keys: list[int], room: int) -> None:
    clock = Clock()
    small, large = MemoryStore(room, monotonic=clock), MemoryStore(monotonic=clock)
    taken = dict.fromkeys(keys, 0)
    for key in keys:
        clock.now += 0.01
        if small.take([bucket(most=3, interval=100, key=str(key))]) is None:
            taken[key] += 1
            assert large.take([bucket(most=3, interval=100, key=str(key))]) is None
    assert all(number <= 3 for number in taken.values())


def test_a_flood_of_strangers_neither_grows_the_table_nor_refills_a_bucket() -> None:
    store = MemoryStore(100, monotonic=Clock())
    assert store.take([bucket(10)]) is None
    for number in range(5000):
        store.take([bucket(key=f"stranger {number}")])
    assert len(store._buckets) == 100
    assert isinstance(store.take([bucket()]), Short)


def test_all_is_taken_or_nothing() -> None:
    store = MemoryStore(monotonic=Clock())
    for _ in range(5):
        assert store.take([bucket(), count()]) is None
    assert store.take([bucket(), count()]) == Short(1, 3600)
    assert store.take([bucket(5)]) is None
    assert store.take([bucket(11)]) == Short(0, math.inf)


def test_counts_are_never_dropped_to_make_room() -> None:
    async def run() -> None:
        clock = Clock()
        store = MemoryStore(2, monotonic=clock)
        assert store.take([count(key="a")]) is None
        assert store.take([count(key="b")]) is None
        with pytest.raises(StoreUnavailable):
            store.take([count(key="c")])
        await store.put("x", b"1", 10)
        assert not await store.add("x", 10)
        assert await store.add("y", 10)
        with pytest.raises(StoreUnavailable):
            await store.put("z", b"", 10)
        clock.now += 3601
        assert await store.get("x") is None
        assert store.take([count(key="c")]) is None

    asyncio.run(run())


def test_quotas_survive_a_restart(tmp_path: Path) -> None:
    async def run() -> None:
        path = str(tmp_path / "counts.json")
        clock, wall = Clock(), Clock(1e9)
        store = MemoryStore(snapshot=path, monotonic=clock, wall=wall)
        assert store.take([count(4)]) is None
        await store.close()
        again = MemoryStore(snapshot=path, monotonic=Clock(3), wall=Clock(1e9 + 60))
        assert again.take([count(2)]) == Short(0, 3540)
        assert again.take([count(1)]) is None
        later = MemoryStore(snapshot=path, monotonic=Clock(3), wall=Clock(1e9 + 3601))
        assert later.take([count(5)]) is None
        await again.close()
        await later.close()

    asyncio.run(run())
    assert [one.name for one in tmp_path.iterdir()] == ["counts.json"]


def test_a_snapshot_that_is_none_is_an_error_and_not_a_new_quota(tmp_path: Path) -> None:
    path = tmp_path / "counts.json"
    path.write_bytes(b'{"counts": {"a": "many"}}')
    with pytest.raises(UsageError, match="quotas"):
        open_store(State(snapshot=str(path)))


def test_guards_on_one_server_share_a_limit_exactly(address: str) -> None:
    async def run() -> None:
        stores = [RedisStore(State(address=address, namespace="share", timeout=5)) for _ in range(2)]
        slow = Take("shared|" + "x y:{z}", 1, 20, 86400, 0)
        answers = await asyncio.gather(*(stores[number % 2].take([slow, count(1, 1000)]) for number in range(60)))
        assert sum(answer is None for answer in answers) == 20
        assert {answer.which for answer in answers if answer} == {0}
        # What was refused for its bucket did not count.
        assert await stores[0].take([count(980, 1000)]) is None
        assert isinstance(await stores[1].take([count(1, 1000)]), Short)
        assert await stores[0].increase("sum", 2.5, 10) == 2.5
        assert await stores[1].increase("sum", 1, 10) == 3.5
        assert await stores[0].add("once", 10)
        assert not await stores[1].add("once", 10)
        await stores[0].put("value", b"\x00\xff", 10)
        assert await stores[1].get("value") == b"\x00\xff"
        keys = [key async for key in stores[0]._client.scan_iter()]
        assert all(key.startswith(b"share:") and b"shared" not in key for key in keys)
        for store in stores:
            await store.close()

    asyncio.run(run())


def test_a_server_whose_clock_was_set_back_does_not_shut_a_bucket(address: str) -> None:
    async def run() -> None:
        store = RedisStore(State(address=address, namespace="back", timeout=5))
        await store._client.set(store._key("b"), repr(time.time() + 86400))
        short = await store.take([bucket(1, 10, 0.5)])
        assert short is not None
        assert short.wait == pytest.approx(0.5)
        await store.close()

    asyncio.run(run())


def test_a_dead_server_is_not_asked_on_every_call() -> None:
    async def run() -> None:
        asked = 0

        def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal asked
            asked += 1
            writers.append(writer)

        writers: list[asyncio.StreamWriter] = []
        # It takes connections and never says anything.
        server = await asyncio.start_server(accepted, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        store = RedisStore(State(address=f"redis://127.0.0.1:{port}", timeout=0.05))
        for _ in range(20):
            with pytest.raises(StoreUnavailable):
                await store.take([bucket()])
        assert asked <= 2
        await store.close()
        for writer in writers:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
        server.close()
        await server.wait_closed()

    asyncio.run(run())


def test_passwords_have_no_place_in_an_address() -> None:
    with pytest.raises(UsageError) as caught:
        open_store(State(address="redis://:hunter2@localhost:1/0"))
    assert "hunter2" not in str(caught.value)
    with pytest.raises(UsageError, match="begin with"):
        open_store(State(address="http://localhost"))
