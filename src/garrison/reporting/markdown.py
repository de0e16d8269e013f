"""Markdown, for a comment on a pull request (GitHub's dialect).

All that comes from what was examined stands in code spans, where neither links, mentions, pictures nor HTML mean
anything.
"""

import re
from collections.abc import Iterator

from garrison.core.findings import Severity
from garrison.core.report import Report
from garrison.reporting import summary
from garrison.reporting.text import counted, printable, shortened

_FILES = 50
_FOLDS = 20
_PLACES = 3
_NAMES = 10
_MARKS = {
    Severity.CRITICAL: "🔴",
    Severity.HIGH: "🟠",
    Severity.MEDIUM: "🟡",
    Severity.LOW: "🔵",
    Severity.INFO: "⚪",
}
_VERDICT_MARKS = {"clean": "✅", "opaque": "⚠️", "accepted": "✅", "incomplete": "⚠️", "denied": "❌"}
_TICKS = re.compile("`+")
_PUNCTUATION = re.compile(r"([\\`*_{}\[\]<>()#+\-.!|~&:=^$\"'/])")


def render(report: Report) -> str:
    """The verdict, the findings of each file, and what was not examined."""
    return "\n".join(_lines(report)) + "\n"


def _lines(report: Report) -> Iterator[str]:
    title, reason = summary.verdict(report)
    yield f"## {_VERDICT_MARKS[report.decision.verdict]} garrison: {title.lower()}"
    yield ""
    yield prose(reason)
    yield ""
    counts = ", ".join(f"{_MARKS[name]} {count} {name}" for name, count in summary.severities(report).items())
    yield f"{counts or 'No findings'}; {prose(summary.examined(report))}."
    groups = summary.groups(report)
    for group in groups[:_FILES]:
        yield ""
        yield f"### {code(group.file)}"
        yield ""
        for fold in group.folds[:_FOLDS]:
            yield from _fold(group.file, fold)
        if len(group.folds) > _FOLDS:
            yield ""
            yield f"… and {counted(len(group.folds) - _FOLDS, 'more rule')}."
    if len(groups) > _FILES:
        yield ""
        yield f"… and {counted(len(groups) - _FILES, 'more file')} with findings."
    yield from _gaps(report)
    yield from _waivers(report)
    for line in map(summary.checked, report.checks):
        yield ""
        yield prose(f"Checked {line}")
    for note in report.notes:
        yield ""
        yield prose(note)


def _fold(file: str, fold: summary.Fold) -> Iterator[str]:
    yield f"- {_MARKS[fold.severity]} **{fold.severity}** {code(fold.rule)}"
    for item in fold.findings[:_PLACES]:
        where = summary.location(item)
        said = code(shortened(item.message, 500))
        yield f"  - {said}" if where == file else f"  - {code(where)}: {said}"
    if len(fold.findings) > _PLACES:
        yield f"  - … and {len(fold.findings) - _PLACES} more"
    if fold.fix:
        yield f"  - Fix: {prose(shortened(fold.fix, 500))}"


def _gaps(report: Report) -> Iterator[str]:
    entries = report.coverage.entries
    if not entries:
        return
    yield ""
    yield "<details><summary>Not examined to the end</summary>"
    yield ""
    for entry in entries[:_NAMES]:
        words = summary.STATES.get(entry.state, entry.state)
        yield f"- {code(entry.subject)}: {words}, {code(shortened(entry.reason, 200))}"
    if len(entries) > _NAMES:
        yield f"- … and {len(entries) - _NAMES} more"
    yield ""
    yield "</details>"


def _waivers(report: Report) -> Iterator[str]:
    if not report.decision.waived and not report.decision.expired:
        return
    yield ""
    for waived in report.decision.waived[:_NAMES]:
        waiver = waived.waiver
        text = f"until {waiver.expires} by {waiver.owner}: {waiver.reason}"
        yield f"- Waived: {code(waiver.rule)} in {code(waived.finding.subject)} {prose(text)}"
    if len(report.decision.waived) > _NAMES:
        yield f"- … and {len(report.decision.waived) - _NAMES} more waived"
    for waiver in report.decision.expired:
        text = f"expired on {waiver.expires}, of {waiver.owner}: counts no more"
        yield f"- {code(waiver.rule)} in {code(waiver.subject)} {prose(text)}"


def code(text: str) -> str:
    """A code span that ends where it should."""
    shown = printable(text).strip() or "…"
    ticks = "`" * (max((len(run) for run in _TICKS.findall(shown)), default=0) + 1)
    pad = " " if shown.startswith("`") or shown.endswith("`") else ""
    return f"{ticks}{pad}{shown}{pad}{ticks}"


def prose(text: str) -> str:
    """Text in which nothing is markup, a mention or a link."""
    return _PUNCTUATION.sub(r"\\\1", printable(text)).replace("@", "@\u200b").replace("\\#", "\\#\u200b")
