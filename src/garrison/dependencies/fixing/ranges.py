"""Ranges of versions as people write them: where they begin, what they let through, and how to raise them.

Source: PEP 440; Poetry's "Dependency specification"; conda's "Package match specifications".
"""

import re

from garrison.core.facts import Requirement
from garrison.dependencies.specifiers import alternatives_of

_CLAUSE = re.compile(r"(?P<operator>===|==|~=|!=|<=|>=|<|>|\^|~|=)?(?P<gap>\s*)v?(?P<version>[^\s,|<>=!~^;\"'#]+)")
_BUILD = re.compile(r"^(?P<head>\s*={0,2}\s*[^\s,|<>=!~^]+)(?P<build>(?:=|\s+)[^\s,|<>=!~^]+)$")
_LOWER = ("", "=", "==", "===", ">=", ">", "~=", "^", "~")


def lower_bound(fact: Requirement) -> str:
    """The least version that the range lets through, if it names one; empty for patterns and alternatives."""
    from packaging.version import InvalidVersion, Version

    if "|" in fact.specifier or re.search(r"\s-\s", fact.specifier):
        return ""
    versions = [clause["version"] for clause in _lower(fact.specifier)]
    try:
        return max(versions, key=Version, default="")
    except InvalidVersion:
        return versions[0] if len(versions) == 1 else ""


def pins(fact: Requirement) -> bool:
    """Whether it leaves no choice."""
    return any((clause["operator"] or "") in ("", "=", "==", "===") for clause in _lower(fact.specifier))


def admits(fact: Requirement, version: str, *, beside_pin: bool = False) -> bool:
    """Whether a version lies in the range; with `beside_pin`, in what it says besides the one version that it pins."""
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    try:
        alternatives = alternatives_of(fact.ecosystem, fact.specifier)
        for clauses in alternatives:
            kept = SpecifierSet(clauses)
            if beside_pin:
                kept = SpecifierSet(",".join(str(one) for one in kept if one.operator not in ("==", "===")))
            if kept.contains(version, prereleases=True):
                return True
    except (InvalidSpecifier, ValueError):
        return True
    return False


def raised(written: str, version: str, ecosystem: str) -> str | None:
    """The range as written, but from `version` on; `None` where that takes a person."""
    clauses = sorted(_lower(written), key=lambda one: one["operator"] in ("~=", "~"))
    if not clauses:
        return None
    clause = clauses[0]
    operator = clause["operator"] or ""
    if operator == "~=" or (operator == "~" and "." not in clause["version"]):
        # Raised itself, it would have another end.
        return f"{written.rstrip()},>={version}{written[len(written.rstrip()) :]}"
    start, end = clause.span("version")
    if ecosystem == "conda" and (build := _BUILD.match(written)):
        written, end = build["head"], min(end, build.end("head"))
    if operator == ">":
        return f"{written[: clause.start()]}>={clause['gap']}{version}{written[end:]}"
    return f"{written[:start]}{version}{written[end:]}"


def pattern(written: str) -> str:
    """A regular expression for the range in a file, where blanks and continued lines may stand between its parts."""
    gap = r"(?:[ \t]|\\\r?\n)*"
    parts = re.findall(r"===|==|~=|!=|<=|>=|[<>^~=,]|[^\s,<>=!~^]+", written)
    if not parts:
        return r"(?!)"
    # A range may follow a name directly, a bare version may not.
    before = r"(?<![=<>!~^])" if parts[0][0] in "=<>!~^" else r"(?<![\w.=<>!~^-])"
    return rf"{before}{gap.join(map(re.escape, parts))}(?![\w.*+!-])"


def _lower(written: str) -> "list[re.Match[str]]":
    """The clauses that set a least version."""
    return [
        clause
        for clause in _CLAUSE.finditer(written)
        if (clause["operator"] or "") in _LOWER and re.fullmatch(r"\d[\w.+!-]*", clause["version"])
    ]
