import stat
from pathlib import Path

import pytest

from garrison.cli.main import main


def test_a_recording_is_written_for_its_owner_alone_and_scanned(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "root/etc").mkdir(parents=True)
    (tmp_path / "root/etc/os-release").write_text("ID=debian\nVERSION_ID=12\n")
    file = tmp_path / "host.tar"
    assert main(["host", "record", str(file), "--root", str(tmp_path / "root")]) == 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert main(["scan", str(file)]) == 0
    assert "host-recording 1" in capsys.readouterr().out
    assert main(["scan", "host:", "--root", str(tmp_path / "root")]) == 0
    assert "probes of the host" in capsys.readouterr().out


def test_mistakes_are_the_users(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["host", "record", str(tmp_path / "none" / "host.tar")]) == 2
    assert main(["host", "record", str(tmp_path / "host.tar"), "--root", str(tmp_path / "none")]) == 2
    assert main(["host"]) == 2
    assert "Traceback" not in capsys.readouterr().err
