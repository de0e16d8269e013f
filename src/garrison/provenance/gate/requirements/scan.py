"""The model was scanned: lately, by a scanner that is new enough, and nothing bad was found."""

import datetime
from collections.abc import Iterator, Sequence

from garrison.core.findings import Severity
from garrison.core.gate_decision import RequirementDecision
from garrison.core.gate_policy import ScanRequirement
from garrison.provenance.attestations.predicates import Scan
from garrison.provenance.gate.candidates import Candidate
from garrison.provenance.gate.requirements.judging import by, counted_days, decided, eligible, nobody, too_old

KIND = "scan"


def judge(asked: ScanRequirement, candidates: Sequence[Candidate], now: datetime.datetime) -> RequirementDecision:
    found = eligible(asked, KIND, candidates)
    found.leave_out(lambda one: too_old(one, asked.max_days, now) or _other_scanner(asked, _scan(one)))
    found.keep_newest()
    reasons = [f"{one.place}: {reason}" for one in found.counted for reason in _against(asked, _scan(one))]
    if not found.counted:
        reasons = [nobody(found, "scan")]
    return decided(KIND, _wording(asked), found, reasons, lambda one: _says(_scan(one)))


def _scan(one: Candidate) -> Scan:
    assert isinstance(one.predicate, Scan)
    return one.predicate


def _other_scanner(asked: ScanRequirement, scan: Scan) -> str:
    if scan.scanner.name != asked.scanner:
        return f"scanned with {scan.scanner.name!r}, and not with {asked.scanner!r}"
    if not asked.minimum_version:
        return ""
    from packaging.version import InvalidVersion, Version

    try:
        if Version(scan.scanner.version) < Version(asked.minimum_version):
            return f"scanned with version {scan.scanner.version}, older than {asked.minimum_version}"
    except InvalidVersion:
        return f"scanned with version {scan.scanner.version!r}, which cannot be compared with others"
    return ""


def _against(asked: ScanRequirement, scan: Scan) -> Iterator[str]:
    if not scan.allowed:
        yield f"the policy that it was scanned under denies it: {', '.join(scan.reasons) or 'without a reason'}"
    # Each severity by itself: what is waived of one says nothing of another.
    severities = [severity for severity in Severity if severity.rank >= asked.below.rank]
    waived = {severity: scan.waived.of(severity) if asked.waived else 0 for severity in severities}
    bad = sum(max(scan.findings.of(severity) - waived[severity], 0) for severity in severities)
    if bad > 0:
        yield f"{bad} {'finding' if bad == 1 else 'findings'} of {asked.below} or worse"
    if not asked.complete:
        return
    coverage = scan.coverage
    gaps = {"not understood": coverage.not_understood, "failed": coverage.failed, "skipped": coverage.skipped}
    told = ", ".join(f"{count} {words}" for words, count in gaps.items() if count)
    if told:
        yield f"not all was examined: {told}"
    elif not coverage.examined:
        yield "nothing was examined"
    elif scan.verdict == "incomplete":
        yield "the scan calls itself incomplete"
    for check in scan.checks:
        if check.gap:
            yield f"{check.name}: {check.checked} of {check.total} checked"


def _wording(asked: ScanRequirement) -> str:
    parts = [f"scanned with {asked.scanner}"]
    if asked.minimum_version:
        parts[0] += f" {asked.minimum_version} or newer"
    parts.append(by(asked.signed_by))
    if asked.max_days is not None:
        parts.append(f"within {counted_days(asked.max_days)}")
    parts.append(
        f"without findings of {asked.below} or worse" if asked.below is not Severity.INFO else "without findings"
    )
    return " ".join(parts) + (", examined completely" if asked.complete else "")


def _says(scan: Scan) -> str:
    counts = {severity: scan.findings.of(severity) for severity in reversed(Severity)}
    told = ", ".join(f"{count} {severity}" for severity, count in counts.items() if count)
    return f"{scan.scanner.name} {scan.scanner.version}: {scan.verdict}, {told or 'no findings'}"
