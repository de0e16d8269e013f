"""Judges code that artifacts carry: when it runs, and what it refers to."""

from collections.abc import Iterator, Sequence

from garrison.artifacts.knowledge import imports as knowledge
from garrison.core.facts import EmbeddedCode, Examination
from garrison.core.findings import Finding, Severity
from garrison.core.judgement import finding
from garrison.core.policy import Policy

_SHELL_NAMES = {
    "r": frozenset(
        {
            "system",
            "system2",
            "shell",
            "eval",
            "source",
            "download.file",
            "url",
            "file.remove",
            "unlink",
            "Sys.setenv",
            "parse",
        }
    ),
    "lua": frozenset(
        {"os.execute", "io.popen", "os.remove", "loadstring", "load", "dofile", "require", "package.loadlib", "io.open"}
    ),
    "torchscript": frozenset(),
}
_BENIGN_EFFECTS = frozenset({"function", "process", "inspect"})


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
    dangerous = [does for name in fact.names if (does := _dangerous(fact.language, name)) is not None]
    what = f"{fact.language} code ({fact.form})"
    when = {"load": "runs when the artifact is loaded", "use": "runs when the model is used", "carried": "is carried"}
    said = f"{what} {when[fact.trigger]}"
    if dangerous:
        severity = Severity.MEDIUM if fact.trigger == "carried" else Severity.CRITICAL
        return "dangerous-embedded-code", severity, f"{said}; it refers to {', '.join(dict.fromkeys(dangerous))[:300]}"
    names = f"; it refers to {', '.join(fact.names[:6])}" if fact.names else ""
    if fact.trigger == "carried":
        return "embedded-code", None, said
    if "pickled code object" in fact.form or "function" in fact.form:
        # The functions of dill and cloudpickle are stated as imports too, and judged there.
        return "embedded-code", Severity.MEDIUM if fact.trigger == "use" else Severity.HIGH, f"{said}{names}"
    return "embedded-code", Severity.HIGH, f"{said}{names}"


def _dangerous(language: str, name: str) -> str | None:
    """The name with what it does, where that is dangerous."""
    if language in _SHELL_NAMES:
        return name if name in _SHELL_NAMES[language] else None
    if "." in name:
        verdict = knowledge.verdict(*name.split(".", 1))
    else:
        verdict = knowledge.verdict("builtins", name)
        if verdict.kind != "dangerous" and name in (
            "os",
            "subprocess",
            "socket",
            "ctypes",
            "pty",
            "shutil",
            "importlib",
            "sys",
        ):
            return f"the module {name}"
        if verdict.kind != "dangerous" and name in ("system", "popen", "Popen", "check_output", "urlopen", "b64decode"):
            return name
    if verdict.kind == "dangerous" and verdict.effect not in _BENIGN_EFFECTS:
        return f"{name} (which {knowledge.effect(verdict.effect).does})"
    return None
