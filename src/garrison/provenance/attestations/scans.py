"""From a report to the attestation of a scan: what is said only if the scan saw every byte that is attested.

Refused are reports

1. of several subjects, since what was found in which would be lost,
2. of a scan that was interrupted,
3. without digests, or with another digest or none for any file of the model: the scan left it out, broke off on it, or
   saw other bytes.
"""

import datetime
import hashlib
from collections import Counter
from collections.abc import Iterable
from typing import Literal

import msgspec

from garrison.core.findings import Severity
from garrison.core.report import SCHEMA_VERSION
from garrison.provenance.attestations.predicates import REPORT_LENGTH, Checked, Counts, Examined, Report, Scan, Tool
from garrison.provenance.hashing import Manifest
from garrison.provenance.hashing.manifest import SINGLE_FILE
from garrison.provenance.strict_json import decoded
from garrison.provenance.trust import Refused

_REPORT_BYTES = 512 << 20
_STRUCTURE_BYTES = 128 << 20
_NAMED = 3
"""Files that a reason names."""


class _Item(msgspec.Struct):
    subject: str
    sha256: str | None = None


class _Finding(msgspec.Struct):
    severity: Severity


class _Waived(msgspec.Struct):
    finding: _Finding


class _Decision(msgspec.Struct):
    allowed: bool
    verdict: Literal["clean", "opaque", "incomplete", "denied", "accepted"]
    threshold: Severity
    reasons: tuple[str, ...]
    waived: tuple[_Waived, ...] = ()


class _Check(msgspec.Struct):
    name: str
    checked: int
    total: int
    data: str = ""
    reason: str = ""
    gap: bool = False


class _Tool(msgspec.Struct):
    name: str
    version: str


class _Coverage(msgspec.Struct):
    examined: int
    not_understood: int
    failed: int
    skipped: int
    interrupted: bool = False


class _Report(msgspec.Struct):
    """As much of the JSON report as is attested; other versions of garrison may say more in it."""

    schema_version: str
    tool: _Tool
    started: datetime.datetime
    subjects: tuple[str, ...]
    inventory: tuple[_Item, ...]
    findings: tuple[_Finding, ...]
    coverage: _Coverage
    decision: _Decision
    checks: tuple[_Check, ...] = ()


def scanned(
    report: bytes,
    manifest: Manifest,
    *,
    created: datetime.datetime,
    expires: datetime.datetime | None = None,
    embed: bool = False,
) -> Scan:
    """What a JSON report says of the model whose files have these SHA-256 digests.

    `manifest` is made with SHA-256; with `embed` the report goes into the attestation, if it is not too long. Raises
    `Refused`, as the module says.
    """
    found = decoded(report, _Report, "report", most=_REPORT_BYTES, structure=_STRUCTURE_BYTES)
    if found.schema_version.partition(".")[0] != SCHEMA_VERSION.partition(".")[0]:
        raise Refused(f"report: its schema {found.schema_version[:20]!r} is not read here")
    _check_covers(found, manifest)
    digest = {"sha256": hashlib.sha256(report).hexdigest()}
    content = report.decode() if embed and len(report) <= REPORT_LENGTH else ""
    return Scan(
        created=created,
        expires=expires,
        scanner=Tool(name=found.tool.name, version=found.tool.version),
        started=found.started,
        allowed=found.decision.allowed,
        verdict=found.decision.verdict,
        threshold=found.decision.threshold,
        reasons=found.decision.reasons,
        findings=_counted(found.findings),
        waived=_counted(waived.finding for waived in found.decision.waived),
        coverage=msgspec.convert(found.coverage, Examined, from_attributes=True),
        checks=tuple(msgspec.convert(check, Checked, from_attributes=True) for check in found.checks),
        report=Report(digest=digest, schema_version=found.schema_version, content=content),
    )


def _check_covers(report: _Report, manifest: Manifest) -> None:
    if len(report.subjects) != 1:
        raise Refused(f"report: it is about {len(report.subjects)} subjects, and what is attested is one")
    if report.coverage.interrupted:
        raise Refused("report: the scan was interrupted")
    (top,) = report.subjects
    digests = {item.subject: item.sha256 for item in report.inventory}
    if not any(digests.values()):
        raise Refused("report: it holds no digests; scan with --digests")
    unseen, other = [], []
    for entry in manifest.entries:
        subject = top if entry.name == SINGLE_FILE else f"{top.removesuffix('/')}/{entry.name}"
        digest = digests.get(subject)
        if digest is None:
            unseen.append(entry.name)
        elif digest != entry.digest:
            other.append(entry.name)
    if other:
        raise Refused(f"{_named(other)} changed between the scan and now")
    if unseen:
        raise Refused(f"the scan did not see all of {_named(unseen)}: see the report's coverage")


def _named(names: list[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(map(repr, names[:_NAMED])) + (f" and {more} more" if more > 0 else "")


def _counted(findings: Iterable[_Finding]) -> Counts:
    counts = Counter(finding.severity.value for finding in findings)
    return Counts(**{severity.value: counts[severity.value] for severity in Severity})
