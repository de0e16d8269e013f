"""`garrison card`: cards shown, held against bounds and compared."""

import json
from pathlib import Path

import msgspec
import pytest

from garrison.cli.main import main
from garrison.core.robustness_card import Card
from garrison.reporting.card.json_card import render
from tests.robustness.samples import card, evasion, full_card


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    Path("card.json").write_text(render(full_card()))
    Path("better.json").write_text(render(card(evasion=(evasion(700, 1000),))))
    Path("plain.json").write_text(render(card()))


def test_a_card_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["card", "show", "card.json"]) == 0
    assert "at most 41.0 %" in capsys.readouterr().out
    assert main(["card", "show", "card.json", "--format", "json"]) == 0
    assert msgspec.json.decode(capsys.readouterr().out, type=Card) == full_card()
    assert main(["card", "show", "card.json", "--format", "html", "-o", "card.html"]) == 0
    assert "<!doctype html>" in Path("card.html").read_text()


@pytest.mark.parametrize(
    ("bound", "code", "word"),
    [
        ("robust_accuracy=0.3@linf:8/255", 0, "kept"),
        ("robust_accuracy=0.5@linf:8/255", 1, "broken"),
        ("robust_accuracy=0.4@linf:8/255", 1, "inconclusive"),
        ("accuracy=0.8", 0, "kept"),
    ],
)
def test_bounds_decide_the_exit_code(bound: str, code: int, word: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["card", "show", "plain.json", "--fail-under", bound]) == code
    assert word in capsys.readouterr().out


def test_a_worse_model_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["card", "compare", "plain.json", "better.json"]) == 0
    assert "better" in capsys.readouterr().out
    assert main(["card", "compare", "better.json", "plain.json", "--format", "json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert [one["verdict"] for one in found["differences"]] == ["no telling", "worse"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["show", "absent.json"], "absent.json"),
        (["show", "bad.json"], "no robustness card"),
        (["show", "empty.json"], "no robustness card"),
        (["show", "card.json", "plain.json"], "one card"),
        (["compare", "card.json"], "two cards"),
        (["show", "card.json", "-o", "card.json"], "would be lost"),
        (["show", "card.json", "--fail-under", "speed=1"], "the card has no speed"),
        (["compare", "card.json", "plain.json", "--format", "html"], "as card or json"),
    ],
)
def test_wrong_use_is_one_line(arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("bad.json").write_bytes(b'{"card_version": "2.0"}')
    Path("empty.json").write_bytes(b"")
    assert main(["card", *arguments]) == 2
    said = capsys.readouterr().err
    assert says in said
    assert said.count("\n") == 1
