"""`garrison key`: what it writes opens, for its owner alone."""

import stat
from pathlib import Path

import pytest

from garrison.cli.main import main
from garrison.provenance.key_kinds import kinds
from garrison.provenance.keys import WrongPassphrase, load_private_key, load_public_key, same


@pytest.mark.parametrize("kind", ["p256", "p384", "p521", "ed25519"])
def test_both_halves_of_each_kind_open(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "key"
    assert kind in kinds() and main(["key", "generate", "--kind", kind, "-o", str(path)]) == 0
    signer = load_private_key(str(path), lambda: None)
    assert same(signer.public_key, load_public_key(f"{path}.pub"))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_passphrase_from_the_environment_encrypts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(tmp_path / "key")
    monkeypatch.setenv("GARRISON_PASSPHRASE", "lang")
    assert main(["key", "generate", "-o", path, "--passphrase"]) == 0
    assert load_private_key(path, lambda: b"lang")
    with pytest.raises(WrongPassphrase):
        load_private_key(path, lambda: b"kurz")


def test_a_passphrase_that_nobody_gives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("GARRISON_PASSPHRASE", raising=False)
    assert main(["key", "generate", "-o", str(tmp_path / "key"), "--passphrase"]) == 2
    assert "no passphrase" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("there", ["key", "key.pub"])
def test_nothing_is_overwritten(there: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / there).write_text("mine")
    assert main(["key", "generate", "-o", str(tmp_path / "key")]) == 2
    assert (tmp_path / there).read_text() == "mine" and len(list(tmp_path.iterdir())) == 1
    assert "File exists" in capsys.readouterr().err


def test_links_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "key").symlink_to(tmp_path / "elsewhere")
    assert main(["key", "generate", "-o", str(tmp_path / "key")]) == 2
    assert not (tmp_path / "elsewhere").exists()


def test_what_does_not_go_together(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = ["-o", str(tmp_path / "key")]
    assert main(["key", "export", *output]) == 2
    assert "--pkcs11" in capsys.readouterr().err
    assert main(["key", "generate", "--pkcs11", "pkcs11:token=a?module-path=/a", *output]) == 2
    assert "own tools" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_full_disk_leaves_no_half_of_a_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("os.fsync", full)
        assert main(["key", "generate", "-o", str(tmp_path / "key")]) == 2
    assert not list(tmp_path.iterdir())
    assert main(["key", "generate", "-o", str(tmp_path / "key")]) == 0


def test_a_passphrase_that_is_too_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GARRISON_PASSPHRASE", "x" * 1024)
    assert main(["key", "generate", "-o", str(tmp_path / "key"), "--passphrase"]) == 2
    assert "1,023 bytes" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
