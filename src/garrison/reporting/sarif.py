"""SARIF 2.1.0, for code-scanning pages and other readers of analysis results.

OASIS Static Analysis Results Interchange Format 2.1.0; what GitHub reads of it is in
https://docs.github.com/en/code-security/code-scanning/integrating-with-code-scanning/sarif-support-for-code-scanning.
A result is placed at its file, since that is what a code-scanning page can show; the way into containers is its logical
location.
"""

import datetime
import hashlib
import os
import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

from garrison.core.findings import Finding, Rule, Severity
from garrison.core.registry import rules
from garrison.core.report import CoverageEntry, Report
from garrison.reporting.json_text import json_text
from garrison.reporting.summary import STATES, checked, file_of, location
from garrison.reporting.text import printable
from garrison.threats import Framework, threat

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_BASE = "%SRCROOT%"
_LEVELS = {
    Severity.CRITICAL: "error",
    Severity.HIGH: "error",
    Severity.MEDIUM: "warning",
    Severity.LOW: "note",
    Severity.INFO: "note",
}
_SCORES = {
    Severity.CRITICAL: "9.5",
    Severity.HIGH: "8.0",
    Severity.MEDIUM: "5.5",
    Severity.LOW: "2.0",
    Severity.INFO: "0.0",
}
"""`security-severity`: above 9.0 is shown as critical, from 7.0 as high, from 4.0 as medium, above 0 as low."""
_LINE = re.compile(r"\bline (\d+)")


def render(report: Report) -> str:
    """One run with all findings; waived ones as suppressed results, coverage gaps as notifications."""
    return json_text({"$schema": _SCHEMA, "version": "2.1.0", "runs": [_Run(report).run()]})


class _Run:
    def __init__(self, report: Report) -> None:
        self._report = report
        self._rules = _rules_of(report)
        self._rule_index = {rule.id: number for number, rule in enumerate(self._rules)}
        self._taxonomies = _taxonomies_of(self._rules)
        subjects = [item.subject for item in report.inventory] + [item.subject for item in report.findings]
        self._files = list(dict.fromkeys(map(file_of, subjects)))
        self._file_index = {file: number for number, file in enumerate(self._files)}
        self._waivers = {waived.finding: waived.waiver for waived in report.decision.waived}
        self._seen: dict[str, int] = {}

    def run(self) -> dict[str, Any]:
        report = self._report
        decision = report.decision
        return {
            "tool": {"driver": self._driver()},
            "taxonomies": [_taxonomy(framework, entries) for framework, entries in self._taxonomies.values()],
            "invocations": [self._invocation()],
            "originalUriBaseIds": {_BASE: {"description": {"text": "The directory in which garrison ran."}}},
            "artifacts": self._artifacts(),
            "results": [self._result(item) for item in report.findings],
            "columnKind": "unicodeCodePoints",
            "properties": {
                "verdict": decision.verdict,
                "allowed": decision.allowed,
                "reasons": [printable(reason) for reason in decision.reasons],
            },
        }

    def _driver(self) -> dict[str, Any]:
        tool = self._report.tool
        return {
            "name": tool.name,
            "version": tool.version,
            "semanticVersion": tool.version,
            "rules": [self._descriptor(rule) for rule in self._rules],
            "notifications": [_gap_descriptor(state, words) for state, words in STATES.items()],
            "supportedTaxonomies": [
                {"name": framework.id, "index": number}
                for number, (framework, _) in enumerate(self._taxonomies.values())
            ],
        }

    def _descriptor(self, rule: Rule) -> dict[str, Any]:
        descriptor: dict[str, Any] = {
            "id": rule.id,
            "shortDescription": {"text": rule.title},
            "fullDescription": {"text": rule.description},
            "help": {"text": f"{rule.description}\n\nFix: {rule.fix}", "markdown": _help(rule)},
            "defaultConfiguration": {"level": _LEVELS[rule.severity]},
            "properties": {
                "tags": ["security", "machine-learning", *_cwe_tags(rule)],
                "precision": "high",
                "problem.severity": "error" if _LEVELS[rule.severity] == "error" else "warning",
                "security-severity": _SCORES[rule.severity],
            },
            "relationships": [self._relationship(entry) for entry in rule.threats if threat(entry) is not None],
        }
        if "-" in rule.id:
            descriptor["name"] = "".join(word.capitalize() for word in rule.id.split("-"))
        if rule.references:
            descriptor["helpUri"] = rule.references[0]
        return descriptor

    def _relationship(self, entry: str) -> dict[str, Any]:
        for number, (framework, entries) in enumerate(self._taxonomies.values()):
            if entry in entries:
                component = {"name": framework.id, "index": number}
                target = {"id": entry, "index": entries.index(entry), "toolComponent": component}
                return {"target": target, "kinds": ["relevant"]}
        raise KeyError(entry)

    def _invocation(self) -> dict[str, Any]:
        report = self._report
        gaps = [self._gap(entry) for entry in report.coverage.entries]
        notes = [{"level": "note", "message": {"text": _message(note)}} for note in report.notes]
        notes += [
            {"level": "warning" if check.gap else "note", "message": {"text": _message(checked(check))}}
            for check in report.checks
        ]
        if report.coverage.interrupted:
            notes.append({"level": "error", "message": {"text": "The scan was stopped before its end."}})
        return {
            "executionSuccessful": not report.coverage.interrupted,
            "startTimeUtc": _utc(report.started),
            "endTimeUtc": _utc(report.started + datetime.timedelta(seconds=report.seconds)),
            "toolExecutionNotifications": [*gaps, *notes],
        }

    def _gap(self, entry: CoverageEntry) -> dict[str, Any]:
        words = STATES.get(entry.state, entry.state)
        return {
            "descriptor": {"id": f"coverage/{entry.state}"},
            "level": "note" if entry.state == "skipped" else "warning",
            "message": {"text": _message(f"{entry.subject}: {words}: {entry.reason}")},
            "locations": [{"physicalLocation": {"artifactLocation": _artifact_location(file_of(entry.subject))}}],
        }

    def _artifacts(self) -> list[dict[str, Any]]:
        known = {item.subject: item for item in self._report.inventory}
        artifacts = []
        for file in self._files:
            artifact: dict[str, Any] = {"location": _artifact_location(file), "roles": ["analysisTarget"]}
            item = known.get(file)
            if item is not None and item.size is not None:
                artifact["length"] = item.size
            if item is not None and item.sha256 is not None:
                artifact["hashes"] = {"sha-256": item.sha256}
            if item is not None:
                artifact["properties"] = {"formats": [printable(name) for name in item.formats]}
            artifacts.append(artifact)
        return artifacts

    def _result(self, item: Finding) -> dict[str, Any]:
        file = file_of(item.subject)
        line = _LINE.search(item.place)
        fingerprint = self._fingerprint(item)
        result: dict[str, Any] = {
            "ruleId": item.rule,
            "ruleIndex": self._rule_index[item.rule],
            "kind": "fail",
            "level": _LEVELS[item.severity],
            "message": {"text": _message(f"{item.message}\n\n{location(item)}\n\nFix: {item.fix}")},
            "locations": [
                {
                    "physicalLocation": {
                        "artifactLocation": {**_artifact_location(file), "index": self._file_index[file]},
                        "region": {"startLine": max(int(line[1]), 1) if line and len(line[1]) < 9 else 1},
                    },
                    "logicalLocations": [
                        {
                            "name": printable(item.subject.rpartition("!/")[2]),
                            "fullyQualifiedName": printable(location(item)),
                            "kind": "member" if "!/" in item.subject else "file",
                        }
                    ],
                }
            ],
            "partialFingerprints": {
                "garrisonFinding/v1": fingerprint,
                "primaryLocationLineHash": f"{fingerprint[:16]}:1",
            },
            "properties": {"severity": item.severity, "security-severity": _SCORES[item.severity]},
        }
        if self._waivers:
            waiver = self._waivers.get(item)
            result["suppressions"] = (
                [
                    {
                        "kind": "external",
                        "status": "accepted",
                        "justification": printable(f"{waiver.reason} ({waiver.owner}, until {waiver.expires})"),
                    }
                ]
                if waiver
                else []
            )
        return result

    def _fingerprint(self, item: Finding) -> str:
        """Stays the same when only offsets move: what was seen where, and which of its equals it is."""
        identity = "\0".join((item.rule, item.subject, item.message))
        number = self._seen[identity] = self._seen.get(identity, 0) + 1
        return hashlib.sha256(f"{identity}\0{number}".encode("utf-8", "backslashreplace")).hexdigest()


def _rules_of(report: Report) -> list[Rule]:
    """The rules that the findings refer to; one that is not in the catalogue is told by its first finding."""
    found: dict[str, Rule] = {}
    for item in report.findings:
        if item.rule not in found:
            found[item.rule] = rules().get(item.rule) or Rule(
                id=item.rule,
                title=item.rule,
                severity=item.severity,
                description=item.message,
                fix=item.fix,
                references=item.references,
                threats=item.threats,
            )
    return [found[name] for name in sorted(found)]


def _taxonomies_of(used: Iterable[Rule]) -> dict[str, tuple[Framework, list[str]]]:
    found: dict[str, tuple[Framework, list[str]]] = {}
    for entry in sorted({entry for rule in used for entry in rule.threats}):
        known = threat(entry)
        if known is not None:
            found.setdefault(known.framework.id, (known.framework, []))[1].append(entry)
    return found


def _taxonomy(framework: Framework, entries: Iterable[str]) -> dict[str, Any]:
    return {
        "name": framework.id,
        "fullName": framework.title,
        "organization": framework.publisher,
        "informationUri": framework.url,
        "shortDescription": {"text": framework.title},
        "isComprehensive": False,
        "taxa": [
            {"id": entry, "shortDescription": {"text": known.title}, "helpUri": known.url}
            for entry in entries
            if (known := threat(entry)) is not None
        ],
    }


def _gap_descriptor(state: str, words: str) -> dict[str, Any]:
    text = f"A subject was {words}, so it may hold more than the results tell."
    help_text = "Read the message, then examine the subject by other means, exclude it, or let the policy deny gaps."
    return {
        "id": f"coverage/{state}",
        "shortDescription": {"text": f"A subject was {words}."},
        "fullDescription": {"text": text},
        "help": {"text": help_text},
    }


def _cwe_tags(rule: Rule) -> list[str]:
    return [f"external/cwe/{entry.lower()}" for entry in rule.threats if entry.startswith("CWE-")]


def _help(rule: Rule) -> str:
    lines = [f"**{rule.title}**", rule.description, f"**Fix:** {rule.fix}"]
    if rule.references:
        lines.append("**References:**\n\n" + "\n".join(f"- <{reference}>" for reference in rule.references))
    return "\n\n".join(lines)


def _artifact_location(file: str) -> dict[str, Any]:
    """A URI relative to the working directory where the file lies below it, else an absolute one."""
    path = file
    if os.path.isabs(path):
        below = os.path.relpath(path, os.getcwd())
        if below.startswith(".."):
            return {"uri": "file://" + _quoted(path)}
        path = below
    return {"uri": _quoted(os.path.normpath(path)), "uriBaseId": _BASE}


def _quoted(path: str) -> str:
    return quote(path.encode("utf-8", "backslashreplace"))


def _message(text: str) -> str:
    """Text in which nothing is taken for a link."""
    shown = "\n\n".join(printable(part) for part in text.split("\n\n"))
    return shown.replace("[", "\\[").replace("]", "\\]") if "](" in shown else shown


def _utc(moment: datetime.datetime) -> str:
    return moment.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
