"""What a second process reads is what this one would have read, and nothing is lost if it fails."""

import os
import signal
from pathlib import Path

import pytest

from garrison.provenance.hashing import DEFAULT_SERIALIZATION, Serialization, digest, reading
from garrison.provenance.hashing.other_process import OtherProcess
from garrison.provenance.trust import Refused
from tests.provenance.hashing.models import made

DIGESTS = [(("aa",),), (("bb", "cc"), ("dd",))]
SEVERAL = [
    DEFAULT_SERIALIZATION,
    Serialization(algorithm="blake3"),
    Serialization(method="shards", algorithm="sha256", shard_size=3),
]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    files = {f"{number % 7}/{number}": bytes([number]) * number for number in range(50)}
    return made(files | {"large": bytes(300_000)}, tmp_path / "model")


@pytest.fixture
def forks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The processes that were started; from two small files on there is one."""
    started: list[int] = []

    def fork(original: object = os.fork) -> int:
        started.append(pid := original())  # type: ignore[operator]
        return pid  # type: ignore[no-any-return]

    monkeypatch.setattr(os, "fork", fork)
    monkeypatch.setattr(reading, "_MANY", 2)
    return started


def test_two_processes_find_what_one_does(model: Path, forks: list[int]) -> None:
    assert digest(model, SEVERAL, jobs=1) == digest(model, SEVERAL, jobs=2)
    assert len(forks) == 1
    seen: list[tuple[int, int]] = []
    digest(model, SEVERAL, jobs=2, progress=lambda *told: seen.append(told))
    assert seen[-1][0] == seen[-1][1] == 300_000 + sum(range(50))


@pytest.mark.parametrize("number", [0, 49])
def test_what_cannot_be_read_is_named_wherever_it_is_met(
    model: Path, forks: list[int], number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [place[1] for place in _order(model)]
    leaf = names[0 if number == 0 else -1]
    original = os.open

    def opening(path: str, *more: int, **settings: int) -> int:
        if path == leaf:
            raise PermissionError(13, "Permission denied")
        return original(path, *more, **settings)

    monkeypatch.setattr(os, "open", opening)
    with pytest.raises(Refused, match=f"{leaf}.*(read|denied)"):
        digest(model, [DEFAULT_SERIALIZATION], jobs=2)
    for pid in forks:
        with pytest.raises(ChildProcessError):
            os.waitpid(pid, 0)


def _order(model: Path) -> list[tuple[str, str]]:
    """Small files in the order in which they are read."""
    found: list[tuple[str, str]] = []
    original = reading._read_small

    def noting(folders: object, wanted: object, places: list[tuple[int, str]], progress: object) -> object:
        found.extend(("", leaf) for _, leaf in places)
        return original(folders, wanted, places, progress)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "_read_small", noting)
        digest(model, [DEFAULT_SERIALIZATION], jobs=1)
    return found


def _fails() -> list[tuple[tuple[str, ...], ...]]:
    raise Refused("no")


def _dies() -> list[tuple[tuple[str, ...], ...]]:
    os.kill(os.getpid(), signal.SIGKILL)
    return []


def test_a_process_that_fails_has_no_result() -> None:
    for work in (_fails, _dies):
        with OtherProcess(work) as other:
            assert other.result() is None
    with OtherProcess(lambda: DIGESTS) as other:
        assert other.result() == DIGESTS


def test_where_no_process_can_be_started_one_does_it_all(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fork() -> int:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(reading, "_MANY", 2)
    expected = digest(model, SEVERAL, jobs=1)
    before = os.listdir("/proc/self/fd")
    monkeypatch.setattr(os, "fork", fork)
    assert digest(model, SEVERAL, jobs=2) == expected
    assert os.listdir("/proc/self/fd") == before


def test_an_interrupt_is_for_the_first_process_to_answer() -> None:
    with OtherProcess(lambda: [(("still here",),)] if not os.kill(os.getpid(), signal.SIGINT) else []) as other:
        assert other.result() == [(("still here",),)]
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


def test_a_process_whose_result_nobody_wants_is_ended() -> None:
    with OtherProcess(lambda: [signal.pause()]) as other:  # type: ignore[func-returns-value, list-item]
        pid = other._pid
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_children_that_nobody_waits_for_cost_the_result_only() -> None:
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        with OtherProcess(lambda: DIGESTS) as other:
            assert other.result() is None
    finally:
        signal.signal(signal.SIGCHLD, before)
