import contextlib
import json
import pickle
from pathlib import Path

import pytest

from garrison.cli.main import main


def test_what_was_carried_and_what_was_left_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, out = tmp_path / "model.pkl", tmp_path / "out.safetensors"
    model.write_bytes(b"cposix\nsystem\n(S'true'\ntR0" * 2 + b"(lp0\n" + pickle.dumps({"epoch": 3}, 0))
    assert main(["disarm", str(model), "-o", str(out)]) == 0
    told = capsys.readouterr().out
    assert f"{out}: 0 tensors of 0 bytes, 1 plain value; 2 left behind\n" in told
    assert "  call of posix.system @ 0x18, and 1 more like it\n" in told
    written = out.read_bytes()
    out.write_bytes(b"mine")
    assert main(["disarm", str(model), "-o", str(out)]) == 2 and out.read_bytes() == b"mine"
    assert "--force replaces it" in capsys.readouterr().err
    assert main(["disarm", str(model), "-o", str(out), "--format", "json", "--force"]) == 0
    assert out.read_bytes() == written
    outcome = json.loads(capsys.readouterr().out)
    assert outcome["values"] == {"epoch": 3}
    assert [one["reason"] for one in outcome["left"]] == ["call of posix.system"] * 2


def test_what_cannot_be_disarmed_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, out = tmp_path / "model.pkl", tmp_path / "out.safetensors"
    model.write_bytes(b"cposix\nsystem\n(S'true'\ntR.")
    assert main(["disarm", str(model), "-o", str(out)]) == 1
    told = capsys.readouterr()
    assert not told.out
    assert "nothing of it can be carried over: call of posix.system; nothing was written" in told.err
    assert not out.exists()


def test_mistakes_are_the_users(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["disarm", str(tmp_path / "none"), "-o", str(tmp_path / "out")]) == 2
    assert main(["disarm", str(tmp_path / "none")]) == 2
    assert main(["disarm", str(tmp_path), "-o", str(tmp_path / "out")]) == 2
    (tmp_path / "model.pkl").write_bytes(pickle.dumps({"epoch": 3}))
    with contextlib.chdir(tmp_path):
        assert main(["disarm", "model.pkl", "-o", "-"]) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["model.pkl"]
    assert "Traceback" not in capsys.readouterr().err
    (tmp_path / "text").write_text("no model")
    assert main(["disarm", str(tmp_path / "text"), "-o", str(tmp_path / "none" / "out")]) == 2
    assert "cannot be written: no such directory" in capsys.readouterr().err
