"""Judges whether packages of the team's own could be taken from a public index, where anybody can register their names.

Source: A. Birsan, "Dependency Confusion" (2021); PEP 708; how pip, Poetry, PDM, Pipenv and uv choose among indexes.
"""

import fnmatch
from collections.abc import Iterator, Sequence

from garrison.core.facts import Examination, Package, Reference, Requirement
from garrison.core.findings import Finding, Severity
from garrison.core.judgement import finding
from garrison.core.policy import Policy
from garrison.dependencies.knowledge.package_indexes import is_public
from garrison.dependencies.manifests import Manifest, Manifests
from garrison.dependencies.python_requirement import normalised

_REPLACING = frozenset({"--index-url", "default index"})
_BESIDE = frozenset({"--extra-index-url", "extra index"})
_FIRST = frozenset({"first index", "supplemental index"})
_RULE = "dependency-confusion"


def detect(examinations: Sequence[Examination], policy: Policy) -> Iterator[Finding]:
    """Names that policy calls private, where a public index is asked for them."""
    patterns = tuple(pattern if "/" in pattern else _plain(pattern) for pattern in policy.packages.private)
    if not patterns:
        return
    manifests = Manifests(examinations)
    seen: set[tuple[str, str]] = set()
    for manifest in manifests.roots():
        for subject, fact, message, severity in _asked(manifest, manifests, patterns):
            if (subject, fact.place) not in seen:
                seen.add((subject, fact.place))
                yield finding(_RULE, subject, fact.place, message, severity=severity)
    for item in examinations:
        for package in item.facts:
            if type(package) is Package and _is_exposed(package, patterns):
                origin = package.source or "the public index"
                message = (
                    f"{package.name} {package.version} is yours by policy, and the lock file takes it from {origin}"
                )
                yield finding(_RULE, item.subject, package.place, message)


def _is_exposed(package: Package, patterns: Sequence[str]) -> bool:
    """Whether a lock takes a private package from where anybody can publish."""
    public = not package.source or is_public(package.source)
    return package.state == "locked" and public and _is_private(package.name, patterns)


def _plain(pattern: str) -> str:
    """A pattern in the form that names are compared in, with its wildcards left alone."""
    return "".join("-" if letter in "_." else letter for letter in pattern.lower())


def _is_private(name: str, patterns: Sequence[str]) -> bool:
    plain = name.lower() if "/" in name else normalised(name)
    return any(fnmatch.fnmatchcase(plain, pattern) for pattern in patterns)


def _asked(
    manifest: Manifest, manifests: Manifests, patterns: Sequence[str]
) -> Iterator[tuple[str, Requirement, str, Severity | None]]:
    parts = [part for part, _ in manifests.closure(manifest)]
    # What one file says of indexes counts for all that is read with it.
    indexes = [index for part in parts for index in part.indexes]
    bound = {normalised(f.name) for part in parts for f in part.requirements if f.source and not is_public(f.source)}
    outcome = _outcome(indexes, any("no-index" in part.settings for part in parts))
    for part in parts:
        for fact in part.requirements:
            if fact.ecosystem != "pypi" or fact.constraint or not _is_private(fact.name, patterns):
                continue
            if fact.source and is_public(fact.source):
                yield part.subject, fact, f"{fact.name} is yours by policy, and is taken from {fact.source}", None
            elif outcome is not None and normalised(fact.name) not in bound:
                yield part.subject, fact, f"{fact.name} is yours by policy, and {outcome[0]}", outcome[1]


def _outcome(indexes: Sequence[Reference], no_index: bool) -> tuple[str, Severity | None] | None:
    """What happens to a package that nothing binds to an index."""
    if no_index:
        return None
    named = [index for index in indexes if index.detail in _REPLACING | _BESIDE | _FIRST]
    replaced = [index for index in named if index.detail in _REPLACING]
    private = [index for index in named if not is_public(index.target)]
    public = [index for index in named if is_public(index.target)]
    default_is_public = not replaced or is_public(replaced[-1].target)
    if not default_is_public and not public:
        return None
    if not named:
        message = "nothing here names the index that it must come from: unless the installer is configured elsewhere, "
        return f"{message}it is taken from the public one", Severity.MEDIUM
    where = public[0].target if public else "the public index"
    if not private:
        return f"the only index that is asked is {where}", None
    if all(index.detail in _FIRST for index in private):
        message = f"{where} is asked for it whenever {private[0].target} does not have it; bind it to its index"
        return message, Severity.LOW
    return f"the installer takes the highest version of {private[0].target} and {where}, whoever put it there", None
