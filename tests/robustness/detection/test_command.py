"""`garrison detect`: from a model and data to a detector that can be tried."""

import json
from pathlib import Path

import numpy as np
import pytest

from garrison.cli import detect
from garrison.cli.main import main

torch = pytest.importorskip("torch")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of two heaps of points, and such points."""
    path = tmp_path_factory.mktemp("detect")
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, 900)
    inputs = (random.normal(size=(900, 4)) * 0.5 + 2 * labels[:, None]).astype(np.float32)
    np.savez(path / "data.npz", x=inputs, y=labels)
    np.savez(path / "few.npz", x=inputs[:40], y=labels[:40])
    np.savez(path / "far.npz", x=inputs[:100] + np.array([9, -9, 9, -9], np.float32), y=labels[:100])
    module = torch.nn.Sequential(torch.nn.Linear(4, 2))
    with torch.no_grad():
        module[0].weight.copy_(torch.tensor([[-1.0] * 4, [1.0] * 4]))
        module[0].bias.copy_(torch.tensor([4.0, -4.0]))
    program = torch.export.export(module, (torch.zeros(2, 4),), dynamic_shapes=({0: torch.export.Dim("n")},))
    torch.export.save(program, path / "model.pt2")
    return path


def test_a_detector_is_fitted_shown_and_tried(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, data, output = str(place / "model.pt2"), str(place / "data.npz"), str(place / "d")
    fit = ["detect", "fit", model, "--data", data, "-o", output, "--kind", "mahalanobis", "--false-positives", "0.05"]
    assert main([*fit, "--layer", "penultimate"]) == 0
    assert "at most 5.00% of benign inputs" in capsys.readouterr().out
    assert main(fit) == 2
    assert "--force replaces" in capsys.readouterr().err
    assert main([*fit, "--force", "--format", "json"]) == 0
    card = json.loads(capsys.readouterr().out)
    assert card["kind"] == "mahalanobis" and len(card["model_sha256"]) == 64
    assert main(["detect", "show", output, "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == card
    assert main(["detect", "score", output, "--data", str(place / "far.npz"), "--format", "json"]) == 0
    far = json.loads(capsys.readouterr().out)
    assert far["flagged"]["value"] > 0.9 and len(far["scores"]) == 100
    assert main(["detect", "score", output, "--data", data]) == 0
    assert "of 900 inputs flagged" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["fit", "model.pt2", "-o", "e"], "--data"),
        (["fit", "model.pt2", "--data", "data.npz"], "--output"),
        (["fit", "model.pt2", "--data", "few.npz", "-o", "e"], "99 at the least: give 396"),
        (["fit", "model.pt2", "--data", "data.npz", "-o", "no/e"], "no such directory"),
        (["fit", "model.pt2", "--data", "data.npz", "-o", "e", "--false-positives", "1.5"], "no share"),
        (
            ["fit", "model.pt2", "--data", "data.npz", "-o", "e", "--kind", "energy", "--layer", "x"],
            "looks at no layers",
        ),
        (["fit", "model.pt2", "--data", "data.npz", "-o", "e", "--kind", "lid", "--layer", "x"], "no layer named 'x'"),
        (["show", "nowhere"], "No such file"),
        (["score", "nowhere", "--data", "data.npz"], "No such file"),
    ],
)
def test_mistakes_are_said_in_one_line(
    arguments: list[str], said: str, place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    assert main(["detect", *arguments]) == 2
    message = capsys.readouterr().err
    assert said in message and len(message.splitlines()) == 1
    assert not (place / "e").exists()


def test_the_kinds_are_those_that_there_are() -> None:
    from garrison.robustness.detection.kinds import KINDS

    assert list(detect._KINDS) == list(KINDS)
