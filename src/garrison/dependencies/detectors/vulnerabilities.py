"""Holds the packages in use against the advisory database: known vulnerabilities, and packages made to do harm."""

import datetime
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from garrison.core.errors import GarrisonError
from garrison.core.facts import Examination, Release, Setting
from garrison.core.findings import Check, Finding, Severity
from garrison.core.judgement import finding
from garrison.core.policy import Policy
from garrison.dependencies.advisories.advisory import Advisory, Affected, SourceInfo
from garrison.dependencies.advisories.database import Database
from garrison.dependencies.in_use import Indefinite, InUse, Packages, Place, packages_in_use
from garrison.dependencies.matching import Known, Outcome, Upgrade, every_version
from garrison.dependencies.versions import UnknownEcosystem, scheme
from garrison.dependencies.wording import first_of

NAME = "known vulnerabilities"
_IDS = ("MAL-", "CVE-", "GHSA-", "PYSEC-")
"""What a vulnerability is called by that has several names: the one that most tools and people know."""
_NAMED = 5
"""Names in a list before the rest is counted."""
_SUMMARY = 120


class _Vulnerability(msgspec.Struct, frozen=True):
    """One vulnerability, from all advisories that speak of it."""

    id: str
    names: tuple[str, ...]
    cves: frozenset[str]
    advisories: tuple[Advisory, ...]
    entries: tuple[Affected, ...]


class _Match(msgspec.Struct, frozen=True):
    """What holds for one version of a package, and what nobody can tell."""

    package: InUse
    known: Known
    affected: list[Affected]
    undetermined: list[tuple[Affected, str]]


def detect(examinations: Sequence[Examination], policy: Policy) -> Iterator[Finding | Check]:
    """A finding for each vulnerability of each package in each file, and how many packages were looked at."""
    packages = packages_in_use(examinations)
    total = len(packages.definite) + len(packages.indefinite)
    if not total:
        return
    try:
        with Database.open(policy.packages.database) as database:
            yield from _judged(database, packages, _latest(examinations), _patched_live(examinations), policy)
    except GarrisonError as error:
        yield Check(name=NAME, checked=0, total=total, reason=str(error), gap=True)


def _latest(examinations: Sequence[Examination]) -> dict[str, str]:
    """The latest version of each package that an index was asked about."""
    return {
        fact.name: fact.latest
        for examination in examinations
        for fact in examination.facts
        if type(fact) is Release and fact.ecosystem == "pypi" and fact.latest
    }


def _patched_live(examinations: Sequence[Examination]) -> dict[str, set[str]]:
    """By host, the vulnerabilities of its running kernel that a live patch has closed until the next restart."""
    found: dict[str, set[str]] = {}
    for examination in examinations:
        for fact in examination.facts:
            if type(fact) is Setting and fact.topic == "livepatch-fixed" and fact.state == "value":
                found.setdefault(examination.subject, set()).add(fact.name)
    return found


def _judged(
    database: Database, packages: Packages, latest: dict[str, str], patched: dict[str, set[str]], policy: Policy
) -> Iterator[Finding | Check]:
    matches = list(_matches(database, packages.definite))
    suspects = list(_malicious_whatever_version(database, packages.indefinite))
    ids = {entry.id for match in matches for entry in (*match.affected, *(one for one, _ in match.undetermined))}
    advisories = database.advisories(ids | {entry.id for _, entry in suspects})
    unclear = 0
    for match in matches:
        found = _vulnerabilities(match.affected, advisories)
        more = [latest[match.package.name]] if match.package.name in latest else []
        yield from _findings(match, found, more, patched)
        left = _undecided(match, found, advisories)
        unclear += len(left)
        yield from _undetermined(match.package, left)
    for asked, entry in suspects:
        if entry.id in advisories and advisories[entry.id].malicious:
            yield from _malicious(asked.written, asked.places, advisories[entry.id])
    yield from _outdated(database, packages, policy)
    yield _check(database, packages, unclear)


def _matches(database: Database, packages: Iterable[InUse]) -> Iterator[_Match]:
    by_ecosystem: dict[str, list[InUse]] = {}
    for package in packages:
        if package.ecosystem:
            by_ecosystem.setdefault(package.ecosystem, []).append(package)
    for ecosystem, members in by_ecosystem.items():
        names = [name for package in members for name in (package.name, *(name for name, _ in package.also))]
        entries = database.affected(ecosystem, names)
        try:
            order = scheme(ecosystem)
        except UnknownEcosystem:
            order = None
        known = {name: Known(order, found) for name, found in entries.items()}
        for package in members:
            for name, version in ((package.name, package.version), *package.also):
                if name in known:
                    yield _match(package, known[name], version)
                    break


def _match(package: InUse, known: Known, version: str) -> _Match:
    affected: dict[str, Affected] = {}
    undetermined: dict[str, tuple[Affected, str]] = {}
    for entry, outcome, reason in known.outcomes(version):
        if outcome is Outcome.AFFECTED:
            affected.setdefault(entry.id, entry)
        elif outcome is Outcome.UNDETERMINED:
            undetermined.setdefault(entry.id, (entry, reason))
    return _Match(
        msgspec.structs.replace(package, version=version) if version != package.version else package,
        known,
        list(affected.values()),
        [item for id, item in undetermined.items() if id not in affected],
    )


def _vulnerabilities(entries: Sequence[Affected], advisories: dict[str, Advisory]) -> list[_Vulnerability]:
    """Advisories that share a name are about one vulnerability.

    A distribution's notice about several vulnerabilities is left out where each of them is there by itself.
    """
    groups: list[tuple[set[str], list[Affected]]] = []
    for entry in entries:
        names = _names(entry.id, advisories)
        joined = [group for group in groups if not group[0].isdisjoint(names)]
        groups = [group for group in groups if group not in joined]
        groups.append((names.union(*(group[0] for group in joined)), [e for g in joined for e in g[1]] + [entry]))
    found = [_vulnerability(names, members, advisories) for names, members in groups]
    alone = {name for one in found if len(one.cves) <= 1 for name in one.names}
    return [one for one in found if len(one.cves) <= 1 or one.names[1:] or not alone.issuperset(one.cves)]


def _names(id: str, advisories: dict[str, Advisory]) -> set[str]:
    advisory = advisories.get(id)
    if advisory is None:
        return {id}
    cves = advisory.cves if advisory.upstream else ()
    return {id, *advisory.aliases, *(cves if len(cves) == 1 else ())}


def _vulnerability(names: set[str], members: list[Affected], advisories: dict[str, Advisory]) -> _Vulnerability:
    ordered = sorted(names, key=_preference)
    found = tuple(advisories[entry.id] for entry in members if entry.id in advisories)
    cves = frozenset(cve for advisory in found for cve in advisory.cves)
    return _Vulnerability(ordered[0], tuple(ordered), cves, found, tuple(members))


def _preference(id: str) -> tuple[int, str]:
    return next((rank for rank, prefix in enumerate(_IDS) if id.startswith(prefix)), len(_IDS)), id


def _findings(
    match: _Match, found: Sequence[_Vulnerability], more: Sequence[str], patched: dict[str, set[str]]
) -> Iterator[Finding]:
    package = match.package
    harmful = [one for one in found if any(advisory.malicious for advisory in one.advisories)]
    for one in harmful:
        named = next(advisory for advisory in one.advisories if advisory.malicious)
        yield from _malicious(f"{_title(package)} {package.version}", package.places, named)
    rest = [one for one in found if one not in harmful]
    if not rest:
        return
    fix = _fix(package, rest, match.known.upgrade(package.version, [entry.id for entry in match.affected], more))
    for one in rest:
        severity, detail = _severity(one)
        live = [where for where in package.places if not patched.get(where.subject, set()).isdisjoint(one.names)]
        for places, state in ((live, ", patched live until the restart"), (package.places, "")):
            left = [where for where in places if state or where not in live]
            message = _message(match, one, detail + state)
            yield from _stated("vulnerable-package", left, message, Severity.INFO if state else severity, fix, one.id)


def _stated(
    rule: str, places: Iterable[Place], message: str, severity: Severity, fix: str, id: str
) -> Iterator[Finding]:
    """One finding a file, with all its places there."""
    by_subject: dict[str, list[str]] = {}
    for where in places:
        by_subject.setdefault(where.subject, []).append(where.place)
    for subject, there in by_subject.items():
        place = ", ".join(dict.fromkeys(one for one in there if one))
        stated = finding(rule, subject, place, message, severity=severity, fix=fix)
        if id:
            page = f"https://osv.dev/vulnerability/{id}"
            stated = msgspec.structs.replace(stated, references=(page, *stated.references))
        yield stated


def _title(package: InUse) -> str:
    """The name as it is written, with the one that advisories know it by."""
    if package.written == package.name or package.ecosystem == "":
        return package.name
    if package.ecosystem == "PyPI":
        plain = package.written.lower().replace("_", "-").replace(".", "-")
        return package.name if plain == package.name else f"{package.written} ({package.name})"
    binaries = package.written.split(", ")
    return f"{package.name} ({first_of(binaries, _NAMED)})"


def _message(match: _Match, one: _Vulnerability, detail: str) -> str:
    package = match.package
    fixed = match.known.fixes(package.version, one.entries)
    state = f"fixed in {', '.join(fixed[:_NAMED])}" if fixed else "no fixed version is known"
    summary = next((advisory.summary for advisory in one.advisories if advisory.summary), "")
    if len(summary) > _SUMMARY:
        summary = f"{summary[:_SUMMARY].rpartition(' ')[0]} …"
    also = f"; also {', '.join(one.names[1:][:_NAMED])}" if one.names[1:] else ""
    text = f"{_title(package)} {package.version}: {one.id} ({detail}, {state}{also})"
    return f"{text}: {summary}" if summary else text


def _severity(one: _Vulnerability) -> tuple[Severity, str]:
    """The worst that anyone rates it; what is exploited already is high at least, and what nobody rates is medium."""
    scores = [advisory.score for advisory in one.advisories if advisory.score is not None]
    ratings = [Severity(a.rating) if a.rating != "none" else Severity.INFO for a in one.advisories if a.rating]
    severity = max(ratings, key=lambda rating: rating.rank, default=Severity.MEDIUM)
    details = [f"CVSS {max(scores)}" if scores else "rated by words only" if ratings else "not rated"]
    epss = [advisory.epss for advisory in one.advisories if advisory.epss is not None]
    if epss:
        details.append(f"EPSS {max(epss):.1%}")
    if any(advisory.kev for advisory in one.advisories):
        details.append("exploited already, as CISA has it")
        severity = max(severity, Severity.HIGH, key=lambda rating: rating.rank)
    return severity, ", ".join(details)


def _fix(package: InUse, found: Sequence[_Vulnerability], upgrade: Upgrade) -> str:
    name = _title(package)
    count = len(found)
    if upgrade.version and not upgrade.left:
        what = "which clears it" if count == 1 else f"the least version that clears all {count}"
        return f"Upgrade {name} to {upgrade.version}, {what}."
    left = [one.id for one in found if not {entry.id for entry in one.entries}.isdisjoint(upgrade.left)]
    named = first_of(left, _NAMED)
    if upgrade.version and len(left) < count:
        return f"Upgrade {name} to {upgrade.version}, which clears most; no version is known to clear {named}."
    return f"No version of {name} is known to clear {named}: replace it, or take away what the vulnerability needs."


def _malicious(what: str, places: Iterable[Place], advisory: Advisory) -> Iterator[Finding]:
    summary = f": {advisory.summary}" if advisory.summary else ""
    message = f"{what} was made to do harm, says {advisory.id}{summary}"
    yield from _stated("malicious-package", places, message, Severity.CRITICAL, "", advisory.id)


def _malicious_whatever_version(
    database: Database, asked: Iterable[Indefinite]
) -> Iterator[tuple[Indefinite, Affected]]:
    """Packages of which no version is harmless, so that it does not matter which one is installed."""
    by_ecosystem: dict[str, list[Indefinite]] = {}
    for one in asked:
        if one.ecosystem and not one.source:
            by_ecosystem.setdefault(one.ecosystem, []).append(one)
    for ecosystem, members in by_ecosystem.items():
        entries = database.affected(ecosystem, [one.name for one in members])
        for one in members:
            yield from ((one, entry) for entry in entries.get(one.name, ()) if every_version(entry))


def _undecided(
    match: _Match, found: Sequence[_Vulnerability], advisories: dict[str, Advisory]
) -> list[tuple[str, str]]:
    """What nobody can tell, but for vulnerabilities that another advisory decides."""
    undetermined = {entry.id for entry, _ in match.undetermined}
    decided = {entry.id for entry in match.known.entries} - undetermined
    decided.update(name for one in found for name in one.names)
    left: dict[str, str] = {}
    for entry, reason in match.undetermined:
        names = _names(entry.id, advisories)
        if decided.isdisjoint(names):
            left.setdefault(min(names, key=_preference), reason)
    return list(left.items())


def _undetermined(package: InUse, left: Sequence[tuple[str, str]]) -> Iterator[Finding]:
    if not left:
        return
    shown = "; ".join(f"{id}: {reason}" for id, reason in left[:_NAMED])
    rest = f"; and {len(left) - _NAMED} more" if len(left) > _NAMED else ""
    what = "one advisory" if len(left) == 1 else f"{len(left)} advisories"
    message = f"{_title(package)} {package.version}: {what} cannot be decided ({shown}{rest})"
    id = left[0][0] if len(left) == 1 else ""
    yield from _stated("undetermined-advisory", package.places, message, Severity.LOW, "", id)


def _outdated(database: Database, packages: Packages, policy: Policy) -> Iterator[Finding]:
    """A finding where the advisories of an ecosystem in use are older than policy allows."""
    days = policy.packages.database_days
    now = datetime.datetime.now(datetime.UTC)
    # Of several sources of an ecosystem the freshest counts.
    first = [found[0] for name in sorted(_ecosystems(packages)) if (found := database.covering(name))]
    for source in dict.fromkeys(first):
        age = (now - source.as_of).days
        if age > days:
            message = f"{source.described(now)}: {age} days old, and policy allows {days}"
            yield finding("advisories-outdated", database.path, "", message)


def _ecosystems(packages: Packages) -> set[str]:
    named = [one.ecosystem for one in packages.definite] + [one.ecosystem for one in packages.indefinite]
    return {ecosystem.partition(":")[0] for ecosystem in named}


def _sources(database: Database, packages: Packages) -> list[SourceInfo]:
    wanted = _ecosystems(packages)
    return [one for one in database.sources if one.kind == "osv" and not wanted.isdisjoint(one.ecosystems)]


def _check(database: Database, packages: Packages, unclear: int) -> Check:
    sources = _sources(database, packages)
    covered = {name for source in sources for name in source.ecosystems}
    without = [one for one in packages.definite if one.ecosystem.partition(":")[0] not in covered]
    checked = len(packages.definite) - len(without)
    total = len(packages.definite) + len(packages.indefinite)
    reasons = []
    if packages.indefinite:
        count = len(packages.indefinite)
        names = _listed([one.written for one in packages.indefinite])
        reasons.append(f"{count} without a definite version, so pin or lock {'it' if count == 1 else 'them'} ({names})")
    if without:
        kinds = _listed(dict.fromkeys(one.ecosystem or one.purl.partition("/")[0] for one in without))
        reasons.append(f"{len(without)} of ecosystems without advisories in the database ({kinds})")
    if unclear:
        reasons.append(f"{unclear} {'advisory' if unclear == 1 else 'advisories'} cannot be decided")
    return Check(
        name=NAME,
        checked=checked,
        total=total,
        data="; ".join(source.described() for source in sources),
        reason="; ".join(reasons),
        gap=checked < total,
    )


def _listed(names: Iterable[str]) -> str:
    return first_of(list(dict.fromkeys(names)), _NAMED)
