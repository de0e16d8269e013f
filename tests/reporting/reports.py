"""Reports made by hand, for the renderers' tests."""

import datetime

from garrison.core.facts import Artifact, CoverageState, Import
from garrison.core.findings import Finding, Severity
from garrison.core.policy import Decision, Waived, Waiver
from garrison.core.report import SCHEMA_VERSION, Coverage, CoverageEntry, Item, Report, Tool

HOSTILE = (
    "\x1b[2J\x1b]0;owned\x07\u202egnp.exe\u2066\u200b\x9b31m\r\n\t</script><script>alert(1)</script>"
    "<img src=x onerror=alert(1)> `code` ``` ![p](http://evil.example/p.png) [click](javascript:alert(1)) | a\\| b "
    "@everyone #1 & \"quoted\" 'single' ]]> \ufffe \ud800 \udcff {{ 7*7 }} {% raw %} {0} %s é 漢字"
)
"""All that a file name or a message can do to a reader."""


def finding(
    subject: str = "models/model.pt!/archive/data.pkl",
    *,
    rule: str = "dangerous-import",
    severity: Severity = Severity.CRITICAL,
    place: str = "@ 0x2f",
    message: str = "Loading calls posix.system('id'), which runs a shell command.",
    fix: str = "Do not load this file; ask its author for safetensors.",
) -> Finding:
    return Finding(
        rule=rule,
        severity=severity,
        subject=subject,
        place=place,
        message=message,
        fix=fix,
        references=("https://docs.python.org/3/library/pickle.html",),
        threats=("MLSECOPS-03", "OWASP-ML06", "AML.T0011.000", "CWE-502"),
    )


def waiver(**overrides: str) -> Waiver:
    fields = {"rule": "dangerous-import", "reason": "a fixture", "owner": "ada@example.org", **overrides}
    return Waiver(expires=datetime.date(2027, 1, 31), **fields)


def report(
    *findings: Finding,
    verdict: str | None = None,
    waived: tuple[Waived, ...] = (),
    expired: tuple[Waiver, ...] = (),
    gaps: tuple[tuple[str, CoverageState, str], ...] = (),
    inventory: tuple[Item, ...] | None = None,
    interrupted: bool = False,
    notes: tuple[str, ...] = (),
) -> Report:
    denied = len([item for item in findings if item.severity.rank >= Severity.HIGH.rank]) - len(waived)
    if inventory is None:
        inventory = (
            Item(
                subject="models/model.pt!/archive/data.pkl",
                formats=("pickle",),
                size=120,
                facts=(
                    Artifact(format="pickle", details={"protocol": 2}),
                    Import(module="posix", name="system", origin="pickle", usage="call", arguments=("'id'",)),
                ),
            ),
            Item(subject="models/model.pt", formats=("zip",), size=4096, sha256="ab" * 32),
        )
    states = [state for _, state, _ in gaps]
    decided = verdict or ("denied" if denied > 0 else "incomplete" if gaps else "accepted" if findings else "clean")
    return Report(
        schema_version=SCHEMA_VERSION,
        tool=Tool(name="garrison", version="0.1.0"),
        started=datetime.datetime(2026, 11, 23, 12, 0, tzinfo=datetime.UTC),
        seconds=0.25,
        subjects=("models",),
        inventory=inventory,
        findings=findings,
        coverage=Coverage(
            examined=len(inventory),
            not_understood=states.count("not-understood"),
            failed=states.count("failed") + states.count("partial"),
            skipped=states.count("skipped"),
            interrupted=interrupted,
            entries=tuple(CoverageEntry(subject=s, state=state, reason=why) for s, state, why in gaps),
        ),
        decision=Decision(
            allowed=decided != "denied",
            verdict=decided,  # type: ignore[arg-type]
            threshold=Severity.HIGH,
            reasons=(f"{denied} findings of high or worse",) if decided == "denied" else (),
            waived=waived,
            expired=expired,
        ),
        notes=notes,
    )


def hostile() -> Report:
    """Every text that comes from what was examined is hostile."""
    bad = finding(f"models/{HOSTILE}!/{HOSTILE}", place=HOSTILE, message=HOSTILE, fix=HOSTILE)
    accepted = finding(f"waived/{HOSTILE}", message=HOSTILE)
    return report(
        bad,
        accepted,
        waived=(Waived(finding=accepted, waiver=waiver(reason=HOSTILE, owner=HOSTILE)),),
        expired=(waiver(subject=HOSTILE),),
        gaps=((f"gap/{HOSTILE}", "failed", HOSTILE), ("noise.bin", "not-understood", HOSTILE)),
        inventory=(
            Item(
                subject=f"models/{HOSTILE}",
                formats=("pickle", HOSTILE),
                facts=(Artifact(format="pickle", details={HOSTILE: HOSTILE, "license": HOSTILE}),),
            ),
        ),
        notes=(HOSTILE,),
    )


def typical() -> Report:
    """Some of everything."""
    accepted = finding("old/known.pkl", message="Loading calls builtins.eval.")
    return report(
        finding(),
        finding(rule="malformed", severity=Severity.LOW, message="The stream breaks off.", place="@ 0x51"),
        *(
            finding(
                "zoo/many.pkl", rule="resource-limit", severity=Severity.MEDIUM, place=f"@ {n:#x}", message=f"Seen {n}."
            )
            for n in range(44)
        ),
        accepted,
        waived=(Waived(finding=accepted, waiver=waiver()),),
        expired=(waiver(subject="gone/*", rule="malformed"),),
        gaps=(
            ("noise.bin", "not-understood", "no format that garrison knows"),
            ("broken.zip", "partial", "the central directory breaks off"),
            (".git", "skipped", "the store of a version control system"),
        ),
        notes=("The policy is from garrison.toml.",),
    )


def large(count: int = 5000) -> Report:
    """Findings in many files."""
    severities = list(Severity)
    return report(
        *(
            finding(
                f"zoo/model-{n // 4}.pkl",
                severity=severities[n % 5],
                rule=("dangerous-import", "malformed", "resource-limit", "format-mismatch")[n % 4],
                message=f"Seen in place {n}.",
            )
            for n in range(count)
        )
    )
