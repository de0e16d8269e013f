"""Samples are sealed before they touch the disk, and bounded in number, bytes, rate and age."""

import hashlib
import io
import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from garrison.core.errors import UsageError
from garrison.provenance.sealing.sealed_file import unseal
from garrison.provenance.sealing.x25519 import X25519Identity
from garrison.serving.calls import Action, Call, Peer, Principal
from garrison.serving.record.samples import Sample, SampleStore
from garrison.serving.record.settings import Samples
from tests.serving.record.logs import Clock

IDENTITY = X25519Identity(bytes(range(32)))


def call(body: bytes = b"very secret input") -> Call:
    made = Call(
        Action.INFER,
        transport="http",
        headers={"content-type": "application/octet-stream", "inference-header-content-length": "7"},
        peer=Peer(),
        model="digits",
        body=body,
    )
    made.principal = Principal(name="al\ud800ice")
    return made


def store(path: Path, clock: Clock, **settings: Any) -> SampleStore:
    (path / "recipients").write_text(f"{IDENTITY.recipient}\n")
    made = Samples(recipients=(str(path / "recipients"),), directory=str(path / "samples"), **settings)
    return SampleStore(made, wall=clock, monotonic=clock)


def test_a_sample_opens_with_the_identity_and_with_nothing_else(tmp_path: Path) -> None:
    one = call()
    digest = store(tmp_path, Clock()).take(one)
    (name,) = os.listdir(tmp_path / "samples")
    assert name == f"{one.identifier}.json.age"
    data = (tmp_path / "samples" / name).read_bytes()
    assert hashlib.sha256(data).hexdigest() == digest
    assert b"secret" not in data and os.stat(tmp_path / "samples" / name).st_mode & 0o777 == 0o600
    opened = io.BytesIO()
    unseal(io.BytesIO(data), opened, [IDENTITY])
    sample = msgspec.json.decode(opened.getvalue(), type=Sample)
    assert (sample.body, sample.call, sample.header_length) == (b"very secret input", one.identifier, "7")
    assert sample.principal == "al\\ud800ice"


def test_so_many_a_minute(tmp_path: Path) -> None:
    clock = Clock()
    samples = store(tmp_path, clock, per_minute=2)
    assert [len(samples.take(call())) for _ in range(2)] == [64, 64]
    assert samples.take(call()) == "rate"
    clock.now -= 1000  # the wall clock's jumps are not the monotonic clock's, but nothing may break either
    assert samples.take(call()) == "rate"
    clock.now += 2000
    assert len(samples.take(call())) == 64


def test_so_many_and_no_more_until_old_ones_go(tmp_path: Path) -> None:
    clock = Clock(os.stat(tmp_path).st_mtime)
    samples = store(tmp_path, clock, most=2, keep_days=1.0)
    assert [len(samples.take(call())) for _ in range(2)] == [64, 64]
    assert samples.take(call()) == "full"
    assert store(tmp_path, clock, most=2).take(call()) == "full"
    clock.now += 2 * 86400
    samples.tick()
    assert os.listdir(tmp_path / "samples") == []
    assert len(samples.take(call())) == 64


def test_so_many_bytes(tmp_path: Path) -> None:
    samples = store(tmp_path, Clock(), most_bytes=8000)
    assert samples.take(call(b"x" * 8000)) == "full"
    assert samples.take(call(b"x" * (5 << 20))) == "large"
    taken = [samples.take(call(b"x" * 100)) for _ in range(20)]
    assert taken[0] != "full" and taken[-1] == "full"
    assert sum(os.path.getsize(path) for path in (tmp_path / "samples").iterdir()) <= 8000


def test_what_cannot_be_written_is_said_so(tmp_path: Path) -> None:
    samples = store(tmp_path, Clock())
    os.rmdir(tmp_path / "samples")
    assert samples.take(call()) == "failed"


def test_recipients_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "recipients").write_text("age1nonsense\n")
    with pytest.raises(UsageError, match="recipients line 1"):
        SampleStore(Samples(recipients=(str(tmp_path / "recipients"),), directory=str(tmp_path / "samples")))
