"""The report for a person in a terminal."""

from collections.abc import Iterator

from garrison.core.findings import Severity
from garrison.core.report import Report
from garrison.reporting import summary
from garrison.reporting.summary import Fold
from garrison.reporting.text import counted, listed, printable, shortened, without_commands, wrap

_SHOWN = 3
"""Findings of one rule in one file that are shown before the rest is folded."""
_FILES = 200
"""Files with findings that are shown before the rest is counted."""
_NAMES = 5
"""Names in a list before the rest is counted."""
_REASONS = 5
"""Reasons for gaps of one kind before the rest is counted."""
_MESSAGE = 1000
"""Characters of one message."""
_INDENT = 12
_COLUMN = 10

_COLORS = {
    Severity.CRITICAL: "1;31",
    Severity.HIGH: "31",
    Severity.MEDIUM: "33",
    Severity.LOW: "36",
    Severity.INFO: "2",
}
_VERDICT_COLORS = {"clean": "1;32", "opaque": "1;33", "accepted": "1;32", "incomplete": "1;33", "denied": "1;31"}


def render(report: Report, *, width: int = 100, color: bool = False) -> str:
    """Findings by file, the worst first; then the coverage, the waivers and the verdict."""
    return "".join(f"{without_commands(line)}\n" for line in _Table(max(width, 40), color).lines(report))


class _Table:
    def __init__(self, width: int, color: bool) -> None:
        self._width = width
        self._color = color

    def lines(self, report: Report) -> Iterator[str]:
        groups = summary.groups(report)
        for group in groups[:_FILES]:
            yield self._paint(printable(group.file), "1")
            for fold in group.folds:
                yield from self._fold(group.file, fold)
            yield ""
        if len(groups) > _FILES:
            yield f"… and {counted(len(groups) - _FILES, 'more file')} with findings; the other formats list them all"
            yield ""
        yield from self._totals(report)
        for check in report.checks:
            yield from self._row("Checked", summary.checked(check))
        yield from self._waivers(report)
        for note in report.notes:
            yield from self._row("Note", note)
        yield ""
        yield from self._verdict(report)

    def _fold(self, file: str, fold: Fold) -> Iterator[str]:
        severity = self._paint(f"{fold.severity.upper():<{_INDENT - 2}}", _COLORS[fold.severity])
        yield f"  {severity}{self._paint(printable(fold.rule), '1')}"
        most = 1 if fold.shared else _SHOWN
        shown = fold.findings if len(fold.findings) <= most + 1 else fold.findings[:most]
        for item in shown:
            where = summary.location(item)
            if where != file:
                yield " " * _INDENT + self._paint(printable(where), "2")
            yield from self._wrapped(shortened(item.message, _MESSAGE), _INDENT)
        if len(shown) < len(fold.findings):
            rest = summary.counts(fold.findings[len(shown) :])
            words = f": {', '.join(f'{count} {name}' for name, count in rest.items())}" if len(rest) > 1 else ""
            yield " " * _INDENT + f"… and {len(fold.findings) - len(shown)} more{words}"
        if fold.fix:
            yield from self._wrapped(f"Fix: {fold.fix}", _INDENT)

    def _totals(self, report: Report) -> Iterator[str]:
        counts = summary.severities(report)
        if counts:
            words = ", ".join(self._paint(f"{count} {name}", _COLORS[name]) for name, count in counts.items())
            yield f"{'Findings':<{_COLUMN}}{words}"
            yield from self._row("", "`garrison explain RULE` tells what a rule means")
        kinds = [f"{title} {count}" for title, count in summary.format_counts(report).items()]
        if kinds:
            yield from self._row("Formats", listed(kinds, 2 * _NAMES))
        yield from self._row("Coverage", summary.examined(report))
        for words, reasons in summary.gaps(report).items():
            for reason, names in list(reasons.items())[:_REASONS]:
                yield from self._row("", f"{words}: {listed(names, _NAMES)} ({shortened(reason, 200)})")
            if len(reasons) > _REASONS:
                rest = sum(map(len, list(reasons.values())[_REASONS:]))
                yield from self._row("", f"{words}: {counted(rest, 'more subject')} for other reasons")

    def _waivers(self, report: Report) -> Iterator[str]:
        waived: dict[str, int] = {}
        for entry in report.decision.waived:
            waiver = entry.waiver
            text = f"until {waiver.expires} by {waiver.owner}: {waiver.reason}"
            key = f"{waiver.rule} in {summary.file_of(entry.finding.subject)}, {text}"
            waived[key] = waived.get(key, 0) + 1
        for text, count in waived.items():
            yield from self._row("Waived", text if count == 1 else f"{count} × {text}")
        for waiver in report.decision.expired:
            text = f"{waiver.rule} in {waiver.subject}, on {waiver.expires}, of {waiver.owner}: counts no more"
            yield from self._row("Expired", text)

    def _verdict(self, report: Report) -> Iterator[str]:
        title, reason = summary.verdict(report)
        lines = wrap(printable(f"{title.upper()}: {reason}"), self._width)
        head = f"{title.upper()}:"
        yield self._paint(head, _VERDICT_COLORS[report.decision.verdict]) + lines[0].removeprefix(head)
        yield from lines[1:]

    def _row(self, title: str, text: str) -> Iterator[str]:
        for number, line in enumerate(wrap(printable(text), self._width - _COLUMN)):
            yield f"{title if number == 0 else '':<{_COLUMN}}{line}"

    def _wrapped(self, text: str, indent: int) -> Iterator[str]:
        for line in wrap(printable(text), self._width - indent):
            yield " " * indent + line

    def _paint(self, text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._color else text


def one_line(report: Report) -> str:
    """The verdict in one line, for when the report itself went into a file."""
    title, reason = summary.verdict(report)
    count = len(summary.open_findings(report))
    total = f" {counted(count, 'finding')} in all." if count else ""
    return printable(f"{title.upper()}: {reason}{total}")
