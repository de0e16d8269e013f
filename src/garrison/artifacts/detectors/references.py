"""Judges what artifacts point at outside their own bytes, by where it leads and when it is followed."""

import posixpath
import re
from collections.abc import Iterator, Sequence

from garrison.core.facts import Examination, Reference
from garrison.core.findings import Finding, Severity
from garrison.core.judgement import finding
from garrison.core.policy import Policy

_SCHEME = re.compile(r"^([A-Za-z][A-Za-z0-9+.\-]{1,20}):(?://|\\\\)")
_DRIVE = re.compile(r"^[A-Za-z]:[\\/]")
_METADATA_SERVICES = (
    "169.254.169.254",
    "metadata.google.internal",
    "100.100.100.200",
    "fd00:ec2::254",
    "169.254.170.2",
)
_SILENT = frozenset(
    {"documentation", "metadata", "base-model", "schema", "package", "package-index", "requirement-file"}
    | {"source-import", "code-file"}
)
"""Roles that tell only where something comes from, and those that other detectors judge."""
_ADMINISTERED = frozenset({"model", "environment", "search-path"})
"""Paths that whoever runs a server sets: absolute ones are ordinary."""


def detect(examinations: Sequence[Examination], policy: Policy) -> Iterator[Finding]:
    """One finding for each reference that leaves the artifact."""
    for examination in examinations:
        seen: set[tuple[str, str]] = set()
        for fact in examination.facts:
            if type(fact) is Reference and fact.role not in _SILENT and (fact.role, fact.target) not in seen:
                seen.add((fact.role, fact.target))
                outcome = _judge(fact)
                if outcome is not None:
                    rule, severity, message = outcome
                    yield finding(rule, examination.subject, fact.place, message, severity=severity)


def _judge(fact: Reference) -> tuple[str, Severity, str] | None:
    why = f" ({fact.detail})" if fact.detail else ""
    what = f"{fact.role.replace('-', ' ')} {fact.target!r}{why}"
    if any(service in fact.target for service in _METADATA_SERVICES):
        return "cloud-metadata-reference", Severity.CRITICAL, f"{what} is a cloud's metadata service"
    if fact.role == "remote-code":
        if fact.target.startswith(("/", "~", "\\")) or _DRIVE.match(fact.target) or "../" in fact.target:
            return "escaping-reference", Severity.HIGH, f"{what} is Python outside the model's folder"
        cross = "--" in fact.target
        message = f"{what} is Python that loading runs when remote code is trusted"
        if cross:
            message += ", and it comes from another repository, whatever that holds on the day"
        return "remote-code", Severity.MEDIUM, message
    scheme = _SCHEME.match(fact.target)
    if scheme and scheme[1].lower() != "file":
        severity = Severity.HIGH if fact.trigger == "load" else Severity.MEDIUM
        return "remote-reference", severity, f"{what} is fetched over the network"
    path = fact.target.replace("\\", "/")
    if fact.role in _ADMINISTERED and (path.startswith(("/", "~")) or _DRIVE.match(fact.target)):
        return "escaping-reference", Severity.LOW, f"{what} is an absolute path"
    if fact.role == "execution-environment" and not path.startswith("../"):
        return "execution-environment", Severity.MEDIUM, f"{what} holds the interpreter that runs the model's code"
    if scheme or path.startswith(("/", "~")) or _DRIVE.match(fact.target):
        return "escaping-reference", Severity.HIGH, f"{what} is an absolute path"
    if posixpath.normpath(path).split("/")[0] == "..":
        return "escaping-reference", Severity.HIGH, f"{what} leads out of the model's folder"
    if "$" in path and re.search(r"\$\{?[A-Za-z_]", path):
        return "escaping-reference", Severity.MEDIUM, f"{what} depends on the environment"
    if fact.role == "sub-model":
        return "remote-reference", Severity.MEDIUM, f"{what} is another model, which is loaded with this one"
    if fact.role == "library":
        return "library-reference", Severity.MEDIUM, f"{what} is native code, which is loaded with the model"
    if "\0" in path:
        return "escaping-reference", Severity.HIGH, f"{what} has a NUL in it, where some readers end it"
    return None
