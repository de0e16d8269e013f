"""`garrison attack`: from files to a card, a verdict and an exit code."""

import json
import pickle
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
from torch import nn

from garrison.cli import terminal
from garrison.cli.main import main
from garrison.core.errors import UsageError
from garrison.core.robustness_card import Card
from tests.robustness.conftest import Digits

pytestmark = pytest.mark.filterwarnings(
    "ignore:.torch.jit:DeprecationWarning"
)  # its users have such files all the same

QUICK = ["--effort", "quick", "--samples", "30", "--only", "evasion"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, digits: Digits, digits_network: nn.Module) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    with torch.no_grad():
        traced = torch.jit.trace(digits_network, digits.test[:2])  # type: ignore[no-untyped-call]
    traced.save("model.pt")
    np.savez("test.npz", x=digits.test.numpy(), y=digits.test_labels.numpy())
    return tmp_path


def attack(*arguments: str) -> int:
    return main(["attack", "model.pt", "--data", "test.npz", *arguments])


def card_of(path: str = "card.json") -> Card:
    return msgspec.json.decode(Path(path).read_bytes(), type=Card)


def test_a_model_is_attacked(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = attack(*QUICK, "--budget", "linf:0.1", "--budget", "l2:0.5", "--card", "card.json", "--html", "card.html")
    assert code == 0
    shown = capsys.readouterr().out
    assert "Robust accuracy" in shown
    card = card_of()
    assert card.complete
    assert card.model.access == "gradients"
    assert [str(one.budget) for one in card.evasion] == ["linf:0.1", "l2:0.5"]
    assert card.clean_accuracy.value > 0.9
    assert card.evasion[0].robust_accuracy.value < card.clean_accuracy.value
    assert card.evasion[0].robust_accuracy.of == 30
    assert card.pictures
    assert card.slices
    assert {check.verdict for check in card.checks} == {"passed"}
    assert "<!doctype html>" in Path("card.html").read_text()


def test_the_same_seed_gives_the_same_card(folder: Path) -> None:
    def without_time(path: str) -> object:
        card = json.loads(Path(path).read_text())

        def cleaned(value: object) -> object:
            if isinstance(value, dict):
                return {
                    name: cleaned(one) for name, one in value.items() if name not in ("seconds", "started", "command")
                }
            return [cleaned(one) for one in value] if isinstance(value, list) else value

        return cleaned(card)

    for name in ("one.json", "two.json"):
        attack(*QUICK, "--budget", "linf:0.05", "--card", name, "--quiet")
    assert without_time("one.json") == without_time("two.json")


@pytest.mark.parametrize(
    ("bound", "code", "answer"),
    [
        ("robust_accuracy=0.001", 0, "kept"),
        ("robust_accuracy=0.99", 1, "broken"),
        ("robust_accuracy=0.9", 1, "inconclusive"),
    ],
)
def test_bounds_decide(folder: Path, bound: str, code: int, answer: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert attack(*QUICK, "--budget", "linf:0.03", "--fail-under", bound) == code
    assert answer in capsys.readouterr().out


def test_findings_are_a_report(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert attack(*QUICK, "--budget", "linf:0.3", "--format", "json", "--threshold", "medium") == 1
    report = json.loads(capsys.readouterr().out)
    assert [one["rule"] for one in report["findings"]] == ["little-robustness"]
    assert not report["decision"]["allowed"]


def test_time_that_is_over_leaves_a_card_that_says_so(folder: Path) -> None:
    assert attack("--effort", "quick", "--time-limit", "0.0001", "--card", "card.json", "--budget", "linf:0.1") == 0
    card = card_of()
    assert "its time was over" in {one.why for one in card.omitted}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--budget", "8/255"], "no budget"),
        (["--attack", "magic"], "no attack"),
        (["--only", "magic"], "no part"),
        (["--fail-under", "robust_accuracy"], "no bound"),
        (["--time-limit", "0"], "minutes"),
        (["--card", "nowhere/card.json"], "no such directory"),
        (["--card", "model.pt"], "would be lost"),
        (["--data", "absent.npz"], "absent.npz"),
        (["--data", "shifted.npz"], "subtract one"),
        (["--data", "nan.npz"], ""),
        (["--data", "large.npz"], ""),
        (["--data", "empty.npz"], ""),
    ],
)
def test_wrong_use_is_one_line(
    folder: Path, digits: Digits, arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    images, labels = digits.test.numpy(), digits.test_labels.numpy()
    np.savez("shifted.npz", x=images, y=labels + 1)
    np.savez("nan.npz", x=np.where(images > 0.9, np.nan, images), y=labels)
    np.savez("large.npz", x=np.zeros((20, 1, 9, 9), np.float32), y=labels[:20])
    np.savez("empty.npz", x=images[:0], y=labels[:0])
    before = Path("model.pt").read_bytes()
    assert attack(*arguments) == 2
    said = capsys.readouterr()
    assert says in said.err
    assert said.err.startswith("garrison: ")
    assert said.err.count("\n") == 1
    assert said.out == ""
    assert Path("model.pt").read_bytes() == before


class Runs:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        import os

        return os.system, ("touch ran",)


def test_what_a_scan_refuses_is_not_loaded(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("model.pt").write_bytes(pickle.dumps(Runs()))
    assert attack(*QUICK) == 1
    assert "dangerous-import" in capsys.readouterr().err
    assert not Path("ran").exists()


def test_without_torch_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import importlib.util

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert main(["attack", "m", "--data", "d"]) == 2
    assert "garrison[robustness]" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ("--card", "same.json", "--html", "./same.json"),
        ("--card", "same.json", "--output", "same.json"),
        ("--card", "labels.npy", "--labels", "labels.npy"),
        ("--html", "members.npz", "--members", "members.npz"),
        ("--only", "queries", "--fail-under", "robust_accuracy=0.4"),
        ("--constraints", "none.toml"),
    ],
)
def test_what_would_be_lost_or_in_vain_is_refused_before_the_work(folder: Path, arguments: tuple[str, ...]) -> None:
    for name in ("labels.npy", "members.npz"):
        Path(name).write_bytes(b"precious")
    assert attack(*arguments) == 2
    assert Path("labels.npy").read_bytes() == Path("members.npz").read_bytes() == b"precious"
    assert not Path("same.json").exists()


def test_a_full_disk_costs_the_file_and_not_the_result(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: str, text: str) -> None:
        raise UsageError(f"{path}: cannot be written: No space left on device")

    monkeypatch.setattr(terminal, "write_file", full)
    assert attack(*QUICK, "--budget", "linf:0.1", "--card", "card.json") == 2
    said = capsys.readouterr()
    assert "Robust accuracy" in said.out
    assert "No space left" in said.err


def test_a_card_that_was_edited_is_not_held_against_bounds(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from tests.robustness.samples import card

    text = msgspec.json.encode(card()).decode()
    Path("edited.json").write_text(text.replace('"count":410', '"count":900'))
    assert main(["card", "show", "edited.json", "--fail-under", "robust_accuracy=0.4"]) == 2
    assert "contradicts itself" in capsys.readouterr().err


def test_a_card_that_is_not_complete_does_not_pass(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from garrison.robustness.evaluation.stages import evasion

    def fails(*_: object) -> None:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(evasion, "evade", fails)
    assert attack(*QUICK, "--card", "card.json") == 3
    assert not card_of().complete
