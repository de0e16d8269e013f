"""Judges how far manifests leave open what will be installed: versions and hashes. One finding a file."""

from collections.abc import Iterator, Sequence

from garrison.core.facts import Anomaly, Examination, Package, Requirement
from garrison.core.findings import Check, Finding, Severity
from garrison.core.judgement import finding
from garrison.core.policy import Policy
from garrison.dependencies.manifests import Manifest, Manifests, folder
from garrison.dependencies.python_requirement import normalised
from garrison.dependencies.specifiers import kind
from garrison.dependencies.wording import first_of

_ECOSYSTEMS = frozenset({"pypi", "conda"})
_LIBRARIES = frozenset({"pyproject", "setup-cfg", "setup-script"})
"""Manifests of packages that others install: ranges are as it should be there, and a lock file fixes the versions."""
_UNJUDGED = frozenset({"build-system", "overrides"})
_NAMED = 5
_FEW = 2


def detect(examinations: Sequence[Examination], policy: Policy) -> Iterator[Finding | Check]:
    """Unpinned, loosely pinned and unhashed requirements, and how many were judged of how many there are."""
    manifests = Manifests(examinations)
    locked = {folder(item.subject) for item in examinations if _is_lock(item)}
    judged = 0
    for manifest in manifests.by_subject.values():
        bound = {fact.name for fact in manifest.requirements if fact.constraint and fact.source}
        requirements = [fact for fact in manifest.requirements if _counts(fact, manifest) and fact.name not in bound]
        judged += len(requirements)
        if requirements and not _is_locked(manifest, locked, manifests):
            limited = _limited(manifest, manifests)
            yield from _open(manifest, [fact for fact in requirements if normalised(fact.name) not in limited])
            yield from _unhashed(manifest, requirements)
    left = sum(_unread(fact) for item in examinations for fact in item.facts if type(fact) is Anomaly)
    if judged or left:
        yield Check(
            name="pins",
            checked=judged,
            total=judged + left,
            reason=f"{left} entries are computed or are none that installers read" if left else "",
            gap=bool(left),
        )


def _is_lock(examination: Examination) -> bool:
    return any(type(fact) is Package and fact.state == "locked" for fact in examination.facts)


def _unread(fact: Anomaly) -> int:
    return int(fact.what in ("requirement-computed", "requirement-refused"))


def _counts(fact: Requirement, manifest: Manifest) -> bool:
    """Whether a version of it is chosen from an index: not for what is limited only, or lies at its own address."""
    if fact.ecosystem not in _ECOSYSTEMS or fact.constraint or fact.group in _UNJUDGED:
        return False
    if fact.ecosystem == "conda" and fact.name == "pip":
        # conda wants it named wherever it installs packages with it.
        return False
    return not manifest.is_direct(fact)


def _is_locked(manifest: Manifest, locked: set[str], manifests: Manifests) -> bool:
    """Whether a lock file beside it fixes the versions, or the output of pip-compile does."""
    if folder(manifest.subject) in locked and not {"requirements", "requirement-lines"} & set(manifest.formats):
        return True
    stem, dot, ending = manifest.subject.rpartition(".")
    return bool(dot) and ending == "in" and f"{stem}.txt" in manifests.by_subject


def _limited(manifest: Manifest, manifests: Manifests) -> set[str]:
    """Names that a constraints file pins."""
    return {
        normalised(asked.requirement.name)
        for asked in manifests.asked(manifest)
        if asked.requirement.constraint and kind("pypi", asked.requirement.specifier) == "exact"
    }


def _open(manifest: Manifest, requirements: Sequence[Requirement]) -> Iterator[Finding]:
    kinds = [(fact, kind(fact.ecosystem, fact.specifier)) for fact in requirements]
    library = not _LIBRARIES.isdisjoint(manifest.formats)
    unpinned = [fact for fact, found in kinds if found == "any"]
    if unpinned:
        message = f"{_share(unpinned, requirements)} asked for in any version: {_names(unpinned)}"
        severity = Severity.INFO if library else Severity.LOW
        yield finding("requirement-unpinned", manifest.subject, unpinned[0].place, message, severity=severity)
    loose = [fact for fact, found in kinds if found == "lower" or (found == "bounded" and "*" in fact.specifier)]
    if loose and not library:
        message = f"{_share(loose, requirements)} asked for without an upper bound or by a wildcard: {_names(loose)}"
        yield finding("requirement-loose", manifest.subject, loose[0].place, message)


def _unhashed(manifest: Manifest, requirements: Sequence[Requirement]) -> Iterator[Finding]:
    if not {"requirements", "requirement-lines"} & set(manifest.formats):
        return
    python = [fact for fact in requirements if fact.ecosystem == "pypi"]
    without = [fact for fact in python if not fact.hashes]
    if not without:
        return
    if len(without) < len(python) or "require-hashes" in manifest.settings:
        message = (
            f"{_share(without, python)} asked for without a hash, while hashes are asked for: {_names(without)}; "
            "pip refuses to install the file"
        )
        yield finding("requirement-unhashed", manifest.subject, without[0].place, message, severity=Severity.LOW)
    elif len(python) >= _FEW and all(kind("pypi", fact.specifier) == "exact" for fact in python):
        message = f"all {len(python)} packages are pinned, none by a hash: an index can serve other files under them"
        yield finding("requirement-unhashed", manifest.subject, "", message)


def _share(some: Sequence[Requirement], of: Sequence[Requirement]) -> str:
    if len(of) == 1:
        return "the only package is"
    return f"{len(some)} of {len(of)} packages {'is' if len(some) == 1 else 'are'}"


def _names(requirements: Sequence[Requirement]) -> str:
    names = list(dict.fromkeys(f"{fact.name}{fact.specifier}"[:80] for fact in requirements))
    return first_of(names, _NAMED)
