"""Judges where the packages that an artifact asks for are to come from."""

import functools
import ipaddress
import os
import posixpath
import re
from collections.abc import Iterator, Sequence

import msgspec

from garrison.core.facts import Examination, Package, Reference, Requirement
from garrison.core.findings import Finding, Severity
from garrison.core.judgement import finding
from garrison.core.policy import Policy

_URL = re.compile(
    r"^(?:(?:git|hg|svn|bzr)\+)?([A-Za-z][A-Za-z0-9.\-]*)(?:\+[a-z]+)?://(?:[^/@]*@)?(\[[^\]]*\]|[^/:?#]*)(:\d+)?([^?#]*)"
)
_REVISION = re.compile(r"@[0-9a-f]{7,64}(?:$|#)")
_COMMIT = re.compile(r"[@#](?:commit=|semver:)?[0-9a-f]{40}(?:[0-9a-f]{24})?(?:$|[#&])")
_NAMED = 5
_HASH = re.compile(r"#.*(?:sha256|sha384|sha512)=[0-9a-f]{16,}")


class _Known(msgspec.Struct, frozen=True):
    reason: str
    indexes: tuple[str, ...]
    forges: tuple[str, ...]
    channels: frozenset[str]


@functools.cache
def _known() -> _Known:
    path = os.path.join(os.path.dirname(os.path.dirname(__file__)), "knowledge", "package_indexes.json")
    with open(path, "rb") as file:
        return msgspec.json.decode(file.read(), type=_Known)


def detect(examinations: Sequence[Examination], policy: Policy) -> Iterator[Finding]:
    """Findings for indexes and sources that whoever controls them can put any package into."""
    for examination in examinations:
        seen: set[tuple[str, str]] = set()
        for fact in examination.facts:
            outcome: tuple[str, Severity, str] | None = None
            if type(fact) is Reference and fact.role in ("package-index", "requirement-file"):
                outcome = _index(fact.target, fact.detail)
            elif type(fact) is Requirement and fact.source:
                outcome = _source(fact)
            if outcome is not None and outcome[0::2] not in seen:
                rule, severity, message = outcome
                seen.add((rule, message))
                yield finding(rule, examination.subject, fact.place, message, severity=severity)
        yield from _locked(examination)


def _locked(examination: Examination) -> Iterator[Finding]:
    """One finding for each place that packages of a lock come from, as there may be hundreds of one kind."""
    origins: dict[tuple[str, Severity, str], list[Package]] = {}
    for fact in examination.facts:
        if type(fact) is Package and fact.source and (outcome := _origin(fact)):
            origins.setdefault(outcome, []).append(fact)
    for (rule, severity, text), packages in origins.items():
        names = list(dict.fromkeys(f"{one.name} {one.version}" for one in packages))
        some = ", ".join(names[:_NAMED]) + (", …" if len(names) > _NAMED else "")
        what = f"the package {some} is" if len(names) == 1 else f"{len(names)} packages ({some}) are"
        yield finding(rule, examination.subject, packages[0].place, f"{what} {text}", severity=severity)


def _origin(fact: Package) -> tuple[str, Severity, str] | None:
    """The rule, and what it says of the source; a hash of the file guards against all but who wrote the lock."""
    location, pinned = fact.source, bool(fact.hashes or _COMMIT.search(fact.source))
    if location.startswith("git@"):
        return None if pinned else ("package-source", Severity.LOW, "fetched over ssh, from a branch or tag")
    found = _URL.match(location)
    if found is None or found[1].lower() == "file":
        outcome = _path(found[4] if found else location, "", "package-source")
        return ("package-source", outcome[1], f"taken from {location!r}, outside the project") if outcome else None
    scheme, host, path = found[1].lower(), found[2].lower(), found[4]
    place = f"{scheme}://{host}{found[3] or ''}"
    if danger := _danger(scheme, host):
        return "package-source", Severity.LOW if pinned else Severity.HIGH, f"taken from {place}, which {danger}"
    if _among(host, path, (*_known().indexes, *_known().forges)):
        if pinned or not re.match(r"(?:git|hg|svn|bzr)\+", location):
            return None
        return "package-source", Severity.LOW, f"taken from {place}, whatever a branch or tag holds on the day"
    if pinned:
        return "package-source", Severity.LOW, f"taken from {place}, which is no well-known index"
    return "package-source", Severity.MEDIUM, f"taken from {place}, no well-known index, and nothing pins the content"


def _index(target: str, option: str) -> tuple[str, Severity, str] | None:
    what = f"{option or 'a package index'} {target!r}"
    if option == "--trusted-host":
        message = f"{what} turns the check of that host's certificate off, so that anyone on the way can answer for it"
        return "package-index", Severity.MEDIUM, message
    if option == "channel" and target in _known().channels:
        return None
    found = _URL.match(target)
    if found is None:
        if option == "channel":
            return "package-index", Severity.LOW, f"{what} is not one of the widely used conda channels"
        return _path(target, what, "package-index")
    scheme, host, path = found[1].lower(), found[2].lower(), found[4]
    if scheme == "file":
        return _path(path, what, "package-index")
    danger = _danger(scheme, host)
    if danger:
        return "package-index", Severity.HIGH, f"{what} {danger}"
    if "$" in host or "{" in host or _among(host, path, _known().indexes):
        return None
    if option.lstrip("-")[:1] in "rc" and _among(host, path, _known().forges):
        return "package-index", Severity.LOW, f"{what} is whatever its branch or tag holds on the day"
    message = f"{what} is not a well-known index: whoever runs it can answer for any package name"
    return "package-index", Severity.MEDIUM, message


def _danger(scheme: str, host: str) -> str:
    if scheme in ("http", "ftp", "git", "svn") and host not in ("localhost",):
        return f"is fetched over plain {scheme}, which anyone on the way can alter"
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return ""
    return "" if address.is_loopback else "is a bare address, as attackers use and package indexes do not"


def _among(host: str, path: str, known: Sequence[str]) -> bool:
    return any(f"{host}{path}/".startswith(f"{one}/") or host.endswith(f".{one}") for one in known)


def _source(fact: Requirement) -> tuple[str, Severity, str] | None:
    location = fact.source
    what = f"the package {fact.name!r} is taken from {location!r}" if fact.name != location else f"{location!r}"
    if location.startswith("git@"):
        return "package-source", Severity.LOW, f"{what} is fetched over ssh, from whatever the branch holds on the day"
    found = _URL.match(location)
    if found is None:
        return _path(location, what, "package-source")
    scheme, host, path = found[1].lower(), found[2].lower(), found[4]
    if scheme == "file":
        return _path(path, what, "package-source")
    danger = _danger(scheme, host)
    if danger:
        return "package-source", Severity.HIGH, f"{what}, and it {danger}"
    pinned = bool(_REVISION.search(location) or _HASH.search(location))
    if _among(host, path, (*_known().indexes, *_known().forges)):
        if pinned or not re.match(r"(?:git|hg|svn|bzr)\+", location):
            return None
        return "package-source", Severity.LOW, f"{what}, whatever its branch or tag holds on the day"
    if pinned:
        return "package-source", Severity.LOW, f"{what}, which is no well-known index"
    return "package-source", Severity.MEDIUM, f"{what}, which is no well-known index, and nothing pins its content"


def _path(path: str, what: str, rule: str) -> tuple[str, Severity, str] | None:
    plain = path.replace("\\", "/")
    absolute = plain.startswith(("/", "~")) or re.match(r"^[A-Za-z]:/", plain)
    if absolute or posixpath.normpath(plain).split("/")[0] == "..":
        return rule, Severity.LOW, f"{what} lies on the author's machine, outside the artifact"
    return None
