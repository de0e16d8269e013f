"""The catalogue on the command line."""

import json

import jsonschema
import pytest

from garrison.cli.main import main
from garrison.core.registry import rules
from garrison.threats import frameworks, threat


def test_every_rule_is_listed_the_worst_first(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rules"]) == 0
    listed = [line.split()[:2] for line in capsys.readouterr().out.splitlines()]
    assert {name for _, name in listed} == set(rules())
    ranks = [rules()[name].severity.rank for _, name in listed]
    assert ranks == sorted(ranks, reverse=True)


def test_the_catalogue_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rules", "--format", "json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert {rule["id"] for rule in listed} == set(rules())


def test_the_catalogue_as_markdown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rules", "--format", "markdown"]) == 0
    said = capsys.readouterr().out
    assert all(f"## {name}\n" in said for name in rules())


@pytest.mark.parametrize("name", sorted(rules()))
def test_every_rule_can_be_explained(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", name]) == 0
    said = capsys.readouterr().out
    rule = rules()[name]
    assert said.startswith(f"{name} ({rule.severity})\n")
    assert "Fix:" in said
    assert all(reference in said for reference in rule.references)


def test_rules_refer_to_entries_that_exist() -> None:
    unknown = {(rule.id, entry) for rule in rules().values() for entry in rule.threats if threat(entry) is None}
    assert unknown == set()


def test_threats_have_titles_and_pages() -> None:
    for framework in frameworks():
        for entry in framework.entries:
            found = threat(entry)
            assert found is not None and found.title and found.url.startswith("https://")
    found = threat("CWE-502")
    assert found is not None and found.url == "https://cwe.mitre.org/data/definitions/502.html"


def test_the_schema_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema"]) == 0
    jsonschema.Draft202012Validator.check_schema(json.loads(capsys.readouterr().out))
