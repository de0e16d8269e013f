"""CycloneDX 1.6 in JSON: what is in the models, and what was found in them.

https://cyclonedx.org/docs/1.6/json/. The components are those of `garrison bom`, and each finding of low or worse is a
vulnerability that affects its component.
"""

from typing import TYPE_CHECKING, Any

from garrison.core.registry import rules
from garrison.core.report import Item, Report
from garrison.reporting.bom.assembly import assemble
from garrison.reporting.bom.cyclonedx import Writer, named, sealed
from garrison.reporting.text import printable

if TYPE_CHECKING:
    from garrison.core.findings import Finding, Severity

_VERSION = "1.6"


def render(report: Report) -> str:
    """One bill of materials; the same report gives the same serial number."""
    import msgspec.structs

    there = {item.subject for item in report.inventory}
    found = dict.fromkeys(finding.subject for finding in report.findings if finding.subject not in there)
    missing = tuple(Item(subject=subject, formats=()) for subject in found)
    writer = Writer(assemble(msgspec.structs.replace(report, inventory=(*report.inventory, *missing))), _VERSION)
    body = writer.body(None)
    body["metadata"]["properties"] = [
        named("verdict", report.decision.verdict),
        named("allowed", str(report.decision.allowed).lower()),
        *body["metadata"].get("properties", ()),
    ]
    return sealed({**body, "vulnerabilities": _vulnerabilities(report, writer)}, _VERSION)


def _vulnerabilities(report: Report, writer: Writer) -> list[dict[str, Any]]:
    """One for each kind of finding: the same rule, severity and message, affecting all subjects that show it."""
    waivers = {waived.finding: waived.waiver for waived in report.decision.waived}
    grouped: dict[tuple[str, Severity, str, bool], list[Finding]] = {}
    for item in report.findings:
        if item.severity.rank > 0:
            grouped.setdefault((item.rule, item.severity, item.message, item in waivers), []).append(item)
    found = []
    for number, ((rule, severity, message, waived), items) in enumerate(grouped.items(), 1):
        first = items[0]
        vulnerability: dict[str, Any] = {
            "bom-ref": f"finding:{number}",
            "id": rule,
            "source": {"name": "garrison"},
            "ratings": [{"source": {"name": "garrison"}, "severity": str(severity), "method": "other"}],
            "description": printable(message),
            "detail": rules()[rule].description if rule in rules() else printable(message),
            "recommendation": printable(first.fix),
            "advisories": [{"url": reference} for reference in first.references],
            "affects": [
                {"ref": reference} for reference in dict.fromkeys(writer.subject(item.subject) for item in items)
            ],
            "properties": [named("place", f"{item.subject} {item.place}".rstrip()) for item in items[:20]],
        }
        weaknesses = [int(entry[4:]) for entry in first.threats if entry.startswith("CWE-")]
        if weaknesses:
            vulnerability["cwes"] = weaknesses
        if waived:
            waiver = waivers[first]
            vulnerability["analysis"] = {
                "state": "exploitable",
                "response": ["will_not_fix"],
                "detail": printable(f"Accepted by {waiver.owner} until {waiver.expires}: {waiver.reason}"),
            }
        found.append(vulnerability)
    return found
