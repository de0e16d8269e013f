"""`garrison bom`: where the bill goes, what is said beside it, and how it ends."""

import json
import os
from pathlib import Path

import pytest

from garrison.cli.main import main
from tests.reporting.bom.trees import safetensors


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").mkdir()
    (tmp_path / "models/net.safetensors").write_bytes(safetensors({"a": ("F32", [2])}))
    return tmp_path / "models"


def test_a_bill_on_standard_output_or_in_a_file(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bom", "models", "-o", "bom.json"]) == 0
    assert capsys.readouterr().out == ""
    assert main(["bom", "models", "--output", "-", "--format", "spdx"]) == 0
    assert "@graph" in json.loads(capsys.readouterr().out)
    assert json.loads(Path("bom.json").read_text())["specVersion"] == "1.6"
    assert main(["bom", "models", "--format", "cyclonedx-1.7"]) == 0
    assert json.loads(capsys.readouterr().out)["specVersion"] == "1.7"


def test_what_could_not_be_read_is_said_on_standard_error(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = safetensors({"a": ("F32", [2])})
    for number in range(7):
        (models / f"torn{number}\x1b.safetensors").write_bytes(data[:-1])
    os.symlink("nowhere", models / "link")
    assert main(["bom", "models"]) == 0
    captured = capsys.readouterr()
    assert captured.err.count("garrison: incomplete: models/") == 5 and "and 3 more" in captured.err
    assert "\x1b" not in captured.err + captured.out
    assert [one["aggregate"] for one in json.loads(captured.out)["compositions"]] == ["incomplete"]
    assert main(["bom", "models", "--quiet"]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    "arguments",
    [
        ["no-such"],
        ["models", "--format", "xml"],
        [],
        ["models", "-o", "no/such/bom.json"],
        ["models", "--policy", "none"],
    ],
)
def test_mistakes_are_the_users(models: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    assert main(["bom", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and "Traceback" not in captured.err


def test_a_place_of_nothing_has_an_empty_bill(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (models / "net.safetensors").unlink()
    assert main(["bom", "models"]) == 0
    assert json.loads(capsys.readouterr().out)["components"] == []
    assert main(["bom", "models", "--format", "spdx"]) == 0
    assert len(json.loads(capsys.readouterr().out)["@graph"]) == 6


@pytest.mark.parametrize("command", ["bom", "scan"])
def test_what_is_described_is_not_overwritten(
    command: str, models: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(models)
    before = Path("net.safetensors").read_bytes()
    os.symlink("net.safetensors", "link")
    for output in ("net.safetensors", "../models/net.safetensors", "link"):
        assert main([command, "net.safetensors", "--output", output]) == 2
        assert "would be lost" in capsys.readouterr().err
    assert Path("net.safetensors").read_bytes() == before
    assert main([command, ".", "--output", "report.json"]) == 0
