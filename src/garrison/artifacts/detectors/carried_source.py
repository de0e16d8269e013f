"""Judges Python source where a model needs it: code that a loader runs, and what that imports from beside it."""

import posixpath
from collections.abc import Iterator, Sequence

from garrison.artifacts.knowledge import source_calls
from garrison.core.facts import Examination, Import, Reference
from garrison.core.findings import Finding, Severity
from garrison.core.judgement import finding
from garrison.core.policy import Policy

_ARCHIVE_MARKS = {
    "MAR-INF/MANIFEST.json": "runs as the archive's handler",
    ".data/extern_modules": "runs as a module of the package",
}
_RUN_BY_NAME = {
    "handler.py": ("config.json", "runs as the handler of an inference endpoint"),
    "custom_generate/generate.py": ("config.json", "runs as custom generation code"),
    "code/inference.py": ("", "runs as the inference script of SageMaker"),
}
"""Files that servers run because of their names, with a file that must be beside them."""


def detect(examinations: Sequence[Examination], policy: Policy) -> Iterator[Finding]:
    """Findings for source that runs when the model does; other source is left to those who run it."""
    sources = {e.subject: e for e in examinations if "python" in e.formats}
    every = {e.subject for e in examinations}
    yield from _missing(examinations, every)
    if not sources:
        return
    for subject, why in _reached(sources, _roots(examinations, sources, every)).items():
        yield from _judge(sources[subject], why)


def _folder(subject: str) -> str:
    """The folder of a subject, with its last slash."""
    return subject[: subject.rfind("/") + 1]


def _local(fact: Reference) -> str | None:
    """The path of the module that an `auto_map` entry names, where that is beside the configuration."""
    if fact.role != "remote-code" or "--" in fact.target or "/" in fact.target:
        return None
    module = fact.target.rpartition(".")[0]
    return module.replace(".", "/") + ".py" if module else None


def _missing(examinations: Sequence[Examination], every: set[str]) -> Iterator[Finding]:
    for examination in examinations:
        folder = _folder(examination.subject)
        if not any(subject.startswith(folder) and subject != examination.subject for subject in every):
            continue
        for fact in examination.facts:
            if type(fact) is Reference and (module := _local(fact)) is not None and folder + module not in every:
                message = f"{fact.detail or 'the configuration'} names {fact.target}, but {module} is not beside it"
                yield finding("missing-remote-code", examination.subject, fact.place, message)


def _roots(examinations: Sequence[Examination], sources: dict[str, Examination], every: set[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for examination in examinations:
        folder = _folder(examination.subject)
        for mark, why in _ARCHIVE_MARKS.items():
            if examination.subject.endswith(mark):
                top = examination.subject[: -len(mark)]
                found.update((one, why) for one in sources if one.startswith(top))
        for fact in examination.facts:
            if type(fact) is not Reference:
                continue
            if (module := _local(fact)) is not None:
                found.setdefault(folder + module, "runs as remote code")
            elif fact.role == "code-file":
                path = posixpath.normpath(folder + fact.target) if folder else posixpath.normpath(fact.target)
                why = f"runs with the model ({fact.detail})" if fact.detail else "runs with the model"
                found.setdefault(path, why)
                found.update((one, why) for one in sources if one.startswith(path + "/"))
    for subject in sources:
        for name, (beside, why) in _RUN_BY_NAME.items():
            top = subject[: -len(name)]
            if subject == top + name and top[-1:] in ("/", "") and (not beside or top + beside in every):
                found.setdefault(subject, why)
    return found


def _reached(sources: dict[str, Examination], roots: dict[str, str]) -> dict[str, str]:
    """The roots that exist, and all source that they import from beside them."""
    reached: dict[str, str] = {}
    pending = [(subject, why) for subject, why in roots.items() if subject in sources]
    while pending:
        subject, why = pending.pop()
        if subject in reached:
            continue
        reached[subject] = why
        folder = _folder(subject)
        for fact in sources[subject].facts:
            if type(fact) is Reference and fact.role == "source-import":
                path = (
                    folder + fact.target
                    if not fact.target.startswith("..")
                    else posixpath.normpath(folder + fact.target)
                )
                imported = f"{why.removesuffix(', imported by other code')}, imported by other code"
                pending += [(one, imported) for one in (f"{path}.py", f"{path}/__init__.py") if one in sources]
    return reached


def _judge(examination: Examination, why: str) -> Iterator[Finding]:
    for fact in examination.facts:
        if type(fact) is not Import or fact.origin != "python":
            continue
        name = f"{fact.module}.{fact.name}"
        group = source_calls.dangerous(name)
        if group is None:
            continue
        severity = Severity(group.using if fact.deferred else group.loading)
        when = "in a function that is called later" if fact.deferred else "while it is loaded"
        given = f"({', '.join(fact.arguments)})" if fact.arguments else ""
        verb = "calls" if fact.usage == "call" else "hands on"
        message = f"Python that {why} {verb} {name}{given[:120]}, which {group.does}, {when}"
        yield finding("dangerous-carried-source", examination.subject, fact.place, message, severity=severity)
