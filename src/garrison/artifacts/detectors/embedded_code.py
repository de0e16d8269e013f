"""Judges code that artifacts carry: when it runs, and what it refers to."""

from collections.abc import Iterator, Sequence

from garrison.artifacts.knowledge import imports as knowledge
from garrison.artifacts.knowledge import languages
from garrison.core.facts import EmbeddedCode, Examination
from garrison.core.findings import Finding, Severity
from garrison.core.judgement import finding
from garrison.core.policy import Policy

_WHEN = {"load": "runs when the artifact is loaded", "use": "runs when the model is used", "carried": "is carried"}
_MODULES = frozenset({"os", "subprocess", "socket", "ctypes", "pty", "shutil", "importlib", "sys"})
_TELLING = frozenset({"system", "popen", "Popen", "check_output", "urlopen", "b64decode"})
_REACHING = frozenset(
    {"getattr", "vars", "globals", "__dict__", "__import__", "import_module", "attrgetter", "methodcaller", "modules"}
)
"""Ways to an attribute whose name stands nowhere in the code."""
_BENIGN_EFFECTS = frozenset({"function", "process", "inspect"})
_MILD_EFFECTS = _BENIGN_EFFECTS | {"read", "reach", "tamper"}
"""What ordinary functions do as well: where they only run when the model is used, they weigh no more than any code."""


def detect(examinations: Sequence[Examination], policy: Policy) -> Iterator[Finding]:
    """One finding for each piece of code that runs with the artifact, or that does something dangerous."""
    for examination in examinations:
        seen: set[tuple[str, str]] = set()
        for fact in examination.facts:
            if type(fact) is not EmbeddedCode:
                continue
            rule, severity, message = _judge(fact)
            if severity is not None and (rule, message) not in seen:
                seen.add((rule, message))
                yield finding(rule, examination.subject, fact.place, message, severity=severity)


def _judge(fact: EmbeddedCode) -> tuple[str, Severity | None, str]:
    said = f"{fact.language} code ({fact.form}) {_WHEN[fact.trigger]}"
    if languages.is_known(fact.language):
        return _by_language(fact, said)
    dangerous = [does for name in fact.names if (does := _dangerous(name, fact)) is not None]
    if dangerous:
        severity = Severity.LOW if fact.trigger == "carried" else Severity.CRITICAL
        return "dangerous-embedded-code", severity, f"{said}; it refers to {', '.join(dict.fromkeys(dangerous))[:300]}"
    names = f"; it refers to {', '.join(fact.names[:6])}" if fact.names else ""
    if fact.trigger == "carried":
        return "embedded-code", None, said
    if "code object" in fact.form or "function" in fact.form:
        # The functions of dill and cloudpickle are stated as imports too, and judged there.
        return "embedded-code", Severity.MEDIUM if fact.trigger == "use" else Severity.HIGH, f"{said}{names}"
    return "embedded-code", Severity.HIGH, f"{said}{names}"


def _by_language(fact: EmbeddedCode, said: str) -> tuple[str, Severity | None, str]:
    """Code of a language whose functions `languages.json` knows."""
    language, trigger = fact.language, fact.trigger
    shown = f": {fact.excerpt[:160]}" if fact.excerpt else ""
    graded = [(name, grade) for name in fact.names if (grade := languages.severity(language, name, trigger))]
    if graded:
        worst = max((grade for _, grade in graded), key=lambda grade: grade.rank)
        said = f"{said}; it calls " + ", ".join(
            f"{name} (which {languages.does(language, name)})" for name, _ in graded[:6]
        )
        return "dangerous-embedded-code", worst, f"{said}{shown}"
    safe = all(languages.is_safe(language, name) for name in fact.names)
    return "embedded-code", languages.severity_without(language, trigger, safe=safe), f"{said}{shown}"


def _dangerous(name: str, fact: EmbeddedCode) -> str | None:
    """The name with what it does, where that is dangerous."""
    if "." in name:
        verdict = knowledge.verdict(*name.split(".", 1))
        mild = _BENIGN_EFFECTS if fact.trigger == "load" else _MILD_EFFECTS
        if verdict.kind == "dangerous" and verdict.effect not in mild:
            return f"{name} (which {knowledge.effect(verdict.effect).does})"
        return None
    if name in _MODULES:
        # What ordinary code takes from these two is judged by its own name, unless that is made up on the way.
        ordinary = name in ("os", "sys") and fact.trigger != "load" and len(fact.names) > 1
        return None if ordinary and _REACHING.isdisjoint(fact.names) else f"the module {name}"
    if name in _TELLING or (name.startswith("__") and knowledge.opens(name)):
        return name
    verdict = knowledge.verdict("builtins", name)
    if (
        verdict.kind != "dangerous"
        or verdict.effect in _BENIGN_EFFECTS
        or (name.startswith("__") and name != "__import__")
    ):
        return None
    runs = verdict.effect in ("code", "command", "import") and name not in ("apply", "compile", "input")
    if fact.trigger == "load" or runs:
        return f"{name} (which {knowledge.effect(verdict.effect).does})"
    return None
