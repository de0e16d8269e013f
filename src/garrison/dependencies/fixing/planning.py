"""Which requirements to raise, and how far: to the least versions that clear what is known, within what else is asked.

What is asked for in one directory, and in the files that those refer to, counts as one project: a version that one of
its files forbids is none for the others, and a package that two of them pin gets the same version in both.
"""

import posixpath
from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from garrison.core.facts import Artifact, Examination, Package, Reference, Requirement
from garrison.dependencies.advisories.advisory import Advisory
from garrison.dependencies.advisories.database import Database
from garrison.dependencies.fixing.ranges import admits, lower_bound, pins
from garrison.dependencies.in_use import known_as
from garrison.dependencies.index.client import Known as Asked
from garrison.dependencies.index.project import Project
from garrison.dependencies.matching import Known
from garrison.dependencies.versions import InvalidVersion, scheme

EDITED = frozenset({"requirements", "pyproject", "pipfile", "conda-environment", "python-environment", "setup-cfg"})
"""Formats whose files are changed."""
_ECOSYSTEM = "PyPI"
_COMMANDS = {
    "poetry-lock": "poetry update {names}",
    "uv-lock": "uv lock {options}",
    "pdm-lock": "pdm update {names}",
    "pipfile-lock": "pipenv upgrade {names}",
    "conda-lock": "conda-lock lock {updates}",
    "pixi-lock": "pixi update {names}",
    "pylock": "pip lock",
}


class Lock(msgspec.Struct, frozen=True, kw_only=True):
    """A lock file that fixes vulnerable versions. It holds what a resolver found, so that it is not edited."""

    subject: str
    packages: tuple[tuple[str, str, str, tuple[str, ...]], ...]
    """Name, version, the least version that clears it if there is one, and its vulnerabilities."""
    command: str
    """What makes its tool look again; empty where that is not known."""


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One requirement to raise."""

    subject: str
    fact: Requirement
    old: str
    new: str
    clears: tuple[str, ...]
    """Vulnerabilities that hold for the old version and not for the new one."""
    left: tuple[str, ...] = ()
    """Those that hold for the new one too."""
    hashes: tuple[str, ...] = ()
    """Of the new version's files, where the index told."""


class Left(msgspec.Struct, frozen=True, kw_only=True):
    """A vulnerable requirement that stays as it is, and why."""

    subject: str
    place: str
    name: str
    version: str
    vulnerabilities: tuple[str, ...]
    reason: str


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    changes: tuple[Change, ...]
    left: tuple[Left, ...]
    locks: tuple[Lock, ...]
    looked_at: int
    """Requirements whose first version was held against the advisories."""
    open: int
    """Requirements that name no first version, so that there was nothing to hold."""


class _Wanted(msgspec.Struct, frozen=True):
    """A requirement of an editable file, or one that limits it."""

    subject: str
    fact: Requirement
    name: str
    editable: bool
    python: str

    @property
    def lower(self) -> str:
        return lower_bound(self.fact)


class Releases:
    """What the index offers, where it was asked."""

    def __init__(self, asked: Mapping[str, Asked] | None) -> None:
        self._asked = asked

    @property
    def online(self) -> bool:
        return self._asked is not None

    def project(self, name: str) -> Project | None:
        known = (self._asked or {}).get(name)
        return known.project if known else None

    def versions(self, name: str, python: str) -> list[str] | None:
        """Versions that can be installed; `None` where the index did not tell."""
        project = self.project(name)
        if project is None:
            return None
        return [
            one.version
            for one in project.releases
            if any(_runs(f.requires_python, python) for f in one.files if not f.yanked)
        ]

    def hashes(self, name: str, version: str) -> tuple[str, ...]:
        project = self.project(name)
        release = project.release(version) if project else None
        digests = {file.sha256 for file in release.files if file.sha256} if release else set()
        return tuple(f"sha256:{one}" for one in sorted(digests))


def vulnerable_names(examinations: Sequence[Examination], database: Database) -> set[str]:
    """Names that an index needs to be asked about: of what the advisories speak of, and manifests ask for."""
    names = {wanted.name for wanted in _wanted(examinations)}
    return set(database.affected(_ECOSYSTEM, names))


def plan(examinations: Sequence[Examination], database: Database, asked: Mapping[str, Asked] | None = None) -> Plan:
    """What to change in the files that were examined; `asked` is what an index said of their packages."""
    wanted = list(_wanted(examinations))
    locked = list(_locked(examinations))
    affected = database.affected(_ECOSYSTEM, {one.name for one in wanted} | {name for _, _, name in locked})
    known = {name: Known(scheme(_ECOSYSTEM), entries) for name, entries in affected.items()}
    advisories = database.advisories({entry.id for entries in affected.values() for entry in entries})
    changes: list[Change] = []
    left: list[Left] = []
    for group in _groups(wanted, _projects(examinations)):
        if group[0].name in known:
            for item in _decided(group, known[group[0].name], advisories, Releases(asked)):
                (changes if isinstance(item, Change) else left).append(item)  # type: ignore[arg-type]
    editable = [one for one in wanted if one.editable]
    return Plan(
        changes=tuple(changes),
        left=tuple(left),
        locks=tuple(_locks(locked, known, advisories, examinations)),
        looked_at=sum(1 for one in editable if one.lower),
        open=sum(1 for one in editable if not one.lower),
    )


def _wanted(examinations: Sequence[Examination]) -> Iterator[_Wanted]:
    for examination in examinations:
        formats = {fact.format for fact in examination.facts if type(fact) is Artifact} | set(examination.formats)
        editable = bool(formats & EDITED) and "!/" not in examination.subject
        python = _python(examination)
        for fact in examination.facts:
            if type(fact) is Requirement and fact.ecosystem in ("pypi", "conda") and not fact.source:
                ecosystem, name = known_as(fact.ecosystem, fact.name)
                if ecosystem == _ECOSYSTEM:
                    yield _Wanted(examination.subject, fact, name, editable, python)


def _python(examination: Examination) -> str:
    """Which interpreters the file is for, if it says so."""
    for fact in examination.facts:
        if type(fact) is Artifact and "python" in fact.details:
            return str(fact.details["python"])
        if type(fact) is Requirement and fact.ecosystem == "conda" and fact.name == "python":
            return fact.specifier
    return ""


def _projects(examinations: Sequence[Examination]) -> dict[str, str]:
    """For each subject one that stands for its project: files of a directory, and those that they refer to."""
    leader: dict[str, str] = {}

    def find(one: str) -> str:
        while leader.setdefault(one, one) != one:
            one = leader[one]
        return one

    known = {posixpath.normpath(examination.subject) for examination in examinations}
    for examination in examinations:
        folder, subject = posixpath.dirname(examination.subject), posixpath.normpath(examination.subject)
        leader[find(subject)] = find(f"{folder}/")
        for fact in examination.facts:
            if type(fact) is Reference and fact.role == "requirement-file":
                other = posixpath.normpath(posixpath.join(folder, fact.target))
                if other in known:
                    leader[find(other)] = find(subject)
    return {examination.subject: find(posixpath.normpath(examination.subject)) for examination in examinations}


def _groups(wanted: Iterable[_Wanted], projects: Mapping[str, str]) -> Iterable[list[_Wanted]]:
    """Requirements of one package in one project under one condition."""
    found: dict[tuple[str, str], list[_Wanted]] = {}
    for one in wanted:
        found.setdefault((projects[one.subject], one.name), []).append(one)
    for group in found.values():
        markers = dict.fromkeys(one.fact.marker for one in group)
        for marker in markers:
            # What has no condition of its own holds together with all that have.
            mine = [one for one in group if one.fact.marker == marker]
            yield mine + [one for one in group if marker and not one.fact.marker]


def _decided(
    group: list[_Wanted], known: Known, advisories: Mapping[str, Advisory], releases: Releases
) -> Iterator[Change | Left]:
    marker = group[0].fact.marker
    own = [one for one in group if one.editable and one.lower and one.fact.marker == marker]
    held = {id(one): known.holding(one.lower) for one in own}
    raising = [one for one in own if held[id(one)]]
    if not raising:
        return
    candidates = _candidates(raising, group, known, releases)
    for one in raising:
        ids = held[id(one)]
        told = names_of(ids, advisories)
        if any(advisories[id].malicious for id in ids if id in advisories):
            yield _left(one, told, "it was made to do harm: remove it, and see what it did")
            continue
        best = _best(one, candidates, known, ids)
        if best is None:
            yield _left(one, told, _why_not(one, group, known, releases))
            continue
        remaining = known.holding(best)
        still = names_of(remaining, advisories)
        yield Change(
            subject=one.subject,
            fact=one.fact,
            old=one.lower,
            new=best,
            clears=tuple(name for name in told if name not in still),
            left=still,
            hashes=releases.hashes(one.name, best),
        )


def _candidates(raising: Sequence[_Wanted], group: Sequence[_Wanted], known: Known, releases: Releases) -> list[str]:
    """Versions that all of the project lets through, in order: one for all pins, so that they go on agreeing."""
    order = scheme(_ECOSYSTEM)
    first = max((one.lower for one in raising), key=order.key)
    bounds = known.fixes(min((one.lower for one in raising), key=order.key), known.entries)
    offered = releases.versions(raising[0].name, next((one.python for one in group if one.python), ""))
    pre = order.is_prerelease(first)
    changing = {id(one) for one in raising}
    found: dict[object, str] = {}
    for version in bounds if offered is None else offered:
        try:
            key = order.key(version)
            if key < order.key(first) or (order.is_prerelease(version) and not pre):
                continue
        except InvalidVersion:
            continue
        if all(admits(one.fact, version, beside_pin=id(one) in changing or not one.fact.constraint) for one in group):
            found.setdefault(key, version)
    return [found[key] for key in sorted(found)]  # type: ignore[type-var]


def _best(one: _Wanted, candidates: Sequence[str], known: Known, ids: Sequence[str]) -> str | None:
    """The least that clears all; else the one that clears the most, if it has nothing of its own."""
    best: str | None = None
    least = len(ids)
    for candidate in candidates:
        if scheme(_ECOSYSTEM).key(candidate) <= scheme(_ECOSYSTEM).key(one.lower):
            continue
        if not pins(one.fact) and not admits(one.fact, candidate):
            continue
        still = known.holding(candidate)
        if not still:
            return candidate
        if len(still) < least and set(still) <= set(ids):
            best, least = candidate, len(still)
    return best


def _why_not(one: _Wanted, group: Sequence[_Wanted], known: Known, releases: Releases) -> str:
    bounds = known.fixes(one.lower, known.entries)
    if not bounds:
        return "no version is known to clear it"
    for other in group:
        if not any(admits(other.fact, version, beside_pin=not other.fact.constraint) for version in bounds):
            where = "its own range" if other is one else f"{other.subject} {other.fact.place}".strip()
            return f"{where} asks for {other.fact.specifier}, and no version without it is in there"
    if releases.online and releases.project(one.name) is None:
        return "the index does not know it"
    return "none of the versions that clear it can be installed here, or each has others of its own"


def _left(one: _Wanted, vulnerabilities: tuple[str, ...], reason: str) -> Left:
    return Left(
        subject=one.subject,
        place=one.fact.place,
        name=one.fact.name,
        version=one.lower,
        vulnerabilities=vulnerabilities,
        reason=reason,
    )


def _locked(examinations: Sequence[Examination]) -> Iterator[tuple[str, Package, str]]:
    for examination in examinations:
        for fact in examination.facts:
            if type(fact) is Package and fact.state == "locked" and fact.ecosystem in ("pypi", "conda"):
                ecosystem, name = known_as(fact.ecosystem, fact.name)
                if ecosystem == _ECOSYSTEM:
                    yield examination.subject, fact, name


def _locks(
    locked: Sequence[tuple[str, Package, str]],
    known: Mapping[str, Known],
    advisories: Mapping[str, Advisory],
    examinations: Sequence[Examination],
) -> Iterator[Lock]:
    formats = {examination.subject: examination.formats for examination in examinations}
    found: dict[str, dict[tuple[str, str], tuple[str, str, str, tuple[str, ...]]]] = {}
    for subject, fact, name in locked:
        ids = known[name].holding(fact.version) if name in known else []
        if ids:
            target = known[name].upgrade(fact.version, ids).version
            told = fact.name, fact.version, target, names_of(ids, advisories)
            found.setdefault(subject, {})[name, fact.version] = told
    for subject, packages in found.items():
        names = list(dict.fromkeys(name for name, _, target, _ in packages.values() if target))
        command = next((_COMMANDS[one] for one in formats[subject] if one in _COMMANDS), "")
        yield Lock(
            subject=subject,
            packages=tuple(packages.values()),
            command=command.format(
                names=" ".join(names),
                options=" ".join(f"--upgrade-package {name}" for name in names),
                updates=" ".join(f"--update {name}" for name in names),
            )
            if names
            else "",
        )


def names_of(ids: Iterable[str], advisories: Mapping[str, Advisory]) -> tuple[str, ...]:
    """What vulnerabilities are called, each once however many advisories speak of it: its CVE if it has one."""
    found: dict[str, None] = {}
    for id in ids:
        advisory = advisories.get(id)
        found[min(advisory.cves) if advisory and advisory.cves else id] = None
    return tuple(sorted(found))


def _runs(requires: str, python: str) -> bool:
    """Whether a file that requires this Python can be installed on the oldest that the project asks for."""
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    if not requires or not python:
        return True
    oldest = lower_bound(Requirement(ecosystem="conda", name="python", specifier=python))
    try:
        return not oldest or SpecifierSet(requires).contains(oldest, prereleases=True)
    except InvalidSpecifier:
        return True
