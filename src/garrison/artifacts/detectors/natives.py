"""Judges programs by the company that they keep: with a model, under a model's name, or appended to one."""

from collections.abc import Iterator, Sequence

from garrison.artifacts.knowledge.natives import names
from garrison.core.facts import Anomaly, Examination, Native
from garrison.core.findings import Finding, Severity
from garrison.core.judgement import finding
from garrison.core.policy import Policy
from garrison.core.registry import formats

_SCRIPT = "script"


def detect(examinations: Sequence[Examination], policy: Policy) -> Iterator[Finding]:
    """Findings for native code, and for files that are two things at once."""
    places = _Places(examinations)
    for examination in examinations:
        native = next((fact for fact in examination.facts if type(fact) is Native), None)
        if native is not None:
            judged = _judge(examination, native, places)
            if judged is not None:
                yield judged
        elif _two_at_once(examination):
            known = formats()
            others = [known[name].title for name in examination.formats if _starts_otherwise(name)]
            message = f"it is {others[0]} from its start and a zip archive from its end"
            yield finding("polyglot", examination.subject, "", message)


def _two_at_once(examination: Examination) -> bool:
    """A zip behind a file of another format that does not end in one: the zip reader saw bytes before it."""
    return (
        "zip" in examination.formats
        and any(type(fact) is Anomaly and fact.what == "prefixed-data" for fact in examination.facts)
        and any(_starts_otherwise(name) for name in examination.formats)
        and not any(name in formats() and formats()[name].ends_in_zip for name in examination.formats)
    )


def _starts_otherwise(name: str) -> bool:
    """Whether a format has a beginning of its own, unlike the many that are a zip with certain members."""
    entry = formats().get(name)
    if entry is None or entry.tail:
        return False
    return entry.model if not entry.magic else any(not magic.hex.startswith("504b") for magic in entry.magic)


class _Places:
    """Where models and packages of software are."""

    def __init__(self, examinations: Sequence[Examination]) -> None:
        known = formats()
        marks = names("software_marks")
        self.archives: set[str] = set()
        """Archives that hold a model somewhere."""
        self.folders: set[str] = set()
        """Folders, also inside archives, that hold one."""
        self.models: set[str] = set()
        """Subjects that are models."""
        self.software: set[str] = set()
        """Archives and folders that are packages or projects of software."""
        self.packages: set[str] = set()
        """Folders of Python packages, which may have extension modules."""
        for examination in examinations:
            subject = examination.subject
            if any(name in known and known[name].model for name in examination.formats):
                self.models.add(subject)
                self.folders.add(_folder(subject))
                self.archives.update(_archives(subject))
            elif subject.endswith("/__init__.py"):
                self.packages.add(_folder(subject))
            elif f"/{subject}".endswith(marks):
                self.software.add(_archives(subject)[-1] if "!/" in subject else _folder(subject))

    def is_software(self, subject: str) -> bool:
        if _folder(subject) in self.packages:
            return True
        if "!/" in subject:
            return not self.software.isdisjoint(_archives(subject))
        parts = _folder(subject).split("/")
        return any("/".join(parts[:number]) in self.software for number in range(1, len(parts) + 1))


def _folder(subject: str) -> str:
    head, separator, _ = subject.rpartition("/")
    return head if separator else "."


def _archives(subject: str) -> list[str]:
    """The archives that a subject is inside of, the outermost first."""
    parts = subject.split("!/")
    return ["!/".join(parts[:number]) for number in range(1, len(parts))]


def _judge(examination: Examination, native: Native, places: _Places) -> Finding | None:
    subject = examination.subject
    script = native.form == _SCRIPT
    what = _spelled(native)
    name = subject.rpartition("/")[2].lower()
    if name.endswith(names("model_endings")) and not (script and name.endswith((".bin", ".model"))):
        return finding("executable-as-model", subject, "", f"the name is a model's, and the bytes are {what}")
    if "zip" in examination.formats or name.endswith(".llamafile"):
        carried = any(model.startswith(f"{subject}!/") for model in places.models) or name.endswith(".llamafile")
        if carried:
            return finding("executable-with-model", subject, "", f"{what} that carries a model and runs it")
        return finding("native-code", subject, "", f"{what} with an archive at its end", severity=Severity.LOW)
    if any(mark in f"/{subject}" for mark in names("by_design")):
        message = f"{what} that loading the model runs, by the design of its format"
        return finding("executable-in-model", subject, "", message, severity=Severity.MEDIUM)
    severity, where = _company(subject, places)
    if script and severity.rank > 0:
        severity = Severity.MEDIUM if severity is Severity.HIGH and "!/" in subject else Severity.INFO
    if severity.rank > Severity.LOW.rank:
        return finding("executable-in-model", subject, "", f"{what} {where}", severity=severity)
    if severity is Severity.INFO and (script or where):
        return None
    return finding("native-code", subject, "", f"{what}{' ' if where else ''}{where}", severity=severity)


def _company(subject: str, places: _Places) -> tuple[Severity, str]:
    """How unusual a program is where it is."""
    archives = _archives(subject)
    if any(name in places.models or name.lower().endswith(names("model_archives")) for name in archives):
        return Severity.HIGH, "inside a model's archive"
    if places.is_software(subject):
        beside = _folder(subject) in places.folders
        return (Severity.LOW if beside else Severity.INFO), "in a package of software"
    if any(name in places.archives for name in archives):
        if _folder(subject) in places.folders:
            return Severity.HIGH, "packed together with a model"
        return Severity.MEDIUM, "in an archive that also holds a model"
    if not archives and _folder(subject) in places.folders:
        return Severity.MEDIUM, "beside a model, in the same folder"
    return Severity.INFO, ""


def _spelled(native: Native) -> str:
    if native.form == _SCRIPT:
        return f"a script, {native.details}"
    article = "an" if native.form[:1] in "AE" else "a"
    return f"{article} {native.form}{f' ({native.details})' if native.details else ''}"
