"""SARIF that a code-scanning page accepts: valid by the official schema, each result at its file."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from garrison.core.findings import Severity
from garrison.core.report import Report
from garrison.reporting.sarif import render

from . import reports

SCHEMA = json.loads((Path(__file__).parent / "schemas" / "sarif-2.1.0-rtm.5.json").read_text())
VALIDATOR = jsonschema.Draft4Validator(SCHEMA, format_checker=jsonschema.FormatChecker())


def run_of(report: Report) -> Any:
    document = json.loads(render(report))
    VALIDATOR.validate(document)
    (run,) = document["runs"]
    return run


@pytest.mark.parametrize("make", [reports.report, reports.typical, reports.hostile])
def test_valid(make: Any) -> None:
    run_of(make())


def test_a_result_is_at_the_file_and_tells_the_way_into_it() -> None:
    (result,) = run_of(reports.report(reports.finding()))["results"]
    (location,) = result["locations"]
    assert location["physicalLocation"]["artifactLocation"]["uri"] == "models/model.pt"
    assert location["physicalLocation"]["region"]["startLine"] == 1
    assert location["logicalLocations"][0]["fullyQualifiedName"] == "models/model.pt!/archive/data.pkl @ 0x2f"
    assert "posix.system" in result["message"]["text"]


def test_a_line_is_a_line() -> None:
    run = run_of(reports.report(reports.finding("model.py", place="line 12")))
    assert run["results"][0]["locations"][0]["physicalLocation"]["region"] == {"startLine": 12}


@pytest.mark.parametrize(
    ("subject", "uri"),
    [
        ("./a b/ü.pkl", "a%20b/%C3%BC.pkl"),
        ("a:b#c?d%41.pkl", "a%3Ab%23c%3Fd%2541.pkl"),
        ("\\xff.pkl", "%5Cxff.pkl"),
        ("/elsewhere/m.pt", "file:///elsewhere/m.pt"),
        (str(Path.cwd() / "here.pt"), "here.pt"),
        ("../up.pt", "../up.pt"),
        ("-", "-"),
    ],
)
def test_uris(subject: str, uri: str) -> None:
    location = run_of(reports.report(reports.finding(subject)))["results"][0]["locations"][0]["physicalLocation"]
    assert location["artifactLocation"]["uri"] == uri


def test_severities_are_levels_and_scores() -> None:
    run = run_of(reports.report(*(reports.finding(rule=f"r-{name}", severity=name) for name in Severity)))
    levels = {result["ruleId"]: result["level"] for result in run["results"]}
    assert levels == {
        "r-info": "note",
        "r-low": "note",
        "r-medium": "warning",
        "r-high": "error",
        "r-critical": "error",
    }
    scores = {rule["id"]: float(rule["properties"]["security-severity"]) for rule in run["tool"]["driver"]["rules"]}
    assert scores["r-critical"] > 9.0 > scores["r-high"] >= 7.0 > scores["r-medium"] >= 4.0 > scores["r-low"] > 0


def test_rules_are_explained_and_linked_to_taxonomies() -> None:
    run = run_of(reports.report(reports.finding(rule="malformed")))
    (rule,) = run["tool"]["driver"]["rules"]
    assert "**Fix:**" in rule["help"]["markdown"]
    assert "external/cwe/cwe-20" in rule["properties"]["tags"]
    for relationship in rule["relationships"]:
        target = relationship["target"]
        taxonomy = run["taxonomies"][target["toolComponent"]["index"]]
        assert taxonomy["name"] == target["toolComponent"]["name"]
        assert taxonomy["taxa"][target["index"]]["id"] == target["id"]
    assert {taxonomy["name"] for taxonomy in run["taxonomies"]} >= {"CWE", "MLSECOPS"}


def test_indices_point_at_what_they_name() -> None:
    run = run_of(reports.typical())
    for result in run["results"]:
        assert run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
        location = result["locations"][0]["physicalLocation"]["artifactLocation"]
        assert run["artifacts"][location["index"]]["location"]["uri"] == location["uri"]


def test_waived_findings_are_suppressed_with_the_reason() -> None:
    results = run_of(reports.typical())["results"]
    suppressed = [result for result in results if result["suppressions"]]
    assert len(suppressed) == 1
    assert "ada@example.org" in suppressed[0]["suppressions"][0]["justification"]
    assert "suppressions" not in run_of(reports.report(reports.finding()))["results"][0]


def test_gaps_in_coverage_are_notifications() -> None:
    (invocation,) = run_of(reports.typical())["invocations"]
    told = {note["descriptor"]["id"] for note in invocation["toolExecutionNotifications"] if "descriptor" in note}
    assert told == {"coverage/not-understood", "coverage/partial", "coverage/skipped"}
    assert invocation["executionSuccessful"]
    assert not run_of(reports.report(interrupted=True))["invocations"][0]["executionSuccessful"]


def test_fingerprints_differ_between_findings_and_outlive_offsets() -> None:
    def fingerprints(*places: str) -> list[str]:
        run = run_of(reports.report(*(reports.finding(place=place) for place in places)))
        return [result["partialFingerprints"]["primaryLocationLineHash"] for result in run["results"]]

    assert len(set(fingerprints("@ 0x1", "@ 0x2"))) == 2
    assert fingerprints("@ 0x1", "@ 0x2") == fingerprints("@ 0x11", "@ 0x12")


def test_hostile_text_makes_no_links() -> None:
    text = render(reports.hostile())
    assert text.replace("\n", "").isprintable()
    for result in json.loads(text)["runs"][0]["results"]:
        assert "](" not in result["message"]["text"].replace("\\](", "")
