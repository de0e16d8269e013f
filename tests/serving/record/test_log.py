"""The log goes on after crashes, full disks and jumps of the clock; and not where somebody has changed it."""

import errno
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st

from garrison.core.errors import UsageError
from garrison.provenance.keys import KeySigner
from garrison.serving.record import log as log_module
from garrison.serving.record.log import AuditFailed, AuditLog
from garrison.serving.record.settings import Record
from garrison.serving.record.verification import Verdict, verify
from tests.serving.record.logs import SIGNER, Clock, entry, lines, opened, segment, written


def checked(path: Path) -> Verdict:
    return verify(str(path), [SIGNER.public_key])


def test_a_log_is_continued(tmp_path: Path) -> None:
    written(tmp_path / "log")
    written(tmp_path / "log")
    verdict = checked(tmp_path / "log")
    assert (verdict.problem, verdict.segments, verdict.unsigned) == (None, 1, 0)


def test_two_guards_do_not_write_one_log(tmp_path: Path) -> None:
    with opened(tmp_path / "log"), pytest.raises(UsageError, match="another guard writes"), opened(tmp_path / "log"):
        pass
    with opened(tmp_path / "log"):
        pass


@pytest.mark.parametrize("torn", [b'{"n":15,"prev', b"\0" * 5000, b"\0" * 100 + b"\n" + b"\xff" * 50 + b"\n"])
def test_what_a_crash_has_left_is_put_aside_and_noted(torn: bytes, tmp_path: Path) -> None:
    written(tmp_path / "log")
    with open(segment(tmp_path / "log"), "ab") as file:
        file.write(torn)
    assert checked(tmp_path / "log").problem is not None
    written(tmp_path / "log")
    verdict = checked(tmp_path / "log")
    assert verdict.problem is None
    assert verdict.warnings == [
        f"record 15: {len(torn):,} bytes that a crash had left were put aside in torn-000001-14-1.bin"
    ]
    assert (tmp_path / "log" / "torn-000001-14-1.bin").read_bytes() == torn
    assert os.stat(tmp_path / "log" / "torn-000001-14-1.bin").st_mode & 0o777 == 0o600


def test_a_log_that_was_changed_is_not_continued(tmp_path: Path) -> None:
    written(tmp_path / "log")
    found = lines(tmp_path / "log")
    del found[4]
    segment(tmp_path / "log").write_bytes(b"".join(found))
    with pytest.raises(UsageError, match="does not verify behind record 4"), opened(tmp_path / "log"):
        pass
    segment(tmp_path / "log").write_bytes(b"")
    with pytest.raises(UsageError, match="without a first line"), opened(tmp_path / "log"):
        pass


def test_a_log_that_ends_before_its_anchor_is_not_continued(tmp_path: Path) -> None:
    anchor = str(tmp_path / "anchor")
    written(tmp_path / "log", anchor=anchor)
    written(tmp_path / "log", anchor=anchor)
    segment(tmp_path / "log").write_bytes(b"".join(lines(tmp_path / "log")[:6]))
    with pytest.raises(UsageError, match="its end was cut off"), opened(tmp_path / "log", anchor=anchor):
        pass


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, int]]:
    """A disk with so many bytes of room; writes take what fits and then fail, as the system's do."""
    room = {"left": 1 << 30}
    write = os.write

    def limited(file: int, data: bytes) -> int:
        if room["left"] <= 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        count = write(file, data[: room["left"]])
        room["left"] -= count
        return count

    monkeypatch.setattr(log_module.os, "write", limited)  # type: ignore[attr-defined]
    yield room


@pytest.mark.parametrize("room", [0, 1, 100, 250])
def test_a_full_disk_fails_the_record_and_leaves_no_part_of_it(room: int, tmp_path: Path, disk: dict[str, int]) -> None:
    with opened(tmp_path / "log") as log:
        log.append(entry(1))
        before = segment(tmp_path / "log").read_bytes()
        disk["left"] = room
        for number in (2, 3):
            with pytest.raises(OSError, match="No space left"):
                log.append(entry(number))
            assert segment(tmp_path / "log").read_bytes() == before
        disk["left"] = 1 << 30
        assert log.append(entry(4)) == 3
    assert b"call2" not in segment(tmp_path / "log").read_bytes()
    assert checked(tmp_path / "log").problem is None


def test_what_cannot_be_cut_off_at_once_is_cut_off_later(
    tmp_path: Path, disk: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(file: int, length: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with opened(tmp_path / "log") as log:
        with monkeypatch.context() as broken:
            broken.setattr(log_module.os, "ftruncate", fails)  # type: ignore[attr-defined]
            disk["left"] = 50
            with pytest.raises(OSError, match="No space left"):
                log.append(entry(1))
            disk["left"] = 1 << 30
            with pytest.raises(OSError, match="Input/output error"):
                log.append(entry(2))
        assert log.append(entry(3)) == 2
    assert checked(tmp_path / "log").problem is None


def test_a_checkpoint_that_fails_fails_no_record_and_is_tried_again(tmp_path: Path, disk: dict[str, int]) -> None:
    told: list[BaseException] = []
    with opened(tmp_path / "log", checkpoint_records=2, failed=told.append) as log:
        log.append(entry(1))
        disk["left"] = len(lines(tmp_path / "log")[-1]) + 10
        assert log.append(entry(2)) == 3
        assert len(told) == 1
        disk["left"] = 1 << 30
        log.append(entry(3))
    verdict = checked(tmp_path / "log")
    assert (verdict.problem, verdict.unsigned, verdict.checkpoints) == (None, 0, 1)


def test_a_rotation_that_fails_is_tried_again(tmp_path: Path, disk: dict[str, int]) -> None:
    clock = Clock()
    with opened(tmp_path / "log", segment_seconds=10.0, monotonic=clock) as log:
        log.append(entry(1))
        clock.now += 20
        for left in (0, 400):
            disk["left"] = left
            with pytest.raises(OSError, match="No space left"):
                log.append(entry(2))
        disk["left"] = 1 << 30
        log.append(entry(3))
    verdict = checked(tmp_path / "log")
    assert (verdict.problem, verdict.segments) == (None, 2)
    assert sorted(os.listdir(tmp_path / "log")) == ["audit-000001.jsonl", "audit-000002.jsonl", "lock"]


def test_what_the_disk_did_not_take_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    emitted: list[bytes] = []
    with opened(tmp_path / "log", durability="disk", emit=emitted.append) as log:
        log.append(entry(1))
        log.synced()
        kept = segment(tmp_path / "log").read_bytes()
        log.append(entry(2))
        with monkeypatch.context() as broken:
            broken.setattr(log_module.os, "fdatasync", _fails)  # type: ignore[attr-defined]
            with pytest.raises(OSError, match="the disk did not take the audit log"):
                log.synced()
        assert segment(tmp_path / "log").read_bytes() == kept
        assert log.append(entry(3)) == 3
    assert checked(tmp_path / "log").problem is None
    assert emitted == [line.rstrip() for line in lines(tmp_path / "log")]


def _fails(file: int) -> None:
    raise OSError(errno.EIO, "Input/output error")


@pytest.mark.parametrize("how", ["append", "cut", "delete", "replace"])
def test_a_log_that_somebody_else_changes_is_written_no_more(how: str, tmp_path: Path) -> None:
    told: list[BaseException] = []
    clock = Clock()
    path = segment(tmp_path / "log")
    log = next(iter([opened(tmp_path / "log", failed=told.append, monotonic=clock)]))
    with pytest.raises(AuditFailed), log as running:
        running.append(entry(1))
        if how == "append":
            with open(path, "ab") as file:
                file.write(b"{}\n")
        elif how == "cut":
            os.truncate(path, 10)
        elif how == "delete":
            path.unlink()
        else:
            data = path.read_bytes()
            path.unlink()
            path.write_bytes(data)
        clock.now += 60
        running.tick()
        assert isinstance(told[0], AuditFailed)
        with pytest.raises(AuditFailed, match="somebody else has changed"):
            running.append(entry(2))


def test_checkpoints_come_by_time_though_no_line_does(tmp_path: Path) -> None:
    clock = Clock()
    with opened(tmp_path / "log", checkpoint_seconds=10.0, monotonic=clock) as log:
        log.append(entry(1))
        clock.now += 9
        log.tick()
        assert checked(tmp_path / "log").unsigned == 1
        clock.now += 2
        log.tick()
        assert checked(tmp_path / "log").unsigned == 0
        clock.now += 20
        log.tick()
        assert checked(tmp_path / "log").last == 3


def test_segments_end_at_their_size(tmp_path: Path) -> None:
    with opened(tmp_path / "log", segment_bytes=4096) as log:
        for number in range(60):
            log.append(entry(number))
    verdict = checked(tmp_path / "log")
    assert verdict.problem is None and verdict.segments > 3
    assert all(os.path.getsize(path) < 4096 + 1200 for path in (tmp_path / "log").glob("audit-*"))


HOSTILE = {
    "a line break": 'x"}\n{"n":99,"previous":"',
    "a carriage return": "x\r\n\x00\x1b[2J",
    "line separators": "a\u2028b\u2029c\x85d",
    "half a surrogate pair": "a\ud800b",
    "a signature": '","signature":"00"}',
    "another script": "\u202eмодель 模型 🦊",
}


@pytest.mark.parametrize("what", HOSTILE)
def test_names_of_callers_stay_in_their_line(what: str, tmp_path: Path) -> None:
    with opened(tmp_path / "log") as log:
        log.append(entry(1, model=HOSTILE[what], principal=HOSTILE[what]))
    verdict = checked(tmp_path / "log")
    assert (verdict.problem, verdict.last) == (None, 3)
    assert len(segment(tmp_path / "log").read_bytes().split(b"\n")) == 4


def test_the_directory_that_cannot_be_made_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="the audit log cannot be written"), opened(tmp_path / "file" / "log"):
        pass


def test_nothing_stays_open_where_the_log_cannot_be_opened(tmp_path: Path) -> None:
    written(tmp_path / "log")
    segment(tmp_path / "log").write_bytes(b"rubbish\n")
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(UsageError), opened(tmp_path / "log"):
        pass
    assert len(os.listdir("/proc/self/fd")) == before


def test_an_anchor_that_took_a_part_of_a_checkpoint_keeps_the_next(tmp_path: Path) -> None:
    (tmp_path / "anchor").write_bytes(b'{"n":1,"prev')
    with opened(tmp_path / "log", anchor=str(tmp_path / "anchor")) as log:
        log.append(entry(1))
    verdict = verify(str(tmp_path / "log"), [SIGNER.public_key], anchor=str(tmp_path / "anchor"))
    assert (verdict.problem, verdict.anchored) == (None, 3)


def test_an_anchor_that_fails_fails_no_record(tmp_path: Path, disk: dict[str, int]) -> None:
    told: list[BaseException] = []
    anchor = str(tmp_path / "anchor")
    with opened(tmp_path / "log", anchor=anchor, failed=told.append, checkpoint_records=1) as log:
        log.append(entry(0))
        disk["left"] = sum(map(len, lines(tmp_path / "log")[1:])) + 20  # so much of the anchor's copy of the checkpoint
        log.append(entry(1))
        assert [str(error) for error in told] == ["[Errno 28] the anchor of the audit log took a part of a checkpoint"]
        disk["left"] = 1 << 30
        log.append(entry(2))
    verdict = verify(str(tmp_path / "log"), [SIGNER.public_key], anchor=anchor)
    assert (verdict.problem, verdict.anchored) == (None, 7)


@pytest.mark.parametrize("curve", [ec.SECP256R1, ec.SECP384R1, ec.SECP521R1])
def test_keys_on_elliptic_curves_sign_too(curve: type[ec.EllipticCurve], tmp_path: Path) -> None:
    signer = KeySigner(ec.generate_private_key(curve()))
    written(tmp_path / "log", signer=signer)
    verdict = verify(str(tmp_path / "log"), [signer.public_key])
    assert (verdict.problem, verdict.unsigned) == (None, 0)
    assert checked(tmp_path / "log").problem is not None


class Failing:
    """A disk that takes so many bytes more, and may fail to flush."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.room, self.flushes = 1 << 30, True
        write, sync = os.write, os.fdatasync

        def limited(file: int, data: bytes) -> int:
            if self.room <= 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            count = write(file, data[: self.room])
            self.room -= count
            return count

        def flushed(file: int) -> None:
            if not self.flushes:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            sync(file)

        patch.setattr(log_module.os, "write", limited)  # type: ignore[attr-defined]
        patch.setattr(log_module.os, "fdatasync", flushed)  # type: ignore[attr-defined]


EVENTS = st.sampled_from(["append", "append", "append", "full", "unflushed", "later", "restart", "crash"])


@settings(max_examples=60)
@given(
    events=st.lists(st.tuples(EVENTS, st.integers(0, 900)), max_size=25), durability=st.sampled_from(["system", "disk"])
)
def test_whatever_fails_the_log_verifies_and_holds_what_was_answered(
    events: list[tuple[str, int]], durability: str
) -> None:
    answered: list[str] = []
    clock = Clock()
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as place:
        path, disk = Path(place) / "log", Failing(patch)

        def start() -> AuditLog:
            settings = Record(
                directory=str(path),
                durability=durability,
                checkpoint_records=3,
                segment_seconds=100.0,  # type: ignore[arg-type]
            )
            return AuditLog(settings, "guard-1", signer=SIGNER, wall=clock, monotonic=clock)

        log = start()
        for number, (event, size) in enumerate(events):
            clock.now += 90 if event == "later" else 1
            disk.room = size if event == "full" else 1 << 30
            disk.flushes = event != "unflushed"
            with suppress(OSError):
                log.append(entry(number))
                if durability == "disk":
                    log.synced()
                answered.append(f"call{number}")
            disk.room, disk.flushes = 1 << 30, True
            if event in ("restart", "crash"):
                log.close()
                if event == "crash":
                    with open(sorted(path.glob("audit-*"))[-1], "ab") as file:
                        file.write(b'{"n":' + b"x" * size)
                log = start()
        log.close()
        verdict = checked(path)
        assert verdict.problem is None and verdict.unsigned == 0
        found = [
            json.loads(line).get("id")
            for file in sorted(path.glob("audit-*"))
            for line in file.read_bytes().splitlines()
        ]
        assert [one for one in found if one] == answered
