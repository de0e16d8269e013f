"""Judges where the packages that an artifact asks for are to come from."""

import functools
import ipaddress
import posixpath
import re
from collections.abc import Callable, Iterator, Sequence, Set

from garrison.core.facts import Examination, Package, Reference, Requirement
from garrison.core.findings import Finding, Severity
from garrison.core.judgement import finding
from garrison.core.policy import Policy
from garrison.dependencies.knowledge.package_indexes import among, known
from garrison.dependencies.manifests import joined
from garrison.dependencies.wording import first_of

_URL = re.compile(
    r"^(?:(?:git|hg|svn|bzr)\+)?([A-Za-z][A-Za-z0-9.\-]*)(?:\+[a-z]+)?://(?:[^/@]*@)?(\[[^\]]*\]|[^/:?#]*)(:\d+)?([^?#]*)"
)
_REVISION = re.compile(r"@[0-9a-f]{7,64}(?:$|#)")
_COMMIT = re.compile(r"[@#](?:commit=|semver:)?[0-9a-f]{40}(?:[0-9a-f]{24})?(?:$|[#&])")
_NAMED = 5
_SHOWN = 200
_Folders = Callable[[], Set[str]]
_HASH = re.compile(r"#.*(?:sha256|sha384|sha512)=[0-9a-f]{16,}")


def detect(examinations: Sequence[Examination], policy: Policy) -> Iterator[Finding]:
    """Findings for indexes and sources that whoever controls them can put any package into."""
    read = {examination.subject for examination in examinations}
    # Few scans have packages that lie in folders, and a large one has very many folders.
    folders = functools.cache(lambda: frozenset(subject[:end] for subject in read for end in _slashes(subject)))
    for examination in examinations:
        seen: set[tuple[str, str]] = set()
        for place, (rule, severity, message) in _asked(examination, read):
            if (rule, message) not in seen:
                seen.add((rule, message))
                yield finding(rule, examination.subject, place, message, severity=severity)
        yield from _outside(examination, folders)
        yield from _locked(examination, folders)


def _slashes(subject: str) -> Iterator[int]:
    """Where the folders end that a subject lies in."""
    return (end for end, letter in enumerate(subject) if letter == "/" and subject[end - 1 : end] != "!")


def _asked(examination: Examination, read: Set[str]) -> Iterator[tuple[str, tuple[str, Severity, str]]]:
    facts = examination.facts
    indexes = {fact.target for fact in facts if type(fact) is Reference and fact.role == "package-index"}
    for fact in facts:
        outcome: tuple[str, Severity, str] | None = None
        if type(fact) is Reference and fact.role in ("package-index", "requirement-file"):
            if fact.role == "package-index" or joined(examination.subject, fact.target) not in read:
                outcome = _index(fact.target, fact.detail)
        elif type(fact) is Reference and fact.role == "package" and not fact.target.startswith("file:"):
            # What an installer recorded; packages under development are linked to folders of the same machine.
            outcome = _source(Requirement(ecosystem="pypi", name=fact.detail, source=fact.target))
        elif type(fact) is Requirement and fact.source and fact.source not in indexes:
            channel = fact.ecosystem == "conda" and not fact.specifier.startswith("==")
            outcome = _index(fact.source, "channel") if channel else _source(fact)
        if outcome is not None:
            yield fact.place, outcome


def _outside(examination: Examination, folders: _Folders) -> Iterator[Finding]:
    """One finding for all packages that lie on the author's machine: `pip freeze` writes them by the dozen."""
    found = [
        fact
        for fact in examination.facts
        if type(fact) is Requirement and fact.source and _is_outside(fact.source, examination.subject, folders)
    ]
    if found:
        names = list(dict.fromkeys(fact.name[:_SHOWN] for fact in found))
        some = first_of(names, _NAMED)
        what = f"the package {some} is" if len(names) == 1 else f"{len(names)} packages ({some}) are"
        message = f"{what} taken from the author's machine, outside of what was scanned: {found[0].source[:_SHOWN]!r}"
        yield finding("package-source", examination.subject, found[0].place, message, severity=Severity.LOW)


def _is_outside(location: str, subject: str, folders: _Folders) -> bool:
    """Whether a path leaves what was scanned, or the folder that names it where that is all that was."""
    url = _URL.match(location)
    if location.startswith("git@") or (url and url[1].lower() != "file"):
        return False
    path = url[4] if url else location
    target = joined(subject, path)
    return _path(path, "", "") is not None and target not in folders() and target != "."


def _locked(examination: Examination, folders: _Folders) -> Iterator[Finding]:
    """One finding for each place that packages of a lock come from, as there may be hundreds of one kind."""
    origins: dict[tuple[str, Severity, str], list[Package]] = {}
    for fact in examination.facts:
        if type(fact) is Package and fact.source and (outcome := _origin(fact, examination.subject, folders)):
            origins.setdefault(outcome, []).append(fact)
    for (rule, severity, text), packages in origins.items():
        names = list(dict.fromkeys(f"{one.name} {one.version}" for one in packages))
        some = ", ".join(names[:_NAMED]) + (", …" if len(names) > _NAMED else "")
        what = f"the package {some} is" if len(names) == 1 else f"{len(names)} packages ({some}) are"
        yield finding(rule, examination.subject, packages[0].place, f"{what} {text}", severity=severity)


def _origin(fact: Package, subject: str, folders: _Folders) -> tuple[str, Severity, str] | None:
    """The rule, and what it says of the source; a hash of the file guards against all but who wrote the lock."""
    location, pinned = fact.source, bool(fact.hashes or _COMMIT.search(fact.source))
    if location.startswith("git@"):
        return None if pinned else ("package-source", Severity.LOW, "fetched over ssh, from a branch or tag")
    found = _URL.match(location)
    if found is None or found[1].lower() == "file":
        outside = _is_outside(location, subject, folders)
        return ("package-source", Severity.LOW, f"taken from {location!r}, outside the project") if outside else None
    scheme, host, path = found[1].lower(), found[2].lower(), found[4]
    place = f"{scheme}://{host}{found[3] or ''}"
    if danger := _danger(scheme, host):
        return "package-source", Severity.LOW if pinned else Severity.HIGH, f"taken from {place}, which {danger}"
    if among(host, path, (*known().indexes, *known().forges)):
        if pinned or not re.match(r"(?:git|hg|svn|bzr)\+", location):
            return None
        return "package-source", Severity.LOW, f"taken from {place}, whatever a branch or tag holds on the day"
    if pinned:
        return "package-source", Severity.LOW, f"taken from {place}, which is no well-known index"
    return "package-source", Severity.MEDIUM, f"taken from {place}, no well-known index, and nothing pins the content"


def _index(target: str, option: str) -> tuple[str, Severity, str] | None:
    what = f"{option or 'a package index'} {target[:_SHOWN]!r}"
    if option == "--trusted-host":
        message = f"{what} turns the check of that host's certificate off, so that anyone on the way can answer for it"
        return "package-index", Severity.MEDIUM, message
    if option == "channel" and target in known().channels:
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
    if "$" in host or "{" in host or among(host, path, known().indexes):
        return None
    if option in ("-r", "-c", "--find-links") and among(host, path, known().forges):
        return "package-index", Severity.LOW, f"{what} is whatever its branch or tag holds on the day"
    message = f"{what} is not a well-known index: whoever runs it can answer for "
    if option == "explicit index":
        return "package-index", Severity.LOW, f"{message}the packages that are bound to it"
    if option in ("--extra-index-url", "extra index"):
        message += "any package name, and of a name that the default index has too the higher version is taken"
        return "package-index", Severity.MEDIUM, message
    return "package-index", Severity.MEDIUM, f"{message}any package name"


def _danger(scheme: str, host: str) -> str:
    if scheme in ("http", "ftp", "git", "svn") and host not in ("localhost",):
        return f"is fetched over plain {scheme}, which anyone on the way can alter"
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return ""
    return "" if address.is_loopback else "is a bare address, as attackers use and package indexes do not"


def _source(fact: Requirement) -> tuple[str, Severity, str] | None:
    location = fact.source
    what = f"{location[:_SHOWN]!r}"
    if fact.name != location:
        what = f"the package {fact.name[:_SHOWN]!r} is taken from {what}"
    if location.startswith("git@"):
        return "package-source", Severity.LOW, f"{what} is fetched over ssh, from whatever the branch holds on the day"
    found = _URL.match(location)
    if found is None or found[1].lower() == "file":
        return None
    scheme, host, path = found[1].lower(), found[2].lower(), found[4]
    danger = _danger(scheme, host)
    if danger:
        return "package-source", Severity.HIGH, f"{what}, and it {danger}"
    pinned = bool(fact.hashes or _REVISION.search(location) or _HASH.search(location))
    if among(host, path, (*known().indexes, *known().forges)):
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
