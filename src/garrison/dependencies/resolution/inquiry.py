"""Resolves what manifests leave open, so that what would be installed today can be held against what is known."""

import datetime
import posixpath
from collections.abc import Iterator, Sequence

from garrison.core.errors import GarrisonError
from garrison.core.facts import Anomaly, AnyFact, Examination, Package, Requirement, Setting
from garrison.core.policy import Policy
from garrison.dependencies.index.client import Index
from garrison.dependencies.index.inquiry import fixed_version, is_private
from garrison.dependencies.index.project import normalised
from garrison.dependencies.purl import purl
from garrison.dependencies.resolution.resolver import NotResolved, Resolved, environment, resolve

_SECONDS = 120
_MANIFESTS = 50


def inquire(examinations: Sequence[Examination], policy: Policy, online: bool) -> Iterator[Examination]:
    """One examination for each manifest that leaves versions open and has no lock file beside it."""
    if not online:
        return
    locked = {posixpath.dirname(e.subject) for e in examinations for f in e.facts if _locks(f)}
    open_manifests = [e for e in examinations if posixpath.dirname(e.subject) not in locked and _leaves_open(e)]
    if not open_manifests:
        return
    try:
        index = Index(policy.packages.index, seconds=_SECONDS)
    except GarrisonError:
        return  # the inquiry for releases says so
    for number, examination in enumerate(open_manifests):
        facts = list(
            _resolved(examination, index, policy) if number < _MANIFESTS else _unresolved(examination, "too many")
        )
        yield Examination(subject=f"{examination.subject} (resolved)", facts=facts)


def _locks(fact: AnyFact) -> bool:
    return type(fact) is Package and fact.state == "locked" and fact.ecosystem == "pypi"


def _asked(examination: Examination) -> list[Requirement]:
    """What is installed without choosing an extra or a group."""
    return [
        fact
        for fact in examination.facts
        if type(fact) is Requirement and fact.ecosystem == "pypi" and not (fact.source or fact.group or fact.constraint)
    ]


def _leaves_open(examination: Examination) -> bool:
    return any(not fixed_version(fact) for fact in _asked(examination))


def _line(fact: Requirement) -> str:
    """As PEP 508 has it; ranges of Poetry's own are put into PEP 440's words."""
    from garrison.dependencies.specifiers import alternatives_of

    try:
        alternatives = alternatives_of("pypi", fact.specifier)
    except ValueError:
        alternatives = ("",)
    extras = f"[{','.join(fact.extras)}]" if fact.extras else ""
    # Of alternatives the last is the newest, by custom.
    return f"{fact.name}{extras}{alternatives[-1]}" + (f" ; {fact.marker}" if fact.marker else "")


def _resolved(examination: Examination, index: Index, policy: Policy) -> Iterator[AnyFact]:
    asked = _asked(examination)
    if index.address.public and any(is_private(normalised(fact.name), policy) for fact in asked):
        yield from _unresolved(examination, "it asks for private packages, which a public index is not asked for")
        return
    limits = [f for f in examination.facts if type(f) is Requirement and f.ecosystem == "pypi" and f.constraint]
    try:
        found = resolve(index, [_line(fact) for fact in asked], [_line(fact) for fact in limits if not fact.source])
    except NotResolved as error:
        yield from _unresolved(examination, str(error))
        if " asks for " in str(error):
            yield Anomaly(what="requirements-unresolvable", detail=f"no versions fit together: {error}"[:800])
        return
    yield from _packages(found, {normalised(fact.name) for fact in asked}, {f.name for f in asked if fixed_version(f)})
    yield Setting(topic="resolution", name=examination.subject, value=_told(found), origin=index.address.url)


def _unresolved(examination: Examination, reason: str) -> Iterator[AnyFact]:
    yield Setting(topic="resolution", name=examination.subject, state="absent", value=reason)


def _packages(found: Resolved, direct: set[str], pinned: set[str]) -> Iterator[Package]:
    known = {normalised(name) for name in pinned}
    for name, version in sorted(found.versions.items()):
        if name not in known:
            yield Package(
                purl=purl("pypi", name, version),
                ecosystem="pypi",
                name=name,
                version=version,
                state="resolved",
                dependencies=found.requires[name],
                direct=name in direct,
            )


def _told(found: Resolved) -> str:
    now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
    text = f"{len(found.versions)} packages for {environment()} as of {now}"
    if found.unknown:
        some = ", ".join(found.unknown[:5])
        text += f", without what {some} ask for: only building their sdists would tell, and that runs their code"
    return text
