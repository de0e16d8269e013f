"""What `garrison guard` does besides guarding: keys, drafts, references, dashboards."""

import json
from pathlib import Path

import numpy as np
import pytest

from garrison.cli.main import main
from garrison.serving.config.reading import read
from garrison.serving.observe.reference.reference import load


@pytest.fixture
def data(tmp_path: Path) -> str:
    rows = np.random.default_rng(0).uniform(0, 1, (800, 4)).astype(np.float32)
    np.savez(tmp_path / "data.npz", x=rows, y=(rows[:, 0] > 0.5).astype(np.int64))
    np.save(tmp_path / "scores.npy", np.stack([rows[:, 0], 1 - rows[:, 0]], 1))
    return str(tmp_path / "data.npz")


def test_keys_are_made_listed_rotated_and_revoked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keys = str(tmp_path / "keys.json")
    assert main(["guard", "key", "create", "ana", "--role", "caller", "--days", "30", "--keys", keys]) == 0
    about, _, text = capsys.readouterr().out.splitlines()
    identifier = about.partition(":")[0]
    assert text.startswith(f"garrison_{identifier}_")
    assert main(["guard", "key", "rotate", identifier, "--keys", keys]) == 0
    assert main(["guard", "key", "revoke", identifier, "--keys", keys]) == 0
    capsys.readouterr()
    assert main(["guard", "key", "list", "--keys", keys]) == 0
    old, new = capsys.readouterr().out.splitlines()
    assert (": ana, caller, revoked" in old, ": ana, caller, good" in new) == (True, True)
    assert text not in Path(keys).read_text()


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["key"], "key: create NAME, list, rotate ID or revoke ID"),
        (["key", "create"], "key: create NAME, list, rotate ID or revoke ID"),
        (["key", "create", "a", "b"], "key: create NAME, list, rotate ID or revoke ID"),
        (["key", "list", "--config", "none.toml"], "none.toml: No such file or directory"),
        (["draft"], "draft: name the model"),
        (["reference"], "reference: name the model"),
        (["replay"], "replay: name the audit logs"),
        (["run", "model"], "'model': a guard takes no subject"),
    ],
)
def test_what_is_missing_is_said(
    arguments: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "guard.toml").write_text("")
    assert main(["guard", *arguments]) == 2
    assert said in capsys.readouterr().err


def test_a_draft_is_a_part_of_a_configuration(data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["guard", "draft", "--model", "m", "--data", data, "--input", "x"]) == 0
    (tmp_path / "guard.toml").write_text(capsys.readouterr().out)
    (wanted,) = read(str(tmp_path / "guard.toml")).models["m"].schema.inputs
    assert (wanted.name, wanted.datatype, wanted.shape) == ("x", "FP32", (-1, 4))
    assert isinstance(wanted.high, tuple)
    assert all(1.0 < bound < 1.2 for bound in wanted.high)
    written = tmp_path / "draft.toml"
    assert main(["guard", "draft", "--model", "m", "--data", data, "--input", "x", "-o", str(written)]) == 0
    assert written.read_text() == (tmp_path / "guard.toml").read_text()


def test_a_reference_is_made_of_data_and_scores(data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = str(tmp_path / "reference")
    scores = str(tmp_path / "scores.npy")
    command = ["guard", "reference", "--model", "m", "--data", data, "--input", "x", "--outputs", scores, "-o", made]
    assert main(command) == 0
    assert load(made).digest[:16] in capsys.readouterr().out
    assert main(command) == 2
    assert main([*command[:-1], str(tmp_path / "other"), "--outputs", data]) == 2
    assert "no array of NumPy that holds numbers" in capsys.readouterr().err


def test_a_dashboard_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["guard", "dashboard"]) == 0
    assert json.loads(capsys.readouterr().out)["uid"] == "garrison-guard"
