"""`garrison open`: what was altered is refused with exit code 1, and leaves nothing behind."""

import io
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from garrison.cli.main import main
from garrison.provenance.sealing.passphrase import Passphrase
from garrison.provenance.sealing.sealed_file import seal
from garrison.provenance.sealing.x25519 import X25519Identity

KEY = X25519Identity(bytes(range(32)))
DATA = bytes(range(256)) * 8000
COMMAND = [sys.executable, "-m", "garrison"]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GARRISON_PASSPHRASE", raising=False)
    target = io.BytesIO()
    seal(io.BytesIO(DATA), target, [KEY.recipient])
    (tmp_path / "model.age").write_bytes(target.getvalue())
    (tmp_path / "key").write_text(f"{KEY}\n")
    (tmp_path / "sealed-key").write_bytes(b"age-encryption.org/v1\n")
    return tmp_path


ALTERED = {
    "a flipped bit in the header": lambda data: data[:40] + bytes([data[40] ^ 2]) + data[41:],
    "a flipped bit in the payload": lambda data: data[:-9] + bytes([data[-9] ^ 1]) + data[-8:],
    "cut off": lambda data: data[:-1],
    "cut off at a chunk": lambda data: data[: -(len(DATA) % 65536) - 16],
    "extended": lambda data: data + b"\0",
    "empty": lambda data: b"",
    "something else": lambda data: b"\x80\x04N." + data,
}


@pytest.mark.parametrize("how", ALTERED)
def test_what_was_altered_is_refused(how: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "model.age").write_bytes(ALTERED[how]((folder / "model.age").read_bytes()))
    assert main(["open", "model.age", "-i", "key"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("garrison: model.age is refused: ") and said.count("\n") == 1
    assert sorted(os.listdir(folder)) == ["key", "model.age", "sealed-key"]


def test_another_key_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "key").write_text(str(X25519Identity.generate()))
    assert main(["open", "model.age", "-i", "key"]) == 1
    assert "none of the identities" in capsys.readouterr().err


def test_to_standard_output_only_authenticated_chunks_go(folder: Path) -> None:
    data = (folder / "model.age").read_bytes()
    (folder / "model.age").write_bytes(data[:-1])
    done = subprocess.run([*COMMAND, "open", "model.age", "-i", "key", "-o", "-"], capture_output=True)
    assert done.returncode == 1
    assert DATA.startswith(done.stdout) and len(done.stdout) < len(DATA)
    assert b"only its beginning" in done.stderr


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["model.age"], "nothing to open it with"),
        (["model.age", "-i", "none"], "none: No such file"),
        (["model.age", "-i", "sealed-key"], "no passphrase"),
        (["model.age", "--passphrase"], "no passphrase"),
        (["none.age", "-i", "key"], "none.age: No such file"),
        (["key", "-i", "key"], "-o"),
        (["model.age", "-i", "key", "-o", "key"], "--force"),
        ([".", "-i", "key", "-o", "out"], "directory"),
    ],
)
def test_wrong_usage(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    assert main(["open", *arguments]) == 2
    told = capsys.readouterr().err
    assert said in told and told.count("\n") == 1


def test_a_sealed_identity_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = io.BytesIO()
    seal(io.BytesIO(f"{KEY}\n".encode()), target, [Passphrase(b"words", 4)], armored=True)
    (folder / "key").write_bytes(target.getvalue())
    monkeypatch.setenv("GARRISON_PASSPHRASE", "words")
    assert main(["open", "model.age", "-i", "key"]) == 0
    assert (folder / "model").read_bytes() == DATA


def test_bytes_are_not_written_to_a_terminal() -> None:
    ours, theirs = pty.openpty()
    command = [*COMMAND, "open", "model.age", "-i", "key", "-o", "-"]
    done = subprocess.run(command, stdout=theirs, stderr=subprocess.PIPE)
    os.close(theirs)
    os.close(ours)
    assert done.returncode == 2
    assert b"terminal" in done.stderr


def test_a_reader_that_has_gone_is_said() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [*COMMAND, "open", "model.age", "-i", "key", "-o", "-"]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE)
    os.close(writing)
    assert done.returncode == 2
    assert done.stderr.count(b"\n") == 1 and b"Broken pipe" in done.stderr
