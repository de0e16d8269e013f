"""A bill of materials that the official schema accepts, with what was found as vulnerabilities."""

import json
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from garrison.core.findings import Severity
from garrison.core.report import Report
from garrison.reporting.cyclonedx import render

from . import reports

VALIDATOR = JsonStrictValidator(SchemaVersion.V1_6)


def bom_of(report: Report) -> Any:
    text = render(report)
    assert VALIDATOR.validate_str(text) is None
    return json.loads(text)


def references(components: list[dict[str, Any]]) -> list[str]:
    return [r for c in components for r in (c["bom-ref"], *references(c.get("components", [])))]


@pytest.mark.parametrize("make", [reports.report, reports.typical, reports.hostile, lambda: reports.large(40)])
def test_valid_with_references_that_are_there_once(make: Any) -> None:
    bom = bom_of(make())
    known = references(bom["components"])
    assert len(known) == len(set(known))
    assert {a["ref"] for v in bom["vulnerabilities"] for a in v["affects"]} <= set(known)


def test_members_are_components_of_their_container() -> None:
    (container,) = bom_of(reports.report())["components"]
    assert container["name"] == "models/model.pt"
    assert container["hashes"] == [{"alg": "SHA-256", "content": "ab" * 32}]
    (member,) = container["components"]
    assert member["type"] == "machine-learning-model"
    assert member["evidence"] == {"occurrences": [{"location": "models/model.pt!/archive/data.pkl"}]}
    assert {"name": "garrison:pickle:protocol", "value": "2"} in member["properties"]


def test_findings_are_vulnerabilities_of_what_they_were_found_in() -> None:
    found = [
        reports.finding("a.pkl"),
        reports.finding("b.pkl"),
        reports.finding("c.pkl", severity=Severity.INFO),
    ]
    (vulnerability,) = bom_of(reports.report(*found))["vulnerabilities"]
    assert vulnerability["id"] == "dangerous-import"
    assert vulnerability["ratings"][0]["severity"] == "critical"
    assert vulnerability["cwes"] == [502]
    assert [affected["ref"] for affected in vulnerability["affects"]] == ["subject:a.pkl", "subject:b.pkl"]


def test_a_waiver_is_told_in_the_analysis() -> None:
    details = [v["analysis"]["detail"] for v in bom_of(reports.typical())["vulnerabilities"] if "analysis" in v]
    assert details == ["Accepted by ada@example.org until 2027-01-31: a fixture"]


def test_the_same_report_has_the_same_serial_number() -> None:
    assert render(reports.typical()) == render(reports.typical())
    assert bom_of(reports.typical())["serialNumber"] != bom_of(reports.report())["serialNumber"]
