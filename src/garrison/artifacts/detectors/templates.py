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
_JINJA_PRIVATE = frozenset(
    {"_TemplateReference__context", "_Namespace__attrs", "_func", "_environment", "_iterable", "_iterator", "_after"}
    | {"_undefined", "_undefined_name", "_undefined_obj", "_undefined_hint", "_undefined_exception", "_block", "_stack"}
    | {"_context", "_depth", "_render", "_recurse", "_module", "_formatter_parser", "_fail_with_undefined_error"}
)
"""What Jinja's own objects hold behind an underscore: their subscripts reach attributes too."""
_INTERNAL = frozenset(
    {"func_closure", "func_code", "func_dict", "func_defaults", "func_globals", "im_class", "im_func", "im_self"}
    | {"gi_frame", "gi_code", "cr_frame", "cr_code", "ag_code", "ag_frame", "mro"}
)
"""Attributes without underscores that Jinja's sandbox refuses, by `jinja2/sandbox.py`."""
_CALLED = frozenset(
    {"eval", "exec", "getattr", "setattr", "open", "compile", "__import__", "import_module", "globals", "vars"}
)
_SYSTEM = frozenset(
    {"popen", "system", "Popen", "check_output", "subprocess", "urlopen", "environ", "builtins", "importlib"}
)
_SERVER = re.compile(
    r"(?:request|session|get_flashed_messages|url_for|current_app)\.\w.*|"
    r"config\.(?:[A-Z][A-Z0-9_]{2,}|items|from_object|from_pyfile|from_envvar|root_path)|self\._\w+|g\.(?:pop|get|_\w+)"
)
"""Objects that a web server puts into templates; nothing that renders a model's template has them to give."""
_WEB_PAGES = (".html", ".htm", ".xhtml")
"""What a web server renders itself, so that its objects are at home there."""


def detect(examinations: Sequence[Examination], policy: Policy) -> Iterator[Finding]:
    """One finding for each template that reaches what it has no need for, and one for what it would cost."""
    for examination in examinations:
        for fact in examination.facts:
            if type(fact) is not Template:
                continue
            if (outcome := _judge(fact)) is not None:
                rule, severity, message = outcome
                if rule == "template-server-object" and examination.subject.lower().endswith(_WEB_PAGES):
                    severity = Severity.LOW
                yield finding(rule, examination.subject, fact.place, message, severity=severity)
            if fact.costs:
                message = f"rendering it takes the server's time or memory: {'; '.join(fact.costs)[:300]}"
                yield finding("template-cost", examination.subject, fact.place, message)


def _judge(fact: Template) -> tuple[str, Severity, str] | None:
    return _escape(fact) or _opaque(fact) or _rest(fact)


def _escape(fact: Template) -> tuple[str, Severity, str] | None:
    """Names from which every function of the process is a few steps away."""
    parts = {part for call in fact.calls for part in call.split(".")}
    every = dict.fromkeys([*fact.attributes, *fact.items, *sorted(parts)])
    attributes = {*fact.attributes, *(part for part in parts if part.startswith("__"))}
    reached = [name for name in every if _DUNDER.fullmatch(name) or (name in _ESCAPES and name in attributes)]
    called = [call for call in fact.calls if call in _CALLED]
    if not reached and not called:
        return None
    system = sorted(_SYSTEM & every.keys())
    goal = f", on to {', '.join(system)}" if system else ""
    names = ", ".join(dict.fromkeys(reached + called))[:200]
    return "template-escape", Severity.CRITICAL, f"the template reaches {names}{goal}: {fact.excerpt!r}"


def _opaque(fact: Template) -> tuple[str, Severity, str] | None:
    """What a sandbox refuses, or what only rendering tells."""
    private = (
        [name for name in fact.attributes if name.startswith("_") or name in _INTERNAL] if not fact.problem else []
    )
    private += [name for name in fact.items if name in _JINJA_PRIVATE or name in _INTERNAL]
    if private:
        names = ", ".join(dict.fromkeys(private))[:200]
        message = f"the template reaches {names}, which Jinja's sandbox refuses: {fact.excerpt!r}"
        return "template-escape", Severity.HIGH, message
    if fact.computed:
        message = f"what the template reaches only shows when it is rendered: {'; '.join(fact.computed)[:200]}"
        return "template-computed", Severity.HIGH, message
    return None


def _rest(fact: Template) -> tuple[str, Severity, str] | None:
    server = [path for path in fact.paths if _SERVER.fullmatch(path)]
    if server:
        message = f"the template reads what a web server keeps: {', '.join(server)[:200]}"
        return "template-server-object", Severity.MEDIUM, message
    files = [
        call
        for call in fact.calls
        if call.split(" ")[0] in ("include", "import", "fromimport", "extends") and " " in call
    ]
    if files:
        leaving = any(".." in name or name.split(" ", 1)[1].startswith("/") for name in files)
        severity = Severity.MEDIUM if leaving else Severity.LOW
        return "template-file", severity, f"the template reads other templates: {', '.join(files)[:200]}"
    if fact.problem:
        severity = Severity.MEDIUM if fact.problem.startswith("longer than") else Severity.INFO
        return "template-unparsed", severity, f"the template does not parse: {fact.problem}"
    return None
