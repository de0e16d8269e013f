"""Judges Python source where a model needs it: named by `auto_map`, or packed into a model archive that runs it."""

from collections.abc import Iterator, Sequence

from garrison.artifacts.knowledge import imports as knowledge
from garrison.core.facts import Examination, Import, Reference
from garrison.core.findings import Finding, Severity
from garrison.core.judgement import finding
from garrison.core.policy import Policy

_HIGH = frozenset({"command", "code", "native", "install", "network", "tamper"})
_MODEL_ARCHIVES = ("MAR-INF/MANIFEST.json",)


def detect(examinations: Sequence[Examination], policy: Policy) -> Iterator[Finding]:
    """Findings for source that runs when the model does; other source is left to those who run it."""
    named = _named_by_auto_map(examinations)
    archives = {
        examination.subject[: -len(mark)]
        for examination in examinations
        for mark in _MODEL_ARCHIVES
        if examination.subject.endswith(mark)
    }
    for examination in examinations:
        if "python" not in examination.formats:
            continue
        packed = any(examination.subject.startswith(archive) for archive in archives)
        if examination.subject in named or packed:
            yield from _judge(examination, "runs as remote code" if not packed else "runs as the archive's handler")


def _named_by_auto_map(examinations: Sequence[Examination]) -> set[str]:
    found = set()
    for examination in examinations:
        folder = examination.subject.rpartition("/")[0]
        for fact in examination.facts:
            if type(fact) is Reference and fact.role == "remote-code" and "--" not in fact.target:
                module = fact.target.rpartition(".")[0].replace(".", "/")
                found.add(f"{folder}/{module}.py" if folder else f"{module}.py")
    return found


def _judge(examination: Examination, why: str) -> Iterator[Finding]:
    for fact in examination.facts:
        if type(fact) is Import and fact.origin == "python":
            verdict = knowledge.verdict(fact.module, fact.name)
            if verdict.kind == "dangerous" and verdict.effect not in ("function", "inspect", "process"):
                severity = (
                    Severity.HIGH
                    if verdict.effect in _HIGH and verdict.target != "builtins.compile"
                    else Severity.MEDIUM
                )
                does = knowledge.effect(verdict.effect).does
                message = f"Python that {why} calls {verdict.target}, which {does}"
                yield finding("dangerous-carried-source", examination.subject, fact.place, message, severity=severity)
