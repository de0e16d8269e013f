"""What the package index knows of the packages that were found: a `Release` for each."""

import datetime
import fnmatch
import re
from collections.abc import Iterator, Sequence

from garrison.core.errors import GarrisonError
from garrison.core.facts import Artifact, Examination, Package, Release, Requirement
from garrison.core.policy import Policy
from garrison.dependencies.index.address import Address
from garrison.dependencies.index.client import Index, Known
from garrison.dependencies.index.project import Project, normalised

NO_PACKAGE = "no such package"
NO_VERSION = "no such version"
_EXACT = re.compile(r"^\(?\s*={2,3}\s*([^\s,*;)]+)\s*\)?$")
_DISTINCT = "private, so not asked for at a public index"


def inquire(examinations: Sequence[Examination], policy: Policy, online: bool) -> Iterator[Examination]:
    """One examination, of the index, with what it says of each package; nothing where it never said anything."""
    wanted = in_use(examinations)
    if not wanted:
        return
    try:
        index = Index(policy.packages.index, online=online)
    except GarrisonError as error:
        if online:
            yield Examination(subject="package index", state="failed", reason=str(error))
        return
    private = {name for name, _ in wanted if index.address.public and is_private(name, policy)}
    known = index.projects({name for name, _ in wanted} - private)
    facts = [
        Release(ecosystem="pypi", name=name, version=version, index=index.address.url, problem=_DISTINCT)
        if name in private
        else release(name, version, known[name], index.address)
        for name, version in wanted
    ]
    silent = [one.problem for one in known.values() if one.problem]
    if online and silent:
        reason = f"{len(silent)} of {len(known)} names got no answer: {silent[0]}"
        yield Examination(subject=index.address.url, facts=list(facts), state="partial", reason=reason)
    elif online or any(fact.asked for fact in facts):
        yield Examination(subject=index.address.url, facts=list(facts))


def in_use(examinations: Sequence[Examination]) -> list[tuple[str, str]]:
    """Names and versions from package indexes of Python; the version is empty where a range or nothing is asked for."""
    own = {
        normalised(str(fact.details["name"]))
        for examination in examinations
        for fact in examination.facts
        if type(fact) is Artifact and fact.details.get("name")
    }
    found: dict[tuple[str, str], None] = {}
    for examination in examinations:
        for fact in examination.facts:
            if isinstance(fact, Package | Requirement) and fact.ecosystem == "pypi" and not fact.source:
                name = normalised(fact.name)
                if re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", name) and name not in own:
                    found[name, fixed_version(fact)] = None
    return sorted(found)


def fixed_version(fact: Package | Requirement) -> str:
    """The one version that a fact speaks of, if it does."""
    if isinstance(fact, Package):
        return fact.version
    exact = _EXACT.match(fact.specifier.removesuffix(" (hash)"))
    return exact[1] if exact else ""


def is_private(name: str, policy: Policy) -> bool:
    """Whether the policy calls a package the team's own, whose name a public index must not learn."""
    return any(fnmatch.fnmatchcase(name, pattern.lower()) for pattern in policy.packages.private)


def release(name: str, version: str, known: Known, index: Address) -> Release:
    """What an index said of one version of a project."""
    if known.project is None:
        problem = known.problem or NO_PACKAGE
        if known.asked and known.problem:
            problem = NO_PACKAGE
        return _stated(name, version, known, index, problem=problem)
    return _compared(name, version, known.project, known, index)


def _stated(name: str, version: str, known: Known, index: Address, **fields: object) -> Release:
    asked = (
        datetime.datetime.fromtimestamp(known.asked, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if known.asked else ""
    )
    return Release(
        ecosystem="pypi",
        name=name,
        version=version,
        index=index.url,
        public=index.public,
        asked=asked,
        **fields,  # type: ignore[arg-type]
    )


def _compared(name: str, version: str, project: Project, known: Known, index: Address) -> Release:
    mine = project.release(version) if version else None
    latest = project.latest()
    newer = project.newer(mine.version) if mine else []
    behind = bool(mine and latest and newer)
    days = _days(mine.uploaded, latest.uploaded) if mine and latest else None
    return _stated(
        name,
        version,
        known,
        index,
        uploaded=mine.uploaded if mine else "",
        yanked=bool(mine and mine.yanked),
        yanked_reason=mine.yanked_reason[:300] if mine else "",
        latest=latest.version if latest else "",
        latest_uploaded=latest.uploaded if latest else "",
        days_behind=(days if behind else 0) if days is not None else None,
        releases_behind=len(newer) if mine else None,
        status=project.status if project.status != "active" else "",
        status_reason=project.status_reason[:300],
        problem=NO_VERSION if version and mine is None else "",
    )


def _days(first: str, last: str) -> int | None:
    """Whole days between two uploads; none where the newer version came first, as fixes of old lines do."""
    if not first or not last:
        return None
    return max(0, (datetime.datetime.fromisoformat(last) - datetime.datetime.fromisoformat(first)).days)
