"""Judges whether what manifests ask for can be had at once, and whether the lock beside a manifest is of it."""

from collections.abc import Iterable, Iterator, Sequence

from garrison.core.facts import Artifact, Examination, Package, Requirement
from garrison.core.findings import Check, Finding
from garrison.core.judgement import finding
from garrison.core.policy import Policy
from garrison.dependencies.manifests import Asked, Manifest, Manifests, folder
from garrison.dependencies.markers import overlap
from garrison.dependencies.python_requirement import normalised
from garrison.dependencies.specifiers import allows, disjoint, pinned
from garrison.dependencies.wording import first_of

_LOCKS = {
    "poetry-lock": "pyproject",
    "uv-lock": "pyproject",
    "pdm-lock": "pyproject",
    "pylock": "pyproject",
    "pipfile-lock": "pipfile",
}
"""The manifest that each lock file is of; both lie in one folder."""
_MANIFESTS = frozenset(_LOCKS.values())
_APART = frozenset({"build-system", "overrides"})
"""Groups that are installed in an environment of their own, or replace what others say."""
_UNLOCKED_GROUPS = frozenset({"pdm-lock", "pylock"})
"""Locks that hold only the groups that somebody chose."""
_OF_ONE_NAME = 24
_COSTS = 4000
_COST_OF_MARKERS = 40
"""Beside a comparison of ranges, which takes a fraction of a millisecond."""
_NAMED = 5


def detect(examinations: Sequence[Examination], policy: Policy) -> Iterator[Finding | Check]:
    """Requirements that exclude each other or stand twice, and locks that are not of their manifests."""
    manifests = Manifests(examinations)
    comparison = _Comparison()
    seen: set[tuple[str, str, str, str]] = set()
    for manifest in manifests.roots():
        for name, asked in _by_name(_certain(manifest, manifests)).items():
            for first, second in _pairs(asked):
                key = (first.subject, first.requirement.place, second.subject, second.requirement.place)
                if key not in seen and comparison.exclude(first.requirement, second.requirement):
                    seen.add(key)
                    yield _contradiction(name, first, second)
    for manifest in manifests.by_subject.values():
        if "setup-script" not in manifest.formats:
            yield from _duplicates(manifest)
    if comparison.left_out:
        total = comparison.compared + comparison.left_out
        reason = "too many requirements that differ for the same names; scan the manifests one by one"
        yield Check(name="contradictions", checked=comparison.compared, total=total, reason=reason, gap=True)
    yield from _locks(examinations, manifests)


def _certain(manifest: Manifest, manifests: Manifests) -> Iterator[Asked]:
    """Without setup scripts, which ask for one or the other in their branches."""
    return (one for one in manifests.asked(manifest) if "setup-script" not in manifests.by_subject[one.subject].formats)


def _by_name(asked: Iterator[Asked]) -> dict[str, list[Asked]]:
    found: dict[str, list[Asked]] = {}
    for one in asked:
        if one.requirement.ecosystem == "pypi" and one.requirement.specifier:
            found.setdefault(normalised(one.requirement.name), []).append(one)
    return {name: ones for name, ones in found.items() if len(ones) > 1}


def _pairs(asked: Sequence[Asked]) -> Iterator[tuple[Asked, Asked]]:
    """Two by two, those that say different things of one environment."""
    different = list(
        {
            (one.requirement.specifier, one.requirement.marker, one.requirement.group): one for one in asked[::-1]
        }.values()
    )[::-1]
    for number, first in enumerate(different[:_OF_ONE_NAME]):
        for second in different[number + 1 : _OF_ONE_NAME]:
            if first.requirement.specifier != second.requirement.specifier and _together(first, second):
                yield first, second


def _together(first: Asked, second: Asked) -> bool:
    """Whether both are installed at once: an extra beside what is always installed, but not beside another extra."""
    one, other = first.requirement.group, second.requirement.group
    if one in _APART or other in _APART:
        return False
    return one == other or not one or not other


class _Comparison:
    """Remembers what was compared, and ends where somebody writes requirements only to be compared."""

    def __init__(self) -> None:
        self.compared = 0
        self.left_out = 0
        self._cost = 0
        self._known: dict[tuple[str, str, str, str], bool] = {}

    def exclude(self, one: Requirement, other: Requirement) -> bool:
        """Whether no version satisfies both, in an environment where both count."""
        key = one.specifier, other.specifier, one.marker, other.marker
        if key not in self._known:
            if self._cost > _COSTS:
                self.left_out += 1
                return False
            self._known[key] = self._compare(one, other)
            self.compared += 1
        return self._known[key]

    def _compare(self, one: Requirement, other: Requirement) -> bool:
        self._cost += 1
        if not disjoint("pypi", one.specifier, other.specifier):
            return False
        if one.marker or other.marker:
            self._cost += _COST_OF_MARKERS
        return overlap(one.marker, other.marker)


def _contradiction(name: str, first: Asked, second: Asked) -> Finding:
    here = f" of {first.subject.rpartition('/')[2]}" if first.subject != second.subject else ""
    message = (
        f"{name}{_shown(second.requirement.specifier)} excludes {name}{_shown(first.requirement.specifier)} "
        f"({first.requirement.place}{here}): no version satisfies both, so that nothing installs"
    )
    return finding("requirement-contradiction", second.subject, second.requirement.place, message)


def _shown(specifier: str) -> str:
    return specifier[:80] if specifier[:1] in "=<>!~^" else f" {specifier[:80]}"


def _duplicates(manifest: Manifest) -> Iterator[Finding]:
    """One finding a file; asking twice with other extras or under other conditions is no duplicate."""
    seen: set[tuple[object, ...]] = set()
    twice: dict[str, str] = {}
    for fact in manifest.requirements:
        # A tool's own table may say more of what the project's table asks for.
        own = fact.place.startswith("tool.")
        key = (fact.ecosystem, normalised(fact.name), fact.group, fact.marker, fact.extras, fact.constraint, own)
        if key in seen and not fact.constraint and fact.name != fact.source:
            twice.setdefault(normalised(fact.name), fact.place)
        seen.add(key)
    if twice:
        noun = "package is" if len(twice) == 1 else "packages are"
        message = f"{len(twice)} {noun} asked for more than once: {first_of(list(twice), _NAMED)}"
        yield finding("requirement-duplicate", manifest.subject, next(iter(twice.values())), message)


def _locks(examinations: Sequence[Examination], manifests: Manifests) -> Iterator[Finding]:
    beside: dict[tuple[str, str], Examination] = {}
    for item in examinations:
        for name in item.formats:
            if name in _MANIFESTS:
                beside[folder(item.subject), name] = item
    for item in examinations:
        lock = next((name for name in item.formats if name in _LOCKS), "")
        manifest = beside.get((folder(item.subject), _LOCKS.get(lock, "")))
        if lock and manifest is not None and manifest.subject in manifests.by_subject and item.state == "examined":
            versions = _versions(
                (fact.name, fact.version) for fact in item.facts if type(fact) is Package and fact.ecosystem == "pypi"
            )
            asked = _to_be_locked(manifests.by_subject[manifest.subject], _own(manifest), lock)
            yield from _against(item.subject, versions, asked, manifests.by_subject[manifest.subject])
    yield from _compiled(manifests)


def _compiled(manifests: Manifests) -> Iterator[Finding]:
    """What pip-compile makes of `x.in` is `x.txt`."""
    for subject, manifest in manifests.by_subject.items():
        output = manifests.by_subject.get(f"{subject.removesuffix('.in')}.txt") if subject.endswith(".in") else None
        if output is not None:
            versions = _versions(
                (fact.name, pinned("pypi", fact.specifier)) for fact in output.requirements if fact.ecosystem == "pypi"
            )
            yield from _against(output.subject, versions, _to_be_locked(manifest, frozenset(), ""), manifest)


def _versions(packages: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, version in packages:
        found.setdefault(normalised(name), []).append(version)
    return found


def _own(manifest: Examination) -> frozenset[str]:
    """The project's own name, which it may ask for with its extras."""
    details = [fact.details for fact in manifest.facts if type(fact) is Artifact]
    return frozenset(normalised(str(one["name"])) for one in details if "name" in one)


def _to_be_locked(manifest: Manifest, own: frozenset[str], lock: str) -> Iterator[tuple[Requirement, bool]]:
    """What a lock is to hold, and whether it may lack it: under a marker, or in a group that nobody chose."""
    for fact in manifest.requirements:
        apart = fact.group in _APART or fact.group.startswith("envs.") or fact.constraint
        nameless = fact.name == fact.source or normalised(fact.name) in own
        if fact.ecosystem == "pypi" and not apart and not nameless:
            yield fact, bool(fact.marker or (fact.group and lock in _UNLOCKED_GROUPS))


def _against(
    subject: str,
    versions: dict[str, list[str]],
    asked: Iterable[tuple[Requirement, bool]],
    manifest: Manifest,
) -> Iterator[Finding]:
    """What a manifest asks for that its lock lacks, or has in a version that the manifest excludes."""
    if not versions:
        return
    file = subject.rpartition("/")[2]
    overridden = {normalised(fact.name) for fact in manifest.requirements if fact.group == "overrides"}
    missing: dict[str, str] = {}
    for fact, optional in asked:
        name = normalised(fact.name)
        if name not in versions:
            if not optional:
                missing.setdefault(name, fact.place)
        elif name not in overridden and not _satisfied(fact.specifier, versions[name]):
            fixed = " and ".join(versions[name][:3])
            message = f"{file} fixes {name} {fixed}, but the manifest asks for {name}{_shown(fact.specifier)}"
            yield finding("lock-contradiction", manifest.subject, fact.place, message)
    if missing:
        noun = "package" if len(missing) == 1 else "packages"
        message = f"{file} lacks {len(missing)} {noun} that the manifest asks for: {first_of(list(missing), _NAMED)}"
        yield finding("lock-outdated", subject, "", message)


def _satisfied(specifier: str, versions: Sequence[str]) -> bool:
    """Whether one of the versions lies in the range; also where that cannot be told."""
    try:
        return not specifier or any(not version or allows("pypi", specifier, version) for version in versions)
    except ValueError:
        return True
