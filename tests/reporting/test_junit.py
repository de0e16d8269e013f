"""JUnit XML that a build server reads: a case for each subject, and one for the decision."""

import xml.etree.ElementTree as ElementTree
from typing import Any

import pytest

from garrison.core.findings import Severity
from garrison.core.report import Report
from garrison.reporting.junit import render

from . import reports


def suite_of(report: Report) -> ElementTree.Element:
    suites = ElementTree.fromstring(render(report).encode())
    (suite,) = suites
    return suite


@pytest.mark.parametrize("make", [reports.report, reports.typical, reports.hostile])
def test_well_formed_and_counted(make: Any) -> None:
    suite = suite_of(make())
    assert int(suite.attrib["tests"]) == len(suite.findall("testcase"))
    assert int(suite.attrib["failures"]) == len(suite.findall("testcase/failure"))
    assert int(suite.attrib["skipped"]) == len(suite.findall("testcase/skipped"))


def test_what_denies_fails_and_what_does_not_is_output() -> None:
    found = [reports.finding("a.pkl"), reports.finding("b.pkl", severity=Severity.MEDIUM)]
    cases = {case.attrib["name"]: case for case in suite_of(reports.report(*found)).iter("testcase")}
    failure = cases["a.pkl"].find("failure")
    assert failure is not None and "posix.system" in (failure.text or "")
    assert cases["b.pkl"].find("failure") is None and cases["b.pkl"].find("system-out") is not None
    assert cases["decision"].find("failure") is not None


def test_a_denial_without_findings_still_fails() -> None:
    suite = suite_of(reports.report(verdict="denied"))
    assert suite.attrib["failures"] == "1"


def test_what_was_not_examined_is_skipped() -> None:
    skipped = suite_of(reports.typical()).findall("testcase[skipped]")
    assert {case.attrib["name"] for case in skipped} == {"noise.bin", "broken.zip", ".git"}


def test_waived_findings_pass() -> None:
    assert "old/known.pkl" not in render(reports.typical())


def test_hostile_text_is_escaped() -> None:
    text = render(reports.hostile())
    assert text.replace("\n", "").isprintable()
    assert "\\x1b[2J" in text
