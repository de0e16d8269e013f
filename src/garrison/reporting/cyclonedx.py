"""CycloneDX 1.6 in JSON: what is in the models, and what was found in them.

https://cyclonedx.org/docs/1.6/json/. A file of a model format is a component of type `machine-learning-model`, what
lies in a container is a component of the container, and each finding of low or worse is a vulnerability that affects
its component. Written as plain values, since the libraries at hand drop fields.
"""

import hashlib
import uuid
from typing import TYPE_CHECKING, Any

from garrison.core.facts import Artifact
from garrison.core.registry import formats, rules
from garrison.core.report import Item, Report
from garrison.reporting.json_text import json_text
from garrison.reporting.text import printable

if TYPE_CHECKING:
    from garrison.core.findings import Finding, Severity


def render(report: Report) -> str:
    """One bill of materials; the same report gives the same serial number."""
    body = {
        "metadata": {
            "timestamp": report.started.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "lifecycles": [{"phase": "post-build"}],
            "tools": {
                "components": [{"type": "application", "name": report.tool.name, "version": report.tool.version}]
            },
            "properties": [
                _property("verdict", report.decision.verdict),
                _property("allowed", str(report.decision.allowed).lower()),
            ],
        },
        "components": _components(report),
        "vulnerabilities": _vulnerabilities(report),
    }
    serial = uuid.uuid5(uuid.NAMESPACE_URL, "garrison:" + hashlib.sha256(json_text(body).encode()).hexdigest())
    return json_text(
        {
            "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
            "bomFormat": "CycloneDX",
            "specVersion": "1.6",
            "serialNumber": f"urn:uuid:{serial}",
            "version": 1,
            **body,
        }
    )


def _reference(subject: str) -> str:
    return f"subject:{printable(subject)}"


def _property(name: str, value: str) -> dict[str, str]:
    return {"name": f"garrison:{name}", "value": printable(value)}


def _components(report: Report) -> list[dict[str, Any]]:
    """Components nested as the subjects are; subjects come with what is inside them before themselves."""
    items: dict[str, Item] = {}
    for item in report.inventory:
        items.setdefault(item.subject, item)
    for finding in report.findings:
        items.setdefault(finding.subject, Item(subject=finding.subject, formats=()))
    components = {subject: _component(item) for subject, item in items.items()}
    top: list[dict[str, Any]] = []
    for subject, component in components.items():
        parent = subject.rpartition("!/")[0]
        while parent and parent not in components:
            parent = parent.rpartition("!/")[0]
        (components[parent].setdefault("components", []) if parent else top).append(component)
    return top


def _component(item: Item) -> dict[str, Any]:
    known = formats()
    model = any(name in known and known[name].model for name in item.formats)
    properties = [_property("format", name) for name in item.formats]
    if item.size is not None:
        properties.append(_property("size", str(item.size)))
    licences = []
    for fact in item.facts:
        if isinstance(fact, Artifact):
            for name, value in sorted(fact.details.items()):
                properties.append(_property(f"{fact.format}:{name}", str(value)[:500]))
            if licence := fact.details.get("license"):
                licences.append({"license": {"name": printable(str(licence)[:200])}})
    component: dict[str, Any] = {
        "type": "machine-learning-model" if model else "file",
        "bom-ref": _reference(item.subject),
        "name": printable(item.subject),
        "properties": properties,
    }
    if licences:
        component["licenses"] = licences[:1]
    if item.sha256 is not None:
        component["hashes"] = [{"alg": "SHA-256", "content": item.sha256}]
    return component


def _vulnerabilities(report: Report) -> list[dict[str, Any]]:
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
            "affects": [{"ref": reference} for reference in dict.fromkeys(_reference(item.subject) for item in items)],
            "properties": [_property("place", f"{item.subject} {item.place}".rstrip()) for item in items[:20]],
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
