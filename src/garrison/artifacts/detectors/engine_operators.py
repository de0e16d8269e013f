"""Judges operators of inference engines: those that act outside the graph, and those that need code of others."""

from collections.abc import Iterator, Sequence

from garrison.artifacts.detectors.folders import leaves
from garrison.artifacts.knowledge.engine_operators import Engine, EngineOperator, engines
from garrison.artifacts.program_text import is_program_text
from garrison.core.facts import Examination, Operator
from garrison.core.findings import Finding, Severity
from garrison.core.judgement import finding
from garrison.core.policy import Policy

_PYTHON = ("python", "pyop", "pyfunc", "pyoperator")
_RULES = {
    "python": ("python-operator", Severity.HIGH),
    "network": ("network-operator", Severity.HIGH),
    "pointer": ("native-pointer-operator", Severity.CRITICAL),
    "custom": ("custom-operator", Severity.MEDIUM),
}


def detect(examinations: Sequence[Examination], policy: Policy) -> Iterator[Finding]:
    """One finding for each operator and set of arguments in a subject."""
    for examination in examinations:
        seen: set[tuple[str, str]] = set()
        for fact in examination.facts:
            if type(fact) is Operator and fact.framework in engines() and (outcome := _judge(fact)) is not None:
                rule, severity, message = outcome
                if (rule, message) not in seen:
                    seen.add((rule, message))
                    yield finding(rule, examination.subject, fact.place, message, severity=severity)


def _judge(fact: Operator) -> tuple[str, Severity, str] | None:
    engine = engines()[fact.framework]
    entry = engine.dangerous.get(fact.name)
    for value in fact.arguments.values():
        if is_program_text(value):
            message = f"{_named(fact, engine)} is given program text: {value[:200]!r}"
            return "suspicious-call", Severity.HIGH, message
    if entry is not None:
        return _dangerous(fact, entry)
    if not engine.needs:
        return None
    if fact.name.lower() in _PYTHON:
        return "python-operator", Severity.HIGH, f"{_named(fact, engine)} calls Python code outside the model"
    return "custom-operator", Severity.MEDIUM, f"{_named(fact, engine)} needs {engine.needs}"


def _named(fact: Operator, engine: Engine) -> str:
    what = fact.domain if fact.domain.startswith("custom ") else "operator"
    return f"the {what} {fact.name!r} of {engine.title}"


def _dangerous(fact: Operator, entry: EngineOperator) -> tuple[str, Severity, str] | None:
    values = [fact.arguments[name] for name in entry.arguments if fact.arguments.get(name)]
    message = f"the operator {fact.name} {entry.does}" + (f": {', '.join(map(repr, values))[:200]}" if values else "")
    if entry.effect in _RULES:
        rule, severity = _RULES[entry.effect]
        return rule, severity, message
    if entry.effect == "write":
        return "file-operator", Severity.CRITICAL if any(map(leaves, values)) else Severity.HIGH, message
    return "file-operator", Severity.HIGH if any(map(leaves, values)) else Severity.MEDIUM, message
