"""Judges templates by what they reach: ordinary ones read messages, hostile ones climb out of the sandbox."""

import re
from collections.abc import Iterator, Sequence

from garrison.core.facts import Examination, Template
from garrison.core.findings import Finding, Severity
from garrison.core.judgement import finding
from garrison.core.policy import Policy

_DUNDER = re.compile(r"__\w+__")
_ESCAPES = frozenset(
    {"__class__", "__mro__", "__base__", "__bases__", "__subclasses__", "__globals__", "__builtins__", "__import__"}
    | {"__init__", "__dict__", "__getattribute__", "__code__", "__closure__", "__reduce__", "__reduce_ex__", "__self__"}
    | {"__loader__", "__spec__", "__func__", "__wrapped__", "mro", "func_globals", "func_code", "gi_frame", "gi_code"}
    | {"cr_frame", "f_globals", "f_builtins", "f_back", "tb_frame", "co_code", "_TemplateReference__context", "_module"}
)
_CALLED = frozenset(
    {"eval", "exec", "getattr", "setattr", "open", "compile", "__import__", "import_module", "globals", "vars"}
)
_SYSTEM = frozenset(
    {"popen", "system", "Popen", "check_output", "subprocess", "urlopen", "environ", "builtins", "importlib"}
)


def detect(examinations: Sequence[Examination], policy: Policy) -> Iterator[Finding]:
    """One finding for each template that reaches what it has no need for."""
    for examination in examinations:
        for fact in examination.facts:
            if type(fact) is Template and (outcome := _judge(fact)) is not None:
                rule, severity, message = outcome
                yield finding(rule, examination.subject, fact.place, message, severity=severity)


def _judge(fact: Template) -> tuple[str, Severity, str] | None:
    reached = [name for name in fact.attributes if name in _ESCAPES or _DUNDER.fullmatch(name)]
    called = [call for call in fact.calls if call in _CALLED]
    parts = {part for call in fact.calls for part in call.split(".")}
    reached += [part for part in sorted(parts) if _DUNDER.fullmatch(part) and part not in reached]
    if reached or called:
        system = sorted(_SYSTEM & ({*fact.attributes} | parts))
        goal = f", on to {', '.join(system)}" if system else ""
        names = ", ".join(dict.fromkeys(reached + called))[:200]
        message = f"the template reaches {names}{goal}: {fact.excerpt!r}"
        return "template-escape", Severity.CRITICAL, message
    files = [
        call
        for call in fact.calls
        if call.split(" ")[0] in ("include", "import", "fromimport", "extends") and " " in call
    ]
    if files:
        return "template-file", Severity.LOW, f"the template reads other templates: {', '.join(files)[:200]}"
    if fact.problem:
        return "template-unparsed", Severity.INFO, f"the template does not parse: {fact.problem}"
    return None
