"""From facts to findings, and from findings to a decision."""

import datetime
import fnmatch
from collections.abc import Iterable, Sequence

from garrison.core.facts import Examination
from garrison.core.findings import Check, Finding, Severity
from garrison.core.policy import Decision, Policy, Waived, Waiver
from garrison.core.registry import formats, load, registration, rules
from garrison.core.report import Coverage


def finding(
    rule: str, subject: str, place: str, message: str, *, severity: Severity | None = None, fix: str = ""
) -> Finding:
    """A finding of a rule of the catalogue, with the rule's severity, fix and references unless given."""
    known = rules()[rule]
    return Finding(
        rule=rule,
        severity=severity or known.severity,
        subject=subject,
        place=place,
        message=message,
        fix=fix or known.fix,
        references=known.references,
        threats=known.threats,
    )


def judge(examinations: Sequence[Examination], policy: Policy) -> tuple[list[Finding], list[Check]]:
    """All findings that the registered detectors state, after the policy's rule overrides, and what they checked.

    Findings are grouped by subject, the worst subject first, and the worst finding first in each.
    """
    kinds = {type(fact).__struct_config__.tag for e in examinations for fact in e.facts}
    found: dict[Finding | Check, None] = {}
    for detector in registration().detectors:
        if not detector.facts or not kinds.isdisjoint(detector.facts):
            found.update(dict.fromkeys(_detect(detector.function, examinations, policy)))
    findings = [item for item in found if isinstance(item, Finding)]
    kept = [changed for item in findings if (changed := _override(item, policy)) is not None]
    worst: dict[str, int] = {}
    for item in kept:
        worst[item.subject] = max(worst.get(item.subject, 0), item.severity.rank)
    kept.sort(key=lambda item: (-worst[item.subject], item.subject, -item.severity.rank, item.rule))
    return kept, [item for item in found if isinstance(item, Check)]


def _detect(name: str, examinations: Sequence[Examination], policy: Policy) -> list[Finding | Check]:
    """What one detector finds. Where it fails, that is a finding too: facts that were not judged are not harmless."""
    detector = load(name)
    try:
        return list(detector(examinations, policy))
    except Exception as error:
        if len(examinations) > 1:
            return [item for one in examinations for item in _detect(name, [one], policy)]
        message = f"the detector {name} failed: {type(error).__name__}: {error}"[:300]
        return [finding("not-judged", one.subject, "", message) for one in examinations]


def _override(item: Finding, policy: Policy) -> Finding | None:
    import msgspec.structs

    override = policy.rules.get(item.rule)
    if override is None:
        return item
    if not override.enabled:
        return None
    return msgspec.structs.replace(item, severity=override.severity) if override.severity else item


def decide(
    findings: Iterable[Finding],
    examinations: Sequence[Examination],
    coverage: Coverage,
    policy: Policy,
    today: datetime.date,
    checks: Sequence[Check] = (),
) -> Decision:
    """Whether policy lets the subjects through, and why not. Pure: the same input gives the same decision."""
    reasons: list[str] = []
    waived: list[Waived] = []
    expired: dict[Waiver, None] = {}
    open_findings: list[Finding] = []
    for item in findings:
        matching = [waiver for waiver in policy.waivers if _matches(waiver, item)]
        current = [waiver for waiver in matching if waiver.expires >= today]
        if current:
            waived.append(Waived(finding=item, waiver=current[0]))
        else:
            open_findings.append(item)
            expired.update(dict.fromkeys(matching))
    denying = [item for item in open_findings if item.severity.rank >= policy.threshold.rank]
    if denying:
        noun = "finding" if len(denying) == 1 else "findings"
        reasons.append(f"{len(denying)} {noun} of {policy.threshold} or worse")
    reasons += _formats(examinations, policy)
    gaps = coverage.not_understood + coverage.failed
    if policy.coverage == "deny" and gaps:
        reasons.append(f"{gaps} {'subject was' if gaps == 1 else 'subjects were'} not examined to the end")
    unchecked = [check for check in checks if check.gap]
    if policy.coverage == "deny" and unchecked:
        reasons.append(f"not all was checked: {', '.join(check.name for check in unchecked)}")
    if policy.coverage == "deny" and coverage.interrupted:
        reasons.append("the scan was interrupted")
    nothing = not coverage.examined and not gaps
    if policy.coverage == "deny" and nothing:
        reasons.append("nothing was examined")
    allowed = not reasons
    verdict: str
    if not allowed:
        verdict = "denied"
    elif gaps or nothing or unchecked or coverage.interrupted:
        verdict = "incomplete"
    elif any(item.severity.rank > 0 for item in open_findings) or waived:
        verdict = "accepted"
    elif _opaque(examinations):
        verdict = "opaque"
    else:
        verdict = "clean"
    return Decision(
        allowed=allowed,
        verdict=verdict,  # type: ignore[arg-type]
        threshold=policy.threshold,
        reasons=tuple(reasons),
        waived=tuple(waived),
        expired=tuple(expired),
    )


def _matches(waiver: Waiver, item: Finding) -> bool:
    return (
        waiver.rule == item.rule
        and fnmatch.fnmatchcase(item.subject, waiver.subject)
        and fnmatch.fnmatchcase(item.place, waiver.place)
    )


def _formats(examinations: Sequence[Examination], policy: Policy) -> list[str]:
    known = formats()
    reasons = []
    for examination in examinations:
        for name in examination.formats:
            model = name in known and known[name].model
            if name in policy.denied_formats:
                reasons.append(f"{examination.subject} is {name}, a denied format")
            elif model and policy.allowed_formats and name not in policy.allowed_formats:
                reasons.append(f"{examination.subject} is {name}, which is not among the allowed formats")
    return reasons


def _opaque(examinations: Sequence[Examination]) -> bool:
    """Whether something runs that cannot be judged from its bytes: machine code or an engine's plan."""
    from garrison.core.facts import Native

    return any(type(fact) is Native and fact.form != "script" for e in examinations for fact in e.facts)
