"""`garrison audit`: says whether a log is as the guard wrote it, and shows what it says."""

import io
import json
import os
import shutil
from pathlib import Path

import pytest

from garrison.cli.main import main
from garrison.core.findings import Severity
from garrison.provenance.keys import pem
from garrison.provenance.sealing.sealed_file import seal
from garrison.provenance.sealing.x25519 import X25519Identity
from garrison.serving.calls import Action, Call, Peer
from garrison.serving.record.entries import IncidentEntry, MarkEntry, StopEntry
from garrison.serving.record.samples import SampleStore
from garrison.serving.record.settings import Samples
from tests.serving.record.logs import OTHER, SIGNER, entry, lines, opened, segment

IDENTITY = X25519Identity(bytes(range(32)))


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    with opened(tmp_path / "log", checkpoint_records=4, anchor=str(tmp_path / "anchor")) as log:
        log.append(entry(1))
        log.append(entry(2, principal="bob", model="fraud", status=429, refused="limited"))
        marks = [MarkEntry(rule="guard-failure", message="flagged", score=float("nan"))]
        log.append(entry(3, status=422, refused="unacceptable", marks=marks, time=1_000_100.0))
        severity = Severity.HIGH.value
        log.append(
            IncidentEntry(time=1_000_200.0, rule="drift", severity=severity, message="inputs drift", model="digits")
        )
        log.append(StopEntry(time=1_000_300.0))
    (tmp_path / "key.pub").write_bytes(pem(SIGNER.public_key))
    (tmp_path / "other.pub").write_bytes(pem(OTHER.public_key))
    return tmp_path


def test_a_log_that_verifies(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", "verify", "log", "--public-key", "key.pub", "--anchor", "anchor"]) == 0
    said = capsys.readouterr().out
    assert "log: verified, 8 records, 1 to 8\n" in said
    assert "of guard-1, 1970-01-12T13:46:40.000Z to " in said
    assert "signed up to record 8, to the end\n" in said
    assert "anchored up to record 8\n" in said
    assert "killed" not in said


def test_without_a_key_it_says_what_was_not_checked(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", "verify", "log"]) == 0
    assert "signatures were not checked: name the guard's key with --public-key" in capsys.readouterr().out


def test_a_log_that_was_changed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = segment(folder / "log")
    path.write_bytes(path.read_bytes().replace(b'"limited"', b'"LIMITED"'))
    assert main(["audit", "verify", "log", "--public-key", "key.pub"]) == 1
    said = capsys.readouterr().out
    assert "log: DOES NOT VERIFY\n  log/audit-000001.jsonl line 3, record 3: it is not the line" in said
    assert "before that verifies: 2 records, 1 to 2" in said
    assert main(["audit", "verify", "log", "--format", "json"]) == 1
    (verdict,) = json.loads(capsys.readouterr().out)
    assert verdict["problem"]["record"] == 3
    assert verdict["verified"] == 2


def test_another_key_does_not_verify(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", "verify", "log", "--public-key", "other.pub"]) == 1
    assert "signed with another key" in capsys.readouterr().out
    assert main(["audit", "verify", "log", "--public-key", "other.pub", "--public-key", "key.pub"]) == 0


def test_a_log_of_a_killed_guard(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = segment(folder / "log")
    path.write_bytes(b"".join(lines(folder / "log")[:3]))
    assert main(["audit", "verify", "log", "--public-key", "key.pub"]) == 0
    said = capsys.readouterr().out
    assert "signed up to record 1, 2 records behind it are chained only" in said
    assert "the guard runs, or it was killed" in said
    assert main(["audit", "verify", "log", "--anchor", "anchor"]) == 1
    assert "its end was cut off" in capsys.readouterr().out


def test_several_logs_and_one_of_them_bad(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(folder / "log", folder / "copy")
    segment(folder / "copy").write_bytes(b"")
    assert main(["audit", "verify", "log", "copy"]) == 1
    said = capsys.readouterr().out
    assert "log: verified" in said and "copy: DOES NOT VERIFY" in said and "the segment is empty" in said


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["verify", "none"], "none: neither a directory nor a segment"),
        (["verify", "."], ".: there is no audit log in it"),
        (["verify", "log", "log", "--anchor", "anchor"], "name one"),
        (["verify", "log", "--public-key", "none"], "none: No such file"),
        (["verify", "log", "--from-checkpoint", "-1"], "numbered from 1"),
        (["verify", "log", "--anchor", "none"], "none: No such file"),
        (["show", "none"], "none: No such file"),
        (["show", "log", "--since", "yesterday"], "is no time"),
        (["open", "a", "b"], "one sample at a time"),
        (["open", "a"], "name an identity file"),
        (["open", "a", "-i", "key.pub"], "a: No such file"),
        (["look", "log"], "invalid choice"),
    ],
)
def test_wrong_usage(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", *arguments]) == 2
    assert said in capsys.readouterr().err


def shown(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[int]:
    assert main(["audit", "show", "log", "--format", "json", *arguments]) == 0
    return [json.loads(line)["n"] for line in capsys.readouterr().out.splitlines()]


def test_show_filters(capsys: pytest.CaptureFixture[str]) -> None:
    assert shown(capsys) == [1, 2, 3, 4, 5, 6, 7, 8]
    assert shown(capsys, "--principal", "b*") == [3]
    assert shown(capsys, "--model", "digits") == [2, 4, 5]
    assert shown(capsys, "--refused") == [3, 4]
    assert shown(capsys, "--refused", "lim*") == [3]
    assert shown(capsys, "--incidents") == [5]
    assert shown(capsys, "--since", "1970-01-12T13:48:20Z", "--until", "1970-01-12T13:50:00") == [4]


def test_show_gives_the_bytes_of_the_log(folder: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    assert main(["audit", "show", "log", "--format", "json"]) == 0
    assert capsysbinary.readouterr().out == segment(folder / "log").read_bytes()


def test_show_for_people(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with opened(folder / "log") as log:
        log.append(entry(9, principal="\x1b[2Jeve\n", model="x\r"))
    with open(segment(folder / "log"), "ab") as file:
        file.write(b"rubbish\n")
    assert main(["audit", "show", "log"]) == 0
    said = capsys.readouterr()
    assert "call3  alice  infer  digits  422  refused: unacceptable  guard-failure flagged" in said.out
    assert "incident    high  drift  inputs drift  digits" in said.out
    assert "\x1b" not in said.out and "\r" not in said.out and len(said.out.splitlines()) == 10
    assert said.err.startswith("could not be read: 1 of the lines")


def sample(folder: Path, body: bytes) -> str:
    (folder / "recipients").write_text(f"{IDENTITY.recipient}\n")
    (folder / "identity").write_text(f"{IDENTITY}\n")
    store = SampleStore(Samples(recipients=(str(folder / "recipients"),), directory=str(folder / "samples")))
    call = Call(
        Action.INFER,
        transport="http",
        headers={"content-type": "application/json"},
        peer=Peer(),
        model="digits",
        body=body,
    )
    assert len(store.take(call)) == 64
    return f"samples/{call.identifier}.json.age"


def test_a_sample_is_opened(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = sample(folder, b'{"inputs": []}')
    assert main(["audit", "open", path, "-i", "identity"]) == 0
    assert capsys.readouterr().out == '{"inputs": []}'
    assert main(["audit", "open", path, "-i", "identity", "-o", "body"]) == 0
    assert (folder / "body").read_bytes() == b'{"inputs": []}'
    assert main(["audit", "open", path, "-i", "identity", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["content_type"] == "application/json"


def test_a_sample_that_is_altered_or_none_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = sample(folder, b"{}")
    data = (folder / path).read_bytes()
    (folder / path).write_bytes(data[:-1])
    assert main(["audit", "open", path, "-i", "identity", "-o", "body"]) == 1
    sealed = io.BytesIO()
    seal(io.BytesIO(b'{"format": "other/1"}'), sealed, [IDENTITY.recipient])
    (folder / "other.age").write_bytes(sealed.getvalue())
    assert main(["audit", "open", "other.age", "-i", "identity", "-o", "body"]) == 1
    assert capsys.readouterr().err.count("refused: ") == 2
    assert not os.path.exists("body")
