"""What a card advises follows from what it says."""

import importlib
import json
import re
from pathlib import Path

import msgspec.structs

from garrison.cli.main import COMMANDS
from garrison.core.robustness_card import Check, Slice, rate
from garrison.robustness.evaluation.advice import advice
from tests.robustness.samples import card, evasion, full_card

ROOT = Path(__file__).parents[3]


def advised(**changes: object) -> list[str]:
    return [one.what for one in advice(card(**changes))]


def test_a_sound_model_is_only_to_be_kept_an_eye_on() -> None:
    assert advised(evasion=(evasion(880, 1000),)) == [
        "Keep this card, and compare the next version of the model with it"
    ]


def test_the_most_urgent_comes_first() -> None:
    found = [one.what for one in advice(full_card())]
    assert found[0].startswith("Do not deploy")
    assert found[1].startswith("Measure again")
    assert len(found) == len(set(found))


def test_a_broken_model_is_to_be_trained_and_a_doubtful_card_measured_again() -> None:
    assert "Train against the attack" in advised(evasion=(evasion(100, 1000),))
    doubted = (Check(name="randomness", verdict="failed", seen="two passes differ"),)
    assert advised(checks=doubted)[0] == "Measure again before you rely on this"


def test_few_inputs_are_told_with_how_many_to_take() -> None:
    found = advice(card(evasion=(evasion(30, 50),)))
    (more,) = [one for one in found if one.what == "Attack more inputs"]
    assert "--samples 400" in more.how


def test_a_slice_that_is_worse_by_chance_is_not_told() -> None:
    few = (Slice(name="class 1", clean=rate(9, 10), robust=rate(2, 10)),)
    many = (Slice(name="class 1", clean=rate(90, 100), robust=rate(5, 100)),)
    assert "Look at the worst slice" not in advised(slices=few)
    assert "Look at the worst slice" in advised(slices=many)


def test_what_is_advised_is_what_fits_the_data() -> None:
    for kind, what in (("table", "Rely less"), ("text", "Undo before"), ("image", "Train against")):
        data = msgspec.structs.replace(card().data, kind=kind)
        found = advised(evasion=(evasion(100, 1000),), data=data)
        assert found[0].startswith(what)
        assert any("detector" in one for one in found) == (kind == "image")


def test_whatever_advice_names_exists() -> None:
    words = json.loads((ROOT / "src/garrison/robustness/evaluation/advice.json").read_text())
    for how in (one["how"] for one in words.values()):
        for name in re.findall(r"garrison(?:\.\w+)+", how):
            module, _, attribute = name.rpartition(".")
            assert hasattr(importlib.import_module(module), attribute), name
        for page, title in re.findall(r'(docs/\S+\.md)(?:, under "([^"]+)")?', how):
            assert not title or f"## {title}\n" in (ROOT / page).read_text(), how
            assert (ROOT / page).exists(), how
        for command in re.findall(r"garrison (\w+)", how):
            assert command in COMMANDS, how
