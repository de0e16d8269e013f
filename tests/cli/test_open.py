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
from tests.provenance import softhsm
from tests.provenance.softhsm import PIN, SoftToken

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
    assert said.startswith("refused: model.age: ") and said.count("\n") == 1
    assert sorted(os.listdir(folder)) == ["key", "model.age", "sealed-key"]


def test_another_key_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "key").write_text(str(X25519Identity.generate()))
    assert main(["open", "model.age", "-i", "key"]) == 1
    assert "none of the identities opens it\n" in capsys.readouterr().err
    target = io.BytesIO()
    seal(io.BytesIO(DATA), target, [Passphrase(b"words", 4)])
    (folder / "model.age").write_bytes(target.getvalue())
    assert main(["open", "model.age", "-i", "key"]) == 1
    assert "it is sealed with a passphrase" in capsys.readouterr().err


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


def test_a_sealed_directory(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "model" / "weights").mkdir(parents=True)
    (folder / "model" / "weights" / "one").write_bytes(DATA)
    assert main(["seal", "model/", "-r", str(KEY.recipient)]) == 0
    (folder / "model").rename(folder / "before")
    assert main(["open", "model.tar.age", "-i", "key", "--unpack"]) == 0
    assert (folder / "model" / "weights" / "one").read_bytes() == DATA
    before = sorted(os.listdir(folder))
    for arguments, code, said in (
        (["model.tar.age", "--unpack"], 2, "already"),
        (["model.tar.age", "--unpack", "--force"], 2, "--force"),
        (["model.tar.age", "--unpack", "-o", "-"], 2, "directory"),
        (["model.age", "--unpack"], 2, "-o"),
        (["model.age", "--unpack", "-o", "new"], 1, "no tar archive"),
    ):
        assert main(["open", *arguments, "-i", "key"]) == code
        assert said in capsys.readouterr().err
    data = (folder / "model.tar.age").read_bytes()
    (folder / "cut.tar.age").write_bytes(data[:-1])
    assert main(["open", "cut.tar.age", "--unpack", "-i", "key"]) == 1
    assert sorted(os.listdir(folder)) == sorted([*before, "cut.tar.age"])


@softhsm.needed
def test_a_key_in_a_token(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    monkeypatch.setenv("SOFTHSM2_CONF", "")
    token = SoftToken(tmp_path_factory.mktemp("token"))
    for label, derive, curve in (
        ("seal", True, "secp256r1"),
        ("sign", False, "secp256r1"),
        ("large", True, "secp384r1"),
    ):
        token.generate(label, derive=derive, curve=curve)
    uri = token.uri(";object=seal")
    monkeypatch.setenv("GARRISON_PIN", PIN)
    (folder / "model").write_bytes(b"weights")
    assert main(["key", "export", "--pkcs11", uri, "-o", "token.pub"]) == 0
    assert main(["seal", "model", "-R", "token.pub", "-r", str(KEY.recipient), "-o", "both.age"]) == 0
    for how in (["--pkcs11", uri], ["-i", "key"]):
        assert main(["open", "both.age", *how, "-o", "-"]) == 0
    assert main(["open", "model.age", "--pkcs11", uri, "-o", "out"]) == 1
    for label, said in (("sign", "CKA_DERIVE"), ("large", "not P-256"), ("none", "no private keys")):
        assert main(["open", "both.age", "--pkcs11", token.uri(f";object={label}"), "-o", "out"]) == 2
        assert said in capsys.readouterr().err
    assert main(["key", "export", "--pkcs11", token.uri(";object=large"), "-o", "large.pub"]) == 0
    assert main(["seal", "model", "-R", "large.pub"]) == 2
    assert "P-256 alone" in capsys.readouterr().err
    monkeypatch.setenv("GARRISON_PIN", "4321")
    assert main(["open", "both.age", "--pkcs11", uri, "-o", "out"]) == 2
    assert not (folder / "out").exists()


def test_a_pipe_by_its_name(folder: Path) -> None:
    command = [*COMMAND, "open", "model.age", "-i", "key", "-o", "/dev/stdout"]
    done = subprocess.run(command, capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, DATA, b"")
