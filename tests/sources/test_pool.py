"""The scan goes on, whatever one file does to the worker that reads it."""

import hashlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from garrison.core.errors import LimitExceeded, Malformed
from garrison.core.facts import Artifact
from garrison.core.limits import Limits
from garrison.core.registry import Format
from garrison.sources import examination
from garrison.sources.paths import File, Omitted, walk
from garrison.sources.pool import Pool
from garrison.sources.source import Context, Source
from garrison.sources.worker import Result, Settings

FORMAT = Format(id="test", title="Test", extractor="test")


def behave(source: Source, context: Context) -> Iterator[Artifact]:
    """An extractor that does what the bytes say."""
    yield Artifact(format="test")
    match source.reader.pread(0, 100):
        case b"die":
            os._exit(3)
        case b"abort":
            signal.raise_signal(signal.SIGSEGV)
        case b"hang":
            while True:
                context.check_time()
        case b"hang without looking at the clock":
            while True:
                pass
        case b"swallow":
            while True:
                try:
                    time.sleep(10)
                except LimitExceeded:
                    continue
        case b"memory":
            bytearray(1 << 40)
        case b"recurse":

            def deeper() -> None:
                deeper()

            deeper()
        case b"malformed":
            raise Malformed("breaks off")
        case b"bug":
            raise KeyError("oops")
        case b"surrogate":
            yield Artifact(format="\ud800")
        case b"flood":
            for number in range(10**9):
                yield Artifact(format=str(number))


@pytest.fixture(autouse=True)
def extractor(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forked workers inherit these replacements."""
    monkeypatch.setattr(examination, "identify", lambda source, failures: [FORMAT])
    monkeypatch.setattr(examination, "load", lambda name: behave)


def run(
    tmp_path: Path, contents: list[bytes], *, jobs: int = 2, seconds: float = 2.0, digests: bool = False
) -> list[Result]:
    for number, content in enumerate(contents):
        (tmp_path / f"{number:05}").write_bytes(content)
    with Pool(Settings(limits=Limits(seconds=seconds), digests=digests), jobs) as pool:
        return sorted(pool.examine(walk([str(tmp_path)])), key=lambda result: result.number)


def test_every_file_is_answered_once_and_in_place(tmp_path: Path) -> None:
    results = run(tmp_path, [b"fine"] * 300)
    assert [result.number for result in results] == list(range(300))
    assert [result.examinations[0].subject for result in results] == [str(tmp_path / f"{n:05}") for n in range(300)]
    assert {result.examinations[0].state for result in results} == {"examined"}


@pytest.mark.parametrize(
    ("content", "state"),
    [
        (b"die", "failed"),
        (b"abort", "failed"),
        (b"hang", "partial"),
        (b"hang without looking at the clock", "partial"),
        (b"memory", "partial"),
        (b"recurse", "partial"),
        (b"malformed", "partial"),
        (b"bug", "failed"),
        (b"surrogate", "examined"),
        (b"flood", "partial"),
    ],
)
def test_one_bad_file_among_good_ones(tmp_path: Path, content: bytes, state: str) -> None:
    results = run(tmp_path, [b"fine"] * 20 + [content] + [b"fine"] * 20)
    assert len(results) == 41
    assert results[20].examinations[0].state == state, results[20].examinations[0].reason
    assert results[20].examinations[0].reason or state == "examined"
    assert {r.examinations[0].state for r in results if r.number != 20} == {"examined"}


def test_an_extractor_that_swallows_the_limit_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("garrison.sources.pool._GRACE_SECONDS", 0.3)
    started = time.monotonic()
    results = run(tmp_path, [b"fine", b"swallow", b"fine"])
    assert [r.examinations[0].state for r in results] == ["examined", "failed", "examined"]
    assert "time limit" in results[1].examinations[0].reason
    assert time.monotonic() - started < 20


def test_what_was_learnt_before_the_limit_is_kept(tmp_path: Path) -> None:
    (result,) = run(tmp_path, [b"hang"])
    assert any(isinstance(fact, Artifact) for fact in result.examinations[0].facts)


def test_digests(tmp_path: Path) -> None:
    (result,) = run(tmp_path, [b"fine"], digests=True)
    assert result.sha256 == hashlib.sha256(b"fine").hexdigest()


def test_works_in_a_process_with_threads(tmp_path: Path) -> None:
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()
    try:
        results = run(tmp_path, [b"fine"] * 3, seconds=30)
    finally:
        stop.set()
        thread.join()
    assert len(results) == 3  # a fresh interpreter does not have the replaced extractor, but answers all the same


def test_a_file_that_vanishes_or_may_not_be_read(tmp_path: Path) -> None:
    with Pool(Settings(limits=Limits()), 1) as pool:
        gone = File(str(tmp_path / "gone"), "gone")
        (result,) = pool.examine([gone])
    assert result.examinations[0].state == "failed"
    assert "No such file" in result.examinations[0].reason


def test_what_is_omitted_is_listed() -> None:
    with Pool(Settings(limits=Limits()), 1) as pool:
        (result,) = pool.examine([Omitted("pipe", "skipped", "not a regular file")])
    assert result.examinations[0].state == "skipped"


def test_no_process_outlives_the_pool(tmp_path: Path) -> None:
    with Pool(Settings(limits=Limits(seconds=1)), 2) as pool:
        for number in range(3):
            (tmp_path / str(number)).write_bytes(b"hang")
        for _ in pool.examine(walk([str(tmp_path)])):
            break
        pids = [worker.pid for worker in pool._workers]
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
