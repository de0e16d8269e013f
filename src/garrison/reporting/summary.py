"""What renderers for people share: groups of findings, and the verdict and the coverage in words."""

from collections.abc import Iterable

import msgspec

from garrison.core.findings import Check, Finding, Severity
from garrison.core.registry import rules
from garrison.core.report import Report
from garrison.reporting.text import counted

VERDICTS = {
    "clean": ("Clean", "Nothing was found, and all of it was examined."),
    "opaque": ("Clean but opaque", "Nothing was found, but it holds code that cannot be judged from its bytes."),
    "incomplete": ("Incomplete", "Policy allows it, but something was not examined or checked, or nothing was there."),
    "accepted": ("Accepted", "What was found is waived or less than {threshold}, from which policy denies."),
    "denied": ("Denied", "Policy refuses it."),
}
"""A title and a sentence for each verdict, with a place for the threshold."""

STATES = {
    "not-understood": "not understood",
    "failed": "failed",
    "partial": "partly examined",
    "skipped": "skipped",
}
"""Coverage states in words, in the order in which they are told."""


class Fold(msgspec.Struct, frozen=True):
    """Findings of one rule in one file that share severity and fix, or that one fix of their own takes care of."""

    rule: str
    severity: Severity
    """The worst of the findings'."""
    fix: str
    findings: list[Finding]
    """The worst first."""

    @property
    def shared(self) -> bool:
        """Whether all are about one thing in one place, so that the first of them tells the most."""
        return len({(item.subject, item.place) for item in self.findings}) == 1 and bool(self.findings[0].place)


class Group(msgspec.Struct, frozen=True):
    """What was found in one file and in what it contains."""

    file: str
    folds: list[Fold]

    @property
    def worst(self) -> Severity:
        return max((fold.severity for fold in self.folds), key=lambda severity: severity.rank)


def file_of(subject: str) -> str:
    """The file that the subject lies in: the path as given, without the way into containers."""
    return subject.partition("!/")[0]


def location(item: Finding) -> str:
    """`model.pt!/archive/data.pkl @ 0x2f`"""
    return f"{item.subject} {item.place}".rstrip()


def open_findings(report: Report) -> list[Finding]:
    """The findings that no waiver covers, in the report's order."""
    waived = {waived.finding for waived in report.decision.waived}
    return [item for item in report.findings if item not in waived]


def groups(report: Report) -> list[Group]:
    """The open findings by file, the worst file first and the worst rule first in each."""
    known = rules()
    folds: dict[str, dict[tuple[str, str, str], Fold]] = {}
    for item in sorted(open_findings(report), key=lambda item: -item.severity.rank):
        # A fix that is not the rule's is for these findings alone: "upgrade x to 1.2", whatever each of them is worth.
        own = item.rule in known and item.fix != known[item.rule].fix
        key = item.rule, "" if own else item.severity, item.fix
        folds.setdefault(file_of(item.subject), {}).setdefault(key, Fold(item.rule, item.severity, item.fix, []))
        folds[file_of(item.subject)][key].findings.append(item)
    found = [
        Group(file, sorted(by_rule.values(), key=lambda fold: -fold.severity.rank)) for file, by_rule in folds.items()
    ]
    return sorted(found, key=lambda group: -group.worst.rank)


def severities(report: Report) -> dict[Severity, int]:
    """How many open findings there are of each severity that occurs, the worst first."""
    return counts(open_findings(report))


def counts(findings: Iterable[Finding]) -> dict[Severity, int]:
    """How many there are of each severity that occurs, the worst first."""
    found = dict.fromkeys(reversed(Severity), 0)
    for item in findings:
        found[item.severity] += 1
    return {severity: count for severity, count in found.items() if count}


def format_counts(report: Report) -> dict[str, int]:
    """How many subjects there are of each format, the most frequent first."""
    counts: dict[str, int] = {}
    for item in report.inventory:
        for name in item.formats:
            counts[name] = counts.get(name, 0) + 1
    return dict(sorted(counts.items(), key=lambda entry: -entry[1]))


def gaps(report: Report) -> dict[str, dict[str, list[str]]]:
    """The subjects that were not examined to their end: by state in words, then by reason."""
    found: dict[str, dict[str, list[str]]] = {words: {} for words in STATES.values()}
    for entry in report.coverage.entries:
        words = STATES.get(entry.state, entry.state)
        found.setdefault(words, {}).setdefault(entry.reason, []).append(entry.subject)
    return found


def verdict(report: Report) -> tuple[str, str]:
    """The verdict's title, and why."""
    title, sentence = VERDICTS[report.decision.verdict]
    sentence = sentence.format(threshold=report.decision.threshold)
    if report.decision.reasons:
        sentence = "; ".join(report.decision.reasons) + "."
    if report.coverage.interrupted:
        sentence = f"The scan was interrupted, so this holds only for what was done until then. {sentence}"
    return title, sentence


def examined(report: Report) -> str:
    """How much was examined, in one line: `Examined 12 of 15 subjects; 2 not understood, 1 skipped.`"""
    coverage = report.coverage
    total = coverage.examined + coverage.not_understood + coverage.failed + coverage.skipped
    gaps = [
        f"{count} {words}"
        for count, words in (
            (coverage.not_understood, "not understood"),
            (coverage.failed, "failed or partly examined"),
            (coverage.skipped, "skipped"),
        )
        if count
    ]
    line = f"{coverage.examined} of {counted(total, 'subject')} examined to the end"
    line += f"; {', '.join(gaps)}" if gaps else ""
    return line + ("; interrupted" if coverage.interrupted else "")


def checked(check: Check) -> str:
    """One check in a line: how much of what, against which data, and why not all."""
    line = f"{check.name}: {check.checked} of {check.total}"
    if check.data:
        line += f", {check.data}"
    return f"{line}; {check.reason}" if check.reason else line
