"""Judges how an image is configured and built, and the permissions of the files in it."""

import datetime
import re
from collections.abc import Iterator, Sequence

from garrison.core.facts import Examination, FileMode, Setting
from garrison.core.findings import Finding, Severity
from garrison.core.judgement import finding
from garrison.core.policy import Policy
from garrison.dependencies.knowledge import images
from garrison.dependencies.knowledge.ports import ports
from garrison.dependencies.wording import first_of

_ROOT = re.compile(r"(?:root|0+)?(?::.*)?")
_PORTS = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?(?:/tcp)?")
_SHOWN = 5
_MOST_PORTS = 1024
_EPOCH_YEARS = 1990
"""Reproducible builds date their images to 1970 or 1980, which tells nothing."""


def detect(examinations: Sequence[Examination], policy: Policy) -> Iterator[Finding]:
    """Findings for each image, and for each file system whose permissions are known."""
    for examination in examinations:
        settings = [fact for fact in examination.facts if type(fact) is Setting]
        started = " ".join(fact.value for fact in settings if fact.topic == "image-command").lower()
        for fact in settings:
            yield from _setting(examination.subject, fact, started, policy)
        modes = [fact for fact in examination.facts if type(fact) is FileMode]
        yield from _privileged(examination.subject, modes)
        yield from _writable(examination.subject, modes)


def _setting(subject: str, fact: Setting, started: str, policy: Policy) -> Iterator[Finding]:
    known = images.known()
    if fact.topic == "image-user" and _ROOT.fullmatch(fact.value.strip()):
        who = f"the user is {fact.value!r}" if fact.value else "no user is set"
        yield finding("image-root-user", subject, "User", f"{who}, so that a container runs as root")
    elif fact.topic == "exposed-port":
        yield from _port(subject, fact.name, started)
    elif fact.topic == "image-variable":
        if fact.value and images.compiled(known.variables.pattern).search(fact.name.upper()):
            message = f"the variable {fact.name} has a value ({fact.value}), which everybody with the image can read"
            yield finding("image-credential-variable", subject, f"variable {fact.name}", message)
    elif fact.topic == "image-command":
        for step in images.matching(fact.value, known.commands):
            message = f"{fact.name} {step.does}: {step.reason}"
            yield finding("image-open-server", subject, fact.name, message, severity=Severity(step.severity))
    elif fact.topic == "image-history":
        for step in images.matching(fact.value, known.build_steps):
            message = f"a build step {step.does}: {_excerpt(fact.value, step.pattern)}"
            yield finding("image-build-step", subject, fact.name, message, severity=Severity(step.severity))
    elif fact.topic == "image-created":
        yield from _age(subject, fact.value, policy)


def _excerpt(command: str, pattern: str) -> str:
    match = images.compiled(pattern).search(command)
    return repr(match[0][:120]) if match is not None else ""


def _port(subject: str, exposed: str, started: str) -> Iterator[Finding]:
    """What is known of a port. To expose it does not publish it yet, so it weighs less than on a host."""
    match = _PORTS.fullmatch(exposed)
    if match is None:
        return
    first, last = int(match[1]), int(match[2] or match[1])
    for number in range(first, min(last, first + _MOST_PORTS) + 1):
        entry = ports().get(number)
        if entry is None:
            continue
        certain = entry.alone or any(name in started for name in entry.processes)
        severity = Severity.INFO
        if entry.severity.rank >= Severity.HIGH.rank:
            severity = Severity.MEDIUM if certain else Severity.LOW
        elif not certain:
            continue
        which = "that of" if certain else "perhaps that of"
        message = f"port {number} is exposed, {which} {entry.product}: whoever reaches it can {entry.power}"
        yield finding("image-exposed-port", subject, f"port {number}", message, severity=severity)


def _age(subject: str, created: str, policy: Policy) -> Iterator[Finding]:
    try:
        day = datetime.date.fromisoformat(created[:10])
    except ValueError:
        return
    days = (datetime.datetime.now(datetime.UTC).date() - day).days
    if day.year > _EPOCH_YEARS and days > policy.packages.days_behind:
        message = f"it was built on {day}, {days} days ago: what was fixed since is not in it"
        yield finding("image-old", subject, "created", message)


def _privileged(subject: str, modes: Sequence[FileMode]) -> Iterator[Finding]:
    ordinary = images.known().privileged.names
    usual: list[str] = []
    for fact in modes:
        if fact.directory or not fact.mode & 0o6000 or not fact.mode & 0o111:
            continue
        name = fact.path.rpartition("/")[2]
        bits = " and ".join(word for word, bit in (("setuid", 0o4000), ("setgid", 0o2000)) if fact.mode & bit)
        if fact.mode & 0o002:
            message = f"{fact.path} is {bits}, and everybody can change it"
            yield finding("privileged-file", subject, fact.path, message, severity=Severity.HIGH)
        elif name in ordinary:
            usual.append(name)
        elif fact.package:
            message = f"{fact.path} is {bits}, from the package {fact.package}"
            yield finding("privileged-file", subject, fact.path, message, severity=Severity.LOW)
        else:
            whose = "root" if fact.owner == 0 else f"user {fact.owner}"
            yield finding(
                "privileged-file", subject, fact.path, f"{fact.path} is {bits} of {whose}, of no package known"
            )
    if usual:
        number = f"{len(usual)} programs are" if len(usual) > 1 else "one program is"
        message = f"{number} setuid or setgid, as everywhere: {first_of(usual, _SHOWN)}"
        yield finding("privileged-file", subject, "", message, severity=Severity.INFO)


def _writable(subject: str, modes: Sequence[FileMode]) -> Iterator[Finding]:
    for directory in (False, True):
        paths = [fact.path for fact in modes if fact.directory == directory and fact.mode & 0o002]
        paths = [path for path in paths if not path.startswith(("/tmp/", "/var/tmp/", "/dev/", "/proc/", "/run/"))]
        if paths:
            kind = "folder" if directory else "file"
            number = f"{len(paths)} {kind}s" if len(paths) > 1 else f"one {kind}"
            message = f"everybody can change {number}: {first_of(paths, _SHOWN)}"
            yield finding("world-writable", subject, "folders" if directory else "files", message)
