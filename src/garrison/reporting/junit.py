"""JUnit XML, for the test pages of continuous integration: one test case a subject.

Follows the schema that Jenkins' xUnit plugin publishes, which is the common core of its dialects. A finding from the
policy's threshold on is a failure, what lies below it is output of a passing case, and a subject that was not examined
to its end is skipped.
"""

from collections.abc import Iterator
from xml.sax.saxutils import escape, quoteattr

from garrison.core.findings import Finding, Severity
from garrison.core.report import CoverageEntry, Report
from garrison.reporting.summary import STATES, open_findings, verdict
from garrison.reporting.text import printable


def render(report: Report) -> str:
    """One suite with a test case for each subject, and one for the decision."""
    return "\n".join(_lines(report)) + "\n"


def _lines(report: Report) -> Iterator[str]:
    findings: dict[str, list[Finding]] = {}
    for item in open_findings(report):
        findings.setdefault(item.subject, []).append(item)
    gaps = {entry.subject: entry for entry in report.coverage.entries}
    subjects = dict.fromkeys([item.subject for item in report.inventory] + [*findings, *gaps])
    threshold = report.decision.threshold
    cases = [_case(subject, findings.get(subject, []), gaps.get(subject), threshold) for subject in subjects]
    title, reason = verdict(report)
    decision = "" if report.decision.allowed else f"<failure{_attributes(type='denied', message=reason)}/>"
    cases.append(f"<testcase{_attributes(classname='garrison', name='decision', time='0')}>{decision}</testcase>")
    failures = sum("<failure" in case for case in cases)
    skipped = sum("<skipped" in case for case in cases)
    counts = {
        "tests": str(len(cases)),
        "failures": str(failures),
        "errors": "0",
        "skipped": str(skipped),
        "time": f"{report.seconds:.3f}",
    }
    yield '<?xml version="1.0" encoding="UTF-8"?>'
    yield f"<testsuites{_attributes(name='garrison', **{k: v for k, v in counts.items() if k != 'skipped'})}>"
    moment = report.started.strftime("%Y-%m-%dT%H:%M:%S")
    yield f"<testsuite{_attributes(name='garrison scan', timestamp=moment, hostname='localhost', **counts)}>"
    yield f"<properties><property{_attributes(name='verdict', value=title)}/></properties>"
    yield from cases
    yield "</testsuite>"
    yield "</testsuites>"


def _case(subject: str, findings: list[Finding], gap: CoverageEntry | None, threshold: Severity) -> str:
    inside = ""
    denying = [item for item in findings if item.severity.rank >= threshold.rank]
    passing = [item for item in findings if item.severity.rank < threshold.rank]
    if denying:
        worst = max(denying, key=lambda item: item.severity.rank)
        attributes = _attributes(type=worst.rule, message=f"{worst.severity}: {worst.message}")
        inside = f"<failure{attributes}>{_told(denying)}</failure>"
    elif gap is not None:
        words = STATES.get(gap.state, gap.state)
        inside = f"<skipped{_attributes(message=f'{words}: {gap.reason}')}/>"
    if passing:
        inside += f"<system-out>{_told(passing)}</system-out>"
    return f"<testcase{_attributes(classname='garrison', name=subject, time='0')}>{inside}</testcase>"


def _told(findings: list[Finding]) -> str:
    lines = []
    for item in findings:
        place = f" {item.place}" if item.place else ""
        lines.append(printable(f"[{item.severity}] {item.rule}{place}: {item.message} Fix: {item.fix}"))
    return escape("\n".join(lines))


def _attributes(**values: str) -> str:
    return "".join(f" {name}={quoteattr(printable(value))}" for name, value in values.items())
