"""The JSON report keeps everything, validates against the published schema, and is safe to print."""

import json
from pathlib import Path

import jsonschema
import msgspec
import pytest

from garrison.core.report import SCHEMA_VERSION, Report
from garrison.reporting.json_report import render, schema

from . import reports

PUBLISHED = Path(__file__).parents[2] / "docs" / "schema" / f"report-{SCHEMA_VERSION}.schema.json"


@pytest.mark.parametrize(
    "report", [reports.report(), reports.typical(), reports.large(50)], ids=["empty", "typical", "large"]
)
def test_nothing_is_lost(report: Report) -> None:
    assert msgspec.json.decode(render(report), type=Report) == report


@pytest.mark.parametrize("make", [reports.report, reports.typical, reports.hostile])
def test_reports_validate_against_the_schema(make: "object") -> None:
    document = json.loads(render(make()))  # type: ignore[operator]
    jsonschema.Draft202012Validator(schema(), format_checker=jsonschema.FormatChecker()).validate(document)


def test_the_schema_is_a_schema_and_names_the_version() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())
    assert SCHEMA_VERSION in schema()["title"]


def test_the_published_schema_is_current() -> None:
    assert json.loads(PUBLISHED.read_text()) == json.loads(json.dumps(schema()))


def test_the_same_report_is_written_the_same() -> None:
    assert render(reports.typical()) == render(reports.typical())


def test_hostile_text_survives_without_reaching_a_terminal() -> None:
    text = render(reports.hostile())
    assert text.replace("\n", "").isprintable()
    message = json.loads(text)["findings"][0]["message"]
    assert message == reports.HOSTILE.encode("utf-8", "backslashreplace").decode()


def test_escapes_mean_what_they_stand_for() -> None:
    report = reports.report(reports.finding(message="\x7f\x9b\u202e\U000e0001\\u0041\x00é"))
    assert json.loads(render(report))["findings"][0]["message"] == "\x7f\x9b\u202e\U000e0001\\u0041\x00é"
