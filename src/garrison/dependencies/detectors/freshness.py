"""Judges how current the packages in use are, by what the package index says of them."""

import datetime
import posixpath
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from garrison.core.facts import Examination, Package, Reference, Release, Requirement
from garrison.core.findings import Check, Finding, Severity
from garrison.core.judgement import finding
from garrison.core.policy import Policy
from garrison.dependencies.index.inquiry import NO_PACKAGE, NO_VERSION, fixed_version
from garrison.dependencies.index.project import normalised

_SHOWN = 5
"""Packages that a finding about many names, the worst first; the inventory has all."""


class _Use(msgspec.Struct, frozen=True):
    """One package where it is used, with what the index says of it."""

    subject: str
    place: str
    release: Release
    asked_for: bool
    """A manifest or a lock file asks for it, as opposed to what is there already."""
    elsewhere: str
    """The option by which the same file names another index, if it does."""

    @property
    def named(self) -> str:
        return f"{self.release.name} {self.release.version}".strip()


def detect(examinations: Sequence[Examination], policy: Policy) -> Iterator[Finding | Check]:
    """What the index knows against the packages in use, and how many of them it was asked about."""
    known = {(fact.name, fact.version): fact for e in examinations for fact in e.facts if type(fact) is Release}
    uses, versions = _uses(examinations, known)
    for use in uses:
        yield from _one(use)
    groups: dict[str, dict[tuple[str, str], _Use]] = {}
    for use in uses:
        groups.setdefault(use.subject, {}).setdefault((use.release.name, use.release.version), use)
    for subject, group in groups.items():
        yield from _outdated(subject, list(group.values()), policy.packages.days_behind)
        yield from _abandoned(subject, list(group.values()), policy.packages.abandoned_days)
    if versions:
        yield _check([known[one] for one in versions if one in known], len(versions))


def _uses(
    examinations: Sequence[Examination], known: dict[tuple[str, str], Release]
) -> tuple[list[_Use], set[tuple[str, str]]]:
    """Packages that the index has an answer for, and all definite versions."""
    found: list[_Use] = []
    versions: set[tuple[str, str]] = set()
    for examination in examinations:
        elsewhere = _elsewhere(examination)
        for fact in examination.facts:
            if not isinstance(fact, Package | Requirement) or fact.ecosystem != "pypi" or fact.source:
                continue
            key = normalised(fact.name), fixed_version(fact)
            if key[1]:
                versions.add(key)
            release = known.get(key)
            if release is not None and release.asked:
                installed = isinstance(fact, Package) and fact.state == "installed"
                asked_for = isinstance(fact, Requirement) or fact.state == "locked"
                subject = _environment(examination.subject) if installed else examination.subject
                found.append(_Use(subject, "" if installed else fact.place, release, asked_for, elsewhere))
    return found, versions


def _environment(subject: str) -> str:
    """The directory that packages are installed into, so that an environment is judged as one."""
    folder = posixpath.dirname(subject)
    return posixpath.dirname(folder) or subject if folder.endswith(("-info", ".egg")) else subject


def _elsewhere(examination: Examination) -> str:
    options = {
        fact.detail
        for fact in examination.facts
        if type(fact) is Reference and fact.role == "package-index" and fact.detail.startswith("--")
    }
    return next((one for one in ("--extra-index-url", "--find-links", "--index-url") if one in options), "")


def _one(use: _Use) -> Iterator[Finding]:
    release = use.release
    if release.status == "quarantined":
        message = f"{use.named}: the index has put the project under quarantine{_because(release.status_reason)}"
        yield finding("package-quarantined", use.subject, use.place, message)
    elif release.problem == NO_PACKAGE:
        yield _unknown(use)
    elif release.problem == NO_VERSION:
        latest = f"; its latest is {release.latest}" if release.latest else ""
        message = f"{use.named} is not in the index, though {release.name} is: removed, or made elsewhere{latest}"
        severity = Severity.MEDIUM if use.asked_for and not use.elsewhere else Severity.LOW
        yield finding("release-unknown", use.subject, use.place, message, severity=severity)
    elif release.yanked:
        to = f"Pin another release, such as {release.latest}." if release.latest else ""
        message = f"{use.named} was taken back by its maintainers{_because(release.yanked_reason)}"
        yield finding("package-yanked", use.subject, use.place, message, fix=to)


def _because(reason: str) -> str:
    return f": {' '.join(reason.split())}" if reason.strip() else ""


def _unknown(use: _Use) -> Finding:
    release = use.release
    if not use.asked_for:
        severity, end = Severity.LOW, "it was made elsewhere, and its name is free"
    elif not release.public:
        severity, end = Severity.MEDIUM, "it is misspelt, gone, or comes from elsewhere"
    elif use.elsewhere == "--index-url":
        severity, end = Severity.MEDIUM, "who installs it without that file's --index-url gets what anyone registers"
    elif use.elsewhere:
        severity, end = Severity.HIGH, f"with {use.elsewhere}, pip takes it from whoever registers a higher version"
    else:
        severity, end = Severity.HIGH, "anyone can register the name, and is then installed"
    message = f"{use.named} is not in the index {release.index}: {end}"
    return finding("package-unknown", use.subject, use.place, message, severity=severity)


def _outdated(subject: str, uses: list[_Use], allowed: int) -> Iterator[Finding]:
    behind = [use.release for use in uses if (use.release.days_behind or 0) > allowed]
    behind.sort(key=lambda one: (-(one.days_behind or 0), one.name))
    if not behind:
        return
    days = sum(one.days_behind or 0 for one in behind)
    listed = _listed(
        f"{one.name} {one.version} by {_count(one.days_behind or 0, 'day')} "
        f"and {_count(one.releases_behind or 0, 'release')} (latest {one.latest})"
        for one in behind
    )
    if len(behind) == 1:
        message = f"more than {allowed:,} days behind: {listed}"
    else:
        of = len({use.release.name for use in uses if use.release.version})
        message = f"{len(behind)} of {of} packages are more than {allowed:,} days behind, {days:,} in all: {listed}"
    yield finding("package-outdated", subject, "", message)


def _abandoned(subject: str, uses: list[_Use], allowed: int) -> Iterator[Finding]:
    said: dict[str, str] = {}
    for release in sorted((use.release for use in uses), key=lambda one: one.latest_uploaded):
        if release.status in ("archived", "deprecated"):
            said[release.name] = f"{release.name} is {release.status}{_because(release.status_reason)}"
        elif release.latest_uploaded and _age(release) > allowed:
            said.setdefault(release.name, f"{release.name} (latest {release.latest} of {release.latest_uploaded[:10]})")
    if said:
        noun = "1 package has" if len(said) == 1 else f"{len(said)} packages have"
        message = f"{noun} had no release for {allowed:,} days, or no maintainer: {_listed(said.values())}"
        yield finding("package-abandoned", subject, "", message)


def _age(release: Release) -> int:
    """Days from the latest upload to the day on which the index was asked."""
    asked = datetime.datetime.fromisoformat(release.asked)
    return (asked - datetime.datetime.fromisoformat(release.latest_uploaded)).days


def _listed(parts: Iterable[str]) -> str:
    every = list(parts)
    more = f", and {len(every) - _SHOWN} more" if len(every) > _SHOWN else ""
    return ", ".join(every[:_SHOWN]) + more


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _check(releases: list[Release], total: int) -> Check:
    name = "how far behind"
    answered = [one for one in releases if one.asked]
    if not answered:
        reason = releases[0].problem if releases else "scan with --online to ask the package index"
        return Check(name=name, checked=0, total=total, reason=reason, gap=bool(releases))
    compared = [one for one in answered if one.releases_behind is not None]
    behind = [one for one in compared if one.releases_behind]
    days = sum(one.days_behind or 0 for one in compared)
    oldest = min(one.asked for one in answered)
    data = (
        f"{len(behind)} behind, {days:,} days in all, by {answered[0].index} as of {oldest[:16].replace('T', ' ')} UTC"
    )
    reasons: dict[str, int] = {}
    for one in releases:
        if one.releases_behind is None:
            reasons[one.problem] = reasons.get(one.problem, 0) + 1
    parts = [f"{count}: {problem}" for problem, count in reasons.items()]
    parts += [f"{total - len(releases)}: not asked yet, scan with --online"] if total > len(releases) else []
    return Check(name=name, checked=len(compared), total=total, data=data, reason="; ".join(parts))
