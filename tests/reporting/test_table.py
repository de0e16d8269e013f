"""The table reads from the worst to the verdict, and fits the terminal."""

import re

import pytest

from garrison.core.findings import Severity
from garrison.reporting.table import one_line, render

from . import reports

COLOR = re.compile(r"\x1b\[[\d;]+m")


def test_files_come_worst_first_with_all_that_is_known() -> None:
    text = render(reports.typical())
    assert text.index("models/model.pt\n") < text.index("zoo/many.pkl\n")
    assert text.index("CRITICAL") < text.index("LOW")
    assert "models/model.pt!/archive/data.pkl @ 0x2f" in text
    assert "Loading calls posix.system('id')" in text
    assert "Fix: Do not load this file" in text


def test_many_findings_of_one_rule_are_folded_and_counted() -> None:
    text = render(reports.typical())
    assert text.count("Seen ") == 3
    assert "… and 41 more" in text


def test_one_more_than_the_fold_is_shown_rather_than_counted() -> None:
    found = [reports.finding("a.pkl", place=f"@ {n}", message=f"Seen {n}.") for n in range(4)]
    text = render(reports.report(*found))
    assert text.count("Seen ") == 4 and "more" not in text


def test_findings_that_one_fix_takes_care_of_are_told_by_the_worst_of_them() -> None:
    severities = [Severity.MEDIUM, Severity.LOW, Severity.HIGH, Severity.MEDIUM]
    found = [
        reports.finding("pins.txt", place="line 3", severity=severity, message=f"Seen {n}.", fix="Upgrade x to 2.")
        for n, severity in enumerate(severities)
    ]
    text = render(reports.report(*found))
    assert text.count("Seen ") == 1 and "Seen 2." in text
    assert "… and 3 more: 2 medium, 1 low" in text
    assert text.count("Upgrade x to 2.") == 1
    assert "HIGH" in text and "MEDIUM" not in text


def test_after_the_findings_come_coverage_waivers_and_the_verdict() -> None:
    text = render(reports.typical())
    parts = ["Findings", "Formats", "Coverage", "not understood: noise.bin", "Waived", "Expired", "Note", "DENIED"]
    places = [text.index(part) for part in parts]
    assert places == sorted(places)


def test_a_waived_finding_is_not_listed_among_the_open_ones() -> None:
    head = render(reports.typical()).partition("Coverage")[0]
    assert "old/known.pkl" not in head


@pytest.mark.parametrize(
    ("verdict", "said"),
    [
        ("clean", "CLEAN: "),
        ("opaque", "CLEAN BUT OPAQUE: "),
        ("incomplete", "INCOMPLETE: "),
        ("accepted", "ACCEPTED: "),
        ("denied", "DENIED: "),
    ],
)
def test_each_verdict_has_its_own_words(verdict: str, said: str) -> None:
    report = reports.report(verdict=verdict)
    assert render(report).splitlines()[-1].startswith(said)
    assert one_line(report).startswith(said)


def test_an_interrupted_scan_says_so() -> None:
    assert "The scan was interrupted" in render(reports.report(interrupted=True), width=200).splitlines()[-1]


@pytest.mark.parametrize("width", [40, 60, 100, 200])
def test_lines_fit_the_terminal_unless_a_path_does_not(width: int) -> None:
    for line in render(reports.typical(), width=width).splitlines():
        assert len(line) <= width or len(line.split()[-1]) + 12 > width or "@" in line


def test_colours_only_when_asked_for_and_never_from_the_input() -> None:
    assert "\x1b" not in render(reports.typical())
    assert COLOR.sub("", render(reports.typical(), color=True)) == render(reports.typical())
    assert "\x1b" not in COLOR.sub("", render(reports.hostile(), color=True))


def test_hostile_names_do_not_break_lines_or_reach_the_terminal() -> None:
    text = render(reports.hostile())
    assert text.replace("\n", "").isprintable()
    assert text.count("\\x1b[2J") > 3
    text.encode()


def test_very_many_files_are_counted() -> None:
    text = render(reports.large(5000))
    assert "… and 1050 more files with findings" in text
    assert len(text.splitlines()) < 5000


def test_a_report_without_findings_is_short() -> None:
    assert len(render(reports.report()).splitlines()) <= 6
    assert "info" not in render(reports.report(reports.finding(severity=Severity.LOW)))


def test_what_was_examined_gives_a_build_server_no_commands() -> None:
    path = "::stop-commands::x ##vso[task.setvariable variable=a]b"
    shown = render(reports.report(reports.finding(subject=path)))
    assert "vso[task" in shown
    assert not re.search(r"^\s*::|##\w*\[", shown, re.MULTILINE)
