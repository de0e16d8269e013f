"""What is recorded of calls and of the guard itself, and what an answer waits for."""

import asyncio
import hmac
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import msgspec
import numpy as np
import pytest

from garrison.core.errors import UsageError
from garrison.core.findings import Finding, Severity
from garrison.provenance.sealing.x25519 import X25519Identity
from garrison.serving.calls import Action, Answer, Call, Mark, Peer, Principal
from garrison.serving.config.config import Config
from garrison.serving.incidents import Incident
from garrison.serving.record import log as log_module
from garrison.serving.record.audit import Audit
from garrison.serving.record.settings import Record, Samples
from garrison.serving.record.verification import verify
from garrison.serving.services import Services
from garrison.serving.tensors.tensor import Tensor

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from garrison.serving.state.store import Store

SERVICES = Services(store=cast("Store", None), report=lambda incident: None, noticed=lambda call, mark: None)


def audit(path: Path, told: list[BaseException] | None = None, **settings: Any) -> tuple[Audit, Config]:
    config = Config(record=Record(**{"directory": str(path / "log"), "guard": "guard-1"} | settings))
    heard = told if told is not None else []
    return Audit(
        config, SERVICES, failed=lambda name, error: heard.append(error), digests={"digits": "ab" * 32}
    ), config


def call(**fields: Any) -> Call:
    made = Call(
        Action.INFER,
        transport="http",
        headers={},
        peer=Peer("192.0.2.7"),
        model="digits",
        operation="infer",
        body=b"secret input",
    )
    made.principal = Principal(name="alice", tenant="acme", method="key")
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def records(path: Path) -> list[dict[str, Any]]:
    return [
        json.loads(line) for file in sorted((path / "log").glob("audit-*")) for line in file.read_bytes().splitlines()
    ]


def recorded(path: Path, one: Call, answer: Answer, refused: str = "", **settings: Any) -> dict[str, Any]:
    log, config = audit(path, **settings)
    assert log.recorder(config).record(one, answer, refused) is None
    asyncio.run(log.stop())
    (found,) = (record for record in records(path) if record["kind"] == "call")
    return found


def test_a_call_is_recorded_without_its_input(tmp_path: Path) -> None:
    one = call(inputs=(Tensor("x", "FP32", (3, 2), np.zeros((3, 2), np.float32), {}),))
    found = recorded(tmp_path, one, Answer(200, b"secret answer"))
    assert found.pop("time") > 1e9 and found.pop("duration") >= 0 and len(found.pop("config")) == 16
    assert len(found.pop("previous")) == 64
    assert found == {
        "n": 3,
        "kind": "call",
        "id": one.identifier,
        "transport": "http",
        "action": "infer",
        "operation": "infer",
        "model": "digits",
        "digest": "ab" * 32,
        "principal": "alice",
        "tenant": "acme",
        "method": "key",
        "peer": "192.0.2.7",
        "status": 200,
        "rows": 3,
    }
    assert b"secret" not in (tmp_path / "log" / "audit-000001.jsonl").read_bytes()


def test_digests_are_keyed(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"k" * 32 + b"\n")
    found = recorded(tmp_path, call(), Answer(200, b"out"), digest_key=str(tmp_path / "key"), peers="digest")
    assert found["input"] == hmac.digest(b"k" * 32, b"secret input", "sha256").hex()
    assert found["answer"] == hmac.digest(b"k" * 32, b"out", "sha256").hex()
    assert found["peer"] == hmac.digest(b"k" * 32, b"192.0.2.7", "sha256").hex()


def test_refusals_marks_and_failures_of_stages_are_recorded(tmp_path: Path) -> None:
    marks = [Mark(rule="guard-failure", message="m" * 5000, score=0.5)] * 50
    one = call(marks=marks, degraded=["screen"], model="x" * 100_000, principal=Principal(name="é" * 5000))
    found = recorded(tmp_path, one, Answer(422), "unacceptable", peers="none")
    assert (found["status"], found["refused"], found["degraded"]) == (422, "unacceptable", ["screen"])
    assert (len(found["model"]), len(found["principal"]), len(found["marks"])) == (256, 256, 32)
    assert found["marks"][0] == {"rule": "guard-failure", "message": "m" * 1023 + "…", "score": 0.5}
    assert "peer" not in found


@pytest.mark.parametrize(
    "marked, refused, kept",
    [(True, "", True), (True, "unacceptable", True), (True, "limited", False), (False, "", False)],
)
def test_marked_calls_are_sampled(marked: bool, refused: str, kept: bool, tmp_path: Path) -> None:
    (tmp_path / "recipients").write_text(f"{X25519Identity(bytes(range(32))).recipient}\n")
    samples = Samples(recipients=(str(tmp_path / "recipients"),), directory=str(tmp_path / "samples"))
    one = call(marks=[Mark(rule="guard-failure", message="odd")] if marked else [])
    found = recorded(tmp_path, one, Answer(200), refused, samples=samples)
    assert ("sample" in found) is kept
    assert len(os.listdir(tmp_path / "samples")) == kept


def test_the_life_of_the_guard_is_recorded(tmp_path: Path) -> None:
    log, _ = audit(tmp_path)
    finding = Finding(rule="drift", severity=Severity.HIGH, subject="digits", message="inputs drift")
    log.report(Incident(finding=finding, time=1.0, model="digits", principal="alice"))
    log.reloaded(Config())
    log.failure("screen", ValueError("what a caller sent"))
    log.integrity("digits", "ab" * 32, "altered", "weights differ")
    log.feedback("c2", "c1", 3)
    one = call()
    log.noticed(one, Mark(rule="guard-failure", message="odd", score=2.5))
    asyncio.run(log.stop())
    found = records(tmp_path)
    assert (found[7]["call"], found[7]["score"], found[7]["principal"]) == (one.identifier, 2.5, "alice")
    kinds = [record["kind"] for record in found]
    assert kinds[:5] == ["segment", "start", "incident", "reload", "failure"]
    assert kinds[5:] == ["integrity", "feedback", "noticed", "stop", "checkpoint"]
    assert "what a caller sent" not in json.dumps(found)
    assert found[1]["config"] != found[3]["config"]
    verdict = verify(str(tmp_path / "log"))
    assert verdict.problem is None and verdict.stopped


def test_what_cannot_be_recorded_raises_and_lifecycle_lines_do_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[BaseException] = []
    log, config = audit(tmp_path, told)
    recorder = log.recorder(config)
    assert recorder.on_failure == "closed"

    def full(file: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(log_module.os, "write", full)  # type: ignore[attr-defined]
        with pytest.raises(OSError, match="No space left"):
            recorder.record(call(), Answer(200), "")
        log.failure("screen", ValueError())
        assert told == []
        log.reloaded(config)
        assert len(told) == 1
    recorder.record(call(), Answer(200), "")
    asyncio.run(log.stop())
    assert verify(str(tmp_path / "log")).problem is None


def test_answers_wait_for_the_disk_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    count = []
    sync = os.fdatasync
    monkeypatch.setattr(log_module.os, "fdatasync", lambda file: (count.append(file), sync(file)))  # type: ignore[attr-defined]
    log, config = audit(tmp_path, durability="disk")
    recorder = log.recorder(config)

    async def run() -> None:
        waiting = [cast("Awaitable[None]", recorder.record(call(), Answer(200), "")) for _ in range(100)]
        for one in waiting:
            await one

    asyncio.run(run())
    assert 1 <= len(count) < 50
    asyncio.run(log.stop())
    assert verify(str(tmp_path / "log")).problem is None


def test_answers_are_refused_where_the_disk_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log, config = audit(tmp_path, durability="disk")
    recorder = log.recorder(config)

    def fails(file: int) -> None:
        raise OSError(5, "Input/output error")

    async def run() -> None:
        with monkeypatch.context() as broken:
            broken.setattr(log_module.os, "fdatasync", fails)  # type: ignore[attr-defined]
            waiting = [cast("Awaitable[None]", recorder.record(call(), Answer(200), "")) for _ in range(5)]
            for one in waiting:
                with pytest.raises(OSError, match="the disk did not take"):
                    await one
        await cast("Awaitable[None]", recorder.record(call(), Answer(200), ""))
        await log.stop()

    asyncio.run(run())
    assert [record["kind"] for record in records(tmp_path)].count("call") == 1
    assert verify(str(tmp_path / "log")).problem is None


def test_a_caller_that_goes_away_while_its_record_waits_breaks_nothing(tmp_path: Path) -> None:
    log, config = audit(tmp_path, durability="disk")
    recorder = log.recorder(config)

    async def run() -> None:
        gone = asyncio.ensure_future(cast("Awaitable[None]", recorder.record(call(), Answer(200), "")))
        stays = cast("Awaitable[None]", recorder.record(call(), Answer(200), ""))
        gone.cancel()
        await stays
        await log.stop()

    asyncio.run(run())


def test_checkpoints_come_while_the_guard_idles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("garrison.serving.record.audit._TICK", 0.001)
    log, _ = audit(tmp_path, checkpoint_seconds=0.001, durability="disk")

    async def run() -> None:
        log.start()
        while not log.log.signed_to_the_end:
            await asyncio.sleep(0.001)
        await log.stop()

    asyncio.run(asyncio.wait_for(run(), 30))


@pytest.mark.parametrize(
    "settings, said",
    [
        ({"directory": ""}, "name a directory"),
        ({"peers": "digest"}, "take a digest-key"),
        ({"digest_key": "short"}, "16 bytes or more"),
        ({"signing_key": "none"}, "none: No such file"),
        ({"copy": {"required": True}}, "there is no address"),
        ({"anchor": "none/anchor"}, "the anchor of the audit log cannot be written"),
        ({"samples": {"recipients": ["none"]}}, "none: No such file"),
    ],
)
def test_settings_that_cannot_be(
    settings: dict[str, Any], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "short").write_bytes(b"abc")
    known = {name.replace("_", "-"): value for name, value in settings.items()}
    config = Config(record=msgspec.convert({"directory": "log"} | known, Record))
    with pytest.raises(UsageError, match=said):
        Audit(config, SERVICES)


def test_a_reload_changes_what_concerns_calls_and_refuses_the_rest(tmp_path: Path) -> None:
    log, config = audit(tmp_path)
    opens = msgspec.structs.replace(config, record=msgspec.structs.replace(config.record, on_failure="open"))
    assert log.recorder(opens).on_failure == "open"
    for name, value in (("directory", "elsewhere"), ("keep_days", 1.0), ("samples", Samples(most=1))):
        other = msgspec.structs.replace(config, record=msgspec.structs.replace(config.record, **{name: value}))
        with pytest.raises(UsageError, match=name.replace("_", "-")):
            log.recorder(other)
    asyncio.run(log.stop())
