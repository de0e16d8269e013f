"""`garrison seal`: who may open what comes out, and what it refuses to do."""

import io
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from garrison.cli.main import main
from garrison.provenance.sealing.hybrid import HybridIdentity
from garrison.provenance.sealing.x25519 import X25519Identity

KEY = X25519Identity(bytes(range(32)))
OTHER = X25519Identity(bytes(range(1, 33)))
HYBRID = HybridIdentity(bytes(range(32)))


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GARRISON_PASSPHRASE", raising=False)
    (tmp_path / "model").write_bytes(b"weights")
    (tmp_path / "key").write_text(f"# mine\n{KEY}\n")
    return tmp_path


def test_seal_and_open_by_default_names(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["seal", "model", "-r", str(KEY.recipient)]) == 0
    assert capsys.readouterr().err == "model.age: sealed for 1 recipient\n"
    (folder / "model").unlink()
    assert main(["open", "model.age", "-i", "key"]) == 0
    assert (folder / "model").read_bytes() == b"weights"
    assert sorted(os.listdir(folder)) == ["key", "model", "model.age"]


def test_recipients_from_the_command_line_and_files(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "team").write_text(f"# team\n{OTHER.recipient}\n")
    (folder / "other").write_text(str(OTHER))
    assert main(["seal", "model", "-r", str(KEY.recipient), "-R", "team", "-o", "out"]) == 0
    assert "2 recipients" in capsys.readouterr().err
    for key in ("key", "other"):
        assert main(["open", "out", "-i", key, "-o", f"by-{key}"]) == 0
        assert (folder / f"by-{key}").read_bytes() == b"weights"


def test_post_quantum_recipients(folder: Path) -> None:
    (folder / "key").write_text(str(HYBRID))
    assert main(["seal", "model", "--recipient", str(HYBRID.recipient), "--armor"]) == 0
    assert (folder / "model.age").read_text().startswith("-----BEGIN AGE ENCRYPTED FILE-----\n")
    assert main(["open", "model.age", "--identity", "key", "-o", "again"]) == 0
    assert (folder / "again").read_bytes() == b"weights"


@pytest.mark.parametrize("kind", ["x25519", "hybrid"])
@pytest.mark.parametrize("words", ["", "words"])
def test_keys_that_were_generated(folder: Path, monkeypatch: pytest.MonkeyPatch, kind: str, words: str) -> None:
    monkeypatch.setenv("GARRISON_PASSPHRASE", words)
    assert main(["key", "generate", "--kind", kind, "-o", "mine", *["--passphrase"] * bool(words)]) == 0
    assert ("AGE-SECRET-KEY-" in (folder / "mine").read_text()) is not bool(words)
    assert main(["seal", "model", "-R", "mine.pub"]) == 0
    assert main(["open", "model.age", "-i", "mine", "-o", "again"]) == 0
    assert (folder / "again").read_bytes() == b"weights"


def test_a_passphrase(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("GARRISON_PASSPHRASE", "words")
    assert main(["seal", "model", "--passphrase"]) == 0
    assert "for a passphrase" in capsys.readouterr().err
    assert main(["open", "model.age", "--passphrase", "-o", "again"]) == 0
    assert (folder / "again").read_bytes() == b"weights"
    monkeypatch.setenv("GARRISON_PASSPHRASE", "other")
    assert main(["open", "model.age", "--passphrase", "-o", "more"]) == 1
    assert "none of the identities opens it" in capsys.readouterr().err


def test_standard_streams(folder: Path) -> None:
    command = [sys.executable, "-m", "garrison"]
    sealed = subprocess.run(
        [*command, "seal", "-", "-r", str(KEY.recipient)], input=b"weights", capture_output=True, check=True
    )
    assert sealed.stderr == b""
    opened = subprocess.run([*command, "open", "-", "-i", "key"], input=sealed.stdout, capture_output=True, check=True)
    assert (opened.stdout, opened.stderr) == (b"weights", b"")


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["model"], "nobody could open it"),
        (["none", "-r", str(KEY.recipient)], "No such file"),
        (["model", "-r", "age1nonsense"], "recipient"),
        (["model", "-r", str(KEY)], "secret key"),
        (["model", "-R", "none"], "none: No such file"),
        (["model", "-R", "model"], "model line 1"),
        (["model", "-r", str(KEY.recipient), "-r", str(HYBRID.recipient)], "quantum"),
        (["model", "-r", str(KEY.recipient), "-o", "key"], "--force"),
        (["model", "-r", str(KEY.recipient), "-o", "no/such"], "no/such"),
        (["model", "--passphrase"], "no passphrase"),
        ([], "PATH"),
    ],
)
def test_wrong_usage(
    arguments: list[str],
    said: str,
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    before = sorted(os.listdir(folder))
    assert main(["seal", *arguments]) == 2
    told = capsys.readouterr()
    assert said in told.err and told.err.count("\n") == 1
    assert str(KEY) not in told.err
    assert sorted(os.listdir(folder)) == before


def test_a_passphrase_stands_alone(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GARRISON_PASSPHRASE", "words")
    assert main(["seal", "model", "--passphrase", "-r", str(KEY.recipient)]) == 2
    assert "beside" in capsys.readouterr().err
    monkeypatch.setenv("GARRISON_PASSPHRASE", "")
    assert main(["seal", "model", "--passphrase"]) == 2


def test_force_replaces(folder: Path) -> None:
    assert main(["seal", "model", "-r", str(KEY.recipient), "-o", "model", "--force"]) == 0
    assert (folder / "model").read_bytes().startswith(b"age-encryption.org/v1\n")
    assert main(["open", "model", "-i", "key", "-o", "model", "--force"]) == 0
    assert (folder / "model").read_bytes() == b"weights"


@pytest.mark.parametrize("command", ["seal", "open"])
def test_a_full_disk_leaves_nothing(folder: Path, command: str) -> None:
    (folder / "large").write_bytes(bytes(5_000_000))
    assert main(["seal", "large", "-r", str(KEY.recipient)]) == 0
    before = sorted(os.listdir(folder))
    script = (
        "import resource, sys\nfrom garrison.cli.main import main\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (3_000_000, 3_000_000))\nsys.exit(main(sys.argv[1:]))"
    )
    arguments = {
        "seal": ["seal", "large", "-r", str(KEY.recipient), "-o", "out"],
        "open": ["open", "large.age", "-i", "key", "-o", "out"],
    }[command]
    done = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (2, "garrison: out: cannot be written: File too large\n")
    assert sorted(os.listdir(folder)) == before


def test_an_interrupt_does_not_wait_for_a_pipe(folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    before = sorted(os.listdir(folder))
    command = [sys.executable, "-m", "garrison", "seal", "pipe", "-r", str(KEY.recipient), "-o", "out"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE)
    with open(folder / "pipe", "wb") as pipe:
        pipe.write(bytes(3_000_000))  # more than one turn, so that threads are at work when it goes through
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=30)[1]
    assert (process.returncode, said) == (130, b"garrison: interrupted\n")
    assert sorted(os.listdir(folder)) == before


@pytest.mark.parametrize("path", [".", "..", "./", "model/.", "/"])
def test_a_directory_without_a_name_of_its_own(folder: Path, capsys: pytest.CaptureFixture[str], path: str) -> None:
    (folder / "model").unlink()
    (folder / "model").mkdir()
    before = sorted(os.listdir(folder))
    assert main(["seal", path, "-r", str(KEY.recipient)]) == 2
    assert "name the output" in capsys.readouterr().err
    assert sorted(os.listdir(folder)) == before
