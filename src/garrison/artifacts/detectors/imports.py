"""Judges what loading an artifact imports and calls, whatever its format.

What is known to be harmless passes; what is known to be dangerous is critical, with what an attacker does with it; what
is not known is named as unknown.
"""

import fnmatch
import re
from collections.abc import Iterator, Sequence

from garrison.artifacts.knowledge import imports as knowledge
from garrison.core.facts import Examination, Import, PackageData
from garrison.core.findings import Finding, Severity
from garrison.core.judgement import finding
from garrison.core.policy import Policy

_TELLING = frozenset(
    {"system", "popen", "Popen", "exec", "eval", "execv", "execve", "spawn", "shell", "check_output", "check_call"}
    | {"getoutput", "run_command", "runcode", "run_code", "runsource", "exec_module", "load_module", "os", "subprocess"}
    | {
        "__import__",
        "import_module",
        "__globals__",
        "__builtins__",
        "__subclasses__",
        "__class__",
        "__code__",
        "__dict__",
    }
)
"""Names that say what they do, wherever they are found."""
_IMPORTERS = frozenset({"__import__", "import_module", "_import_module", "subimport", "safeimport", "_gcd_import"})
"""Callables that import the module that their first argument names, and nothing else."""
_HARMLESS_ATTRIBUTES = frozenset(
    {"__qualname__", "__name__", "__module__", "__doc__", "__annotations__", "__defaults__"}
)
_CODE = re.compile(
    r"__import__\s*\(|\bimport\s+(?:os|sys|subprocess|socket|pty|ctypes)\b|\bos\.(?:system|popen|exec)|\bsubprocess\.|"
    r"\b(?:exec|eval|compile)\s*\(|/bin/(?:ba|z|da)?sh\b|\b(?:curl|wget)\s+\S*https?:|\brm\s+-rf?\b|\bnc\s+-\w*e|"
    r"/dev/tcp/|powershell|cmd(?:\.exe)?\s+/c|\btouch\s+/|\bchmod\s+\+?[0-7x]|\|\s*(?:ba)?sh\b",
    re.IGNORECASE,
)
"""Arguments that are program text."""
_INTERPOLATION = re.compile(r"(?:[\w.]*\$\{[A-Za-z_][\w.]*\})+[\w.]*")
"""A value of another file of the same configuration, as OmegaConf writes it."""
_SHOWN = 160


def detect(examinations: Sequence[Examination], policy: Policy) -> Iterator[Finding]:
    """One finding for each subject, rule and target: the worst, at its first place."""
    judged: dict[tuple[str, str, str, str, tuple[str, ...]], tuple[str, Severity, str] | None] = {}
    owners = _owners(examinations)
    for examination in examinations:
        own = owners.get(examination.subject, "")
        worst: dict[tuple[str, str], tuple[Severity, str, str]] = {}
        for fact in examination.facts:
            if type(fact) is not Import or fact.origin in ("python", "install"):
                continue
            key = (fact.module, fact.name, fact.origin, fact.usage, fact.arguments)
            if key not in judged:
                judged[key] = _judge(fact, policy)
            outcome = judged[key]
            if outcome is not None:
                rule, severity, message = outcome
                if own and rule == "unknown-import" and fact.module.partition(".")[0] == own:
                    # Only the package's own code reads it, which could do the same without it.
                    severity = Severity.LOW
                target = knowledge.verdict(fact.module, fact.name).target
                before = worst.get((rule, target))
                if before is None or severity.rank > before[0].rank:
                    worst[rule, target] = severity, message, before[2] if before else fact.place
        for (rule, _), (severity, message, place) in worst.items():
            yield finding(rule, examination.subject, place, message, severity=severity)


def _owners(examinations: Sequence[Examination]) -> dict[str, str]:
    """For each file that the record of an installed package lists as its data: the top module that it lies in."""
    found: dict[str, str] = {}
    for examination in examinations:
        for fact in examination.facts:
            if type(fact) is PackageData:
                root = examination.subject.rpartition("/")[0].rpartition("/")[0]
                prefix = f"{root}/" if root else ""
                found.update((prefix + path, path.partition("/")[0]) for path in fact.files)
    return found


def _judge(fact: Import, policy: Policy) -> tuple[str, Severity, str] | None:
    """The rule, severity and message for one import, or `None` where it is harmless."""
    verdict = knowledge.verdict(fact.module, fact.name)
    written = _written(fact)
    names: tuple[str, ...] = (written, verdict.target)
    if any(fnmatch.fnmatchcase(name, pattern) for pattern in policy.denied_globals for name in names):
        return "denied-import", Severity.CRITICAL, f"{written} is on the policy's list of denied globals"
    if written in policy.allowed_globals:
        return None
    if verdict.through:  # `mycompany.*` says nothing of `mycompany.os.system`, nor of `mycompany.f.__globals__`
        names = (verdict.target,)
    elif any(map(knowledge.opens, fact.name.split("."))):
        names = ()
    if any(fnmatch.fnmatchcase(name, pattern) for pattern in policy.allowed_globals for name in names):
        return None
    shown = _shown(fact, verdict.target)
    if fact.usage == "mutate":
        return "state-tampering", Severity.HIGH, f"loading alters {shown} itself, not an instance of it"
    match verdict.kind:
        case "dangerous":
            return _dangerous(fact, verdict, shown)
        case "safe":
            return None
        case "computed":
            return (
                "computed-import",
                Severity.HIGH,
                f"loading {_does(fact)} {shown}, a name that is put together on the way",
            )
        case "unlisted" if fact.origin != "keras-name":
            message = f"loading {_does(fact)} {shown} of the standard library, which honest artifacts have no use for"
            return "unlisted-standard-library-import", Severity.HIGH, message
    return _unknown(fact, shown)


def _dangerous(fact: Import, verdict: knowledge.Verdict, shown: str) -> tuple[str, Severity, str] | None:
    effect = knowledge.effect(verdict.effect)
    severity = Severity(effect.severity)
    if verdict.effect == "function":
        if fact.usage == "method":
            return "carried-function", Severity.HIGH, f"loading builds a function with {shown} and calls it"
        return "carried-function", severity, f"{shown} {effect.does}"
    if (
        fact.usage == "call"
        and verdict.effect == "import"
        and verdict.target.rpartition(".")[2] in _IMPORTERS
        and fact.arguments[:1] not in ((), ("…",))
    ):
        # The module that it names is stated, and judged, by itself.
        return None
    if verdict.effect in ("reach", "tamper") and fact.usage == "call":
        softened = _attribute(fact, verdict.target)
        if softened is not None:
            if softened is Severity.INFO:
                return None
            return "attribute-reach", softened, f"loading {_does(fact)} {shown}, which {effect.does}"
    message = f"loading {_does(fact)} {shown}, which {effect.does} ({verdict.reason})"
    if fact.origin == "hydra" and verdict.effect == "load" and fact.name == "from_pretrained":
        # A configuration that names a model of the hub is ordinary; one that trusts its Python is not.
        trusting = any(argument.startswith("trust_remote_code=True") for argument in fact.arguments)
        severity = Severity.HIGH if trusting else Severity.LOW
    return "dangerous-import", severity, message


def _attribute(fact: Import, target: str) -> Severity | None:
    """How bad it is to fetch or set this attribute of this object; `None` where nothing softens it."""
    if target in ("builtins.getattr", "builtins.setattr"):
        if len(fact.arguments) < 2 or not fact.arguments[1].startswith(("'", '"')):
            return None
        of, attribute = fact.arguments[0], fact.arguments[1].strip("'\"")
    elif target in ("operator.attrgetter", "operator.methodcaller"):
        if not fact.arguments or not fact.arguments[0].startswith(("'", '"')):
            return None
        of, attribute = "…", fact.arguments[0].strip("'\"")
    else:
        return None
    if attribute in _HARMLESS_ATTRIBUTES:
        return Severity.INFO
    if any(part in _TELLING or part.startswith("__") for part in attribute.split(".")):
        return None
    if target == "builtins.setattr":
        return Severity.MEDIUM
    # What the attribute of a known thing is, is stated and judged by itself.
    return Severity.MEDIUM if of == "…" else Severity.INFO


def _unknown(fact: Import, shown: str) -> tuple[str, Severity, str]:
    if _INTERPOLATION.fullmatch(f"{fact.module}.{fact.name}".lstrip(".")):
        return "unknown-import", Severity.MEDIUM, f"loading {_does(fact)} {shown}, which another configuration names"
    last = fact.name.rpartition(".")[2]
    if fact.usage in ("call", "method"):
        if last in _TELLING and fact.arguments:
            return (
                "suspicious-call",
                Severity.HIGH,
                f"loading calls {shown}: not a function that garrison knows, but a telling name",
            )
        for argument in fact.arguments:
            if _CODE.search(argument):
                return "suspicious-call", Severity.HIGH, f"loading calls {shown} with program text as an argument"
    if fact.origin == "keras-name":
        message = f"the model needs {_written(fact)}, which the program that loads it must supply"
        return "custom-object", Severity.LOW, message
    if fact.origin == "keras-lambda":
        return "lambda-function", Severity.HIGH, f"a Lambda layer calls {shown}, which is no part of Keras"
    # A file `serve-model.py` is imported by that name, though no statement can write it.
    if not all(part.isidentifier() for part in f"{fact.module.replace('-', '_')}.{last}".split(".") if part):
        return (
            "suspicious-call",
            Severity.HIGH,
            f"loading {_does(fact)} {shown}, which is no name that Python can import",
        )
    where = "the program's own __main__" if fact.module == "__main__" else "a module that garrison does not know"
    return (
        "unknown-import",
        Severity.MEDIUM,
        f"loading {_does(fact)} {shown} of {where}; nothing is known of what it does",
    )


def _does(fact: Import) -> str:
    return {
        "reference": "imports",
        "call": "calls",
        "method": "calls what it gets from",
        "state": "sets the state of an instance of",
        "mutate": "alters",
    }[fact.usage]


def _written(fact: Import) -> str:
    """The name as it stands in the artifact; of an import of a module, the module."""
    return ".".join(part for part in (fact.module, fact.name) if part)


def _shown(fact: Import, target: str) -> str:
    written = _written(fact)
    text = f"{written}({', '.join(fact.arguments)})" if fact.usage == "call" else written
    if len(text) > _SHOWN:
        text = text[: _SHOWN - 1] + "…"
    return text if target == written else f"{text} ({target})"
