"""What is done at intervals: it goes on whatever one run does, and tells of changes only."""

import asyncio
import json
from pathlib import Path

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from garrison.core.errors import UsageError
from garrison.provenance.keys import KeySigner, pem
from garrison.provenance.signing import sign, signature_path
from garrison.serving.calls import Answer, Call
from garrison.serving.config.config import Config, Model
from garrison.serving.observe import settings
from garrison.serving.observe.jobs.canaries import Canaries
from garrison.serving.observe.jobs.integrity import ModelIntegrity
from garrison.serving.observe.jobs.periodic import Job, Periodic
from garrison.serving.observe.stage import stage
from garrison.serving.refusals import Reason, Refused
from tests.serving.observe.world import Codec, World


def test_jobs_go_on_after_a_failure_and_vary_their_intervals() -> None:
    runs, failures, pauses = [], [], []

    async def work() -> None:
        runs.append(1)
        if len(runs) % 2:
            raise OSError

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        await asyncio.sleep(0 if len(pauses) < 50 else 60)

    async def stuck() -> None:
        await asyncio.sleep(60)

    async def run() -> None:
        jobs = [Job(name="a", interval=10.0, run=work), Job(name="b", interval=10.0, run=stuck)]
        periodic = Periodic(jobs, lambda name, error: failures.append((name, type(error))), sleep=sleep)
        periodic.start()
        while len(pauses) < 50:
            await asyncio.sleep(0)
        await periodic.stop()

    asyncio.run(run())
    assert len(runs) == 50 and failures == [("a", OSError)] * 25
    assert 9 <= min(pauses) < max(pauses) <= 11


def canaries(tmp_path: Path, world: World, answers: list[object]) -> tuple[Canaries, list[Call]]:
    path = tmp_path / "canaries.json"
    inputs = [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}]
    expected = [{"name": "scores", "data": [0.25, 0.75]}]
    path.write_text(json.dumps({"canaries": [{"name": "first", "inputs": inputs, "outputs": expected}]}))
    calls: list[Call] = []

    async def forward(call: Call) -> Answer:
        calls.append(call)
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return Answer(200, json.dumps(answer).encode()) if isinstance(answer, list) else Answer(answer)  # type: ignore[arg-type]

    model = Model(observe=settings.Observe(canaries=settings.Canaries(file=str(path), tolerance=0.01)))
    return Canaries("m/1", model, forward, Codec(), world.services), calls


def test_a_canary_is_told_when_it_begins_to_differ_and_when_it_is_right_again(tmp_path: Path) -> None:
    world = World()
    right = [[0.2501, 0.75]]
    wrong = [[[0.5, 0.5]], [[0.25, 0.75, 0.0]], 500, Refused(Reason.BACKEND, "no server")]
    found, calls = canaries(tmp_path, world, [right, *wrong, right, right])
    for _ in range(7):
        asyncio.run(found.run())
    assert world.told() == [("canary-failed", False), ("canary-failed", True)]
    assert "first: scores is 0.25 off" in world.incidents[0].finding.message
    assert calls[0].target == "/v2/models/m%2F1/infer" and calls[0].principal.name == "garrison-canary"
    assert json.loads(calls[0].body)["inputs"][0]["data"] == [1, 2]


@pytest.mark.parametrize("answer", [[[0.5, 0.5]], 503, Refused(Reason.DEADLINE, "late")])
def test_each_way_to_be_wrong_is_told(tmp_path: Path, answer: object) -> None:
    world = World()
    found, _ = canaries(tmp_path, world, [answer])
    asyncio.run(found.run())
    assert world.told() == [("canary-failed", False)] and found.failing


@pytest.mark.parametrize("text", [b"", b"{}", b'{"canaries": []}', b"[" * 100_000, b'{"canaries": [{"name": "a"}]}'])
def test_a_file_without_canaries_is_refused(tmp_path: Path, text: bytes) -> None:
    found, _ = canaries(tmp_path, World(), [])
    (tmp_path / "canaries.json").write_bytes(text)
    with pytest.raises(UsageError, match="no canaries"):
        Canaries("m", found._model, found._forward, Codec(), World().services)


@pytest.fixture(scope="module")
def signer() -> KeySigner:
    return KeySigner(ec.generate_private_key(ec.SECP256R1()))


def test_a_model_that_is_changed_is_told_and_refused_until_it_holds_again(tmp_path: Path, signer: KeySigner) -> None:
    world, refusing = World(), []
    model, key = tmp_path / "model", tmp_path / "key.pem"
    model.mkdir()
    (model / "weights.bin").write_bytes(np.arange(1000).tobytes())
    key.write_bytes(pem(signer.public_key))
    Path(signature_path(str(model))).write_bytes(sign(str(model), signer).bundle)
    integrity = settings.Integrity(model=str(model), public_key=str(key), reaction="refuse")
    found = ModelIntegrity("m", Model(observe=settings.Observe(integrity=integrity)), world.services, refusing.append)
    asyncio.run(found.run())
    assert world.told() == [] and refusing == [False]
    (model / "weights.bin").write_bytes(b"other")
    (model / "more.py").write_bytes(b"")
    for _ in range(2):
        asyncio.run(found.run())
    assert world.told() == [("model-integrity", False)] and refusing == [False, True, True]
    assert world.incidents[0].finding.message == "added more.py; changed weights.bin"
    (model / "more.py").unlink()
    (model / "weights.bin").write_bytes(np.arange(1000).tobytes())
    asyncio.run(found.run())
    assert world.told() == [("model-integrity", False), ("model-integrity", True)] and refusing[-1] is False


@pytest.mark.parametrize("what", ["no signature", "another key", "no model"])
def test_what_cannot_be_verified_does_not_hold(tmp_path: Path, signer: KeySigner, what: str) -> None:
    world = World()
    model, key = tmp_path / "model.bin", tmp_path / "key.pem"
    model.write_bytes(b"weights")
    key.write_bytes(pem(KeySigner(ec.generate_private_key(ec.SECP256R1())).public_key))
    if what != "no signature":
        Path(signature_path(str(model))).write_bytes(sign(str(model), signer).bundle)
    if what == "no model":
        model.unlink()
    integrity = settings.Integrity(model=str(model), public_key=str(key))
    refusing: list[bool] = []
    found = ModelIntegrity("m", Model(observe=settings.Observe(integrity=integrity)), world.services, refusing.append)
    asyncio.run(found.run())
    assert world.told() == [("model-integrity", False)] and refusing == [False]


def test_trust_in_nobody_is_refused() -> None:
    model = Model(observe=settings.Observe(integrity=settings.Integrity(model="/nowhere")))
    with pytest.raises(UsageError, match="one of public-key"):
        ModelIntegrity("m", model, World().services, lambda refuse: None)


def test_a_stage_has_the_jobs_that_are_configured(tmp_path: Path, directory: Path, signer: KeySigner) -> None:
    world = World()
    found, _ = canaries(tmp_path, world, [])
    key = tmp_path / "key.pem"
    key.write_bytes(pem(signer.public_key))
    integrity = settings.Integrity(model=str(tmp_path / "model"), public_key=str(key), reaction="refuse")
    observe = settings.Observe(reference=str(directory), canaries=found._model.observe.canaries, integrity=integrity)
    model = Model(observe=observe)
    guarded = stage(Config(models={"m": model}), model, world.services)
    assert guarded is not None
    jobs = guarded.jobs(found._forward, Codec())
    assert [job.name for job in jobs] == ["m: accounts", "m: integrity", "m: canaries"]
    asyncio.run(jobs[1].run())
    assert guarded.altered and world.told() == [("model-integrity", False)]
