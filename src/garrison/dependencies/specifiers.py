"""Ranges of versions, as Python's tools, conda, npm and Cargo write them.

Every grammar is put into one form first, alternatives of comma-separated PEP 440 clauses, so that one pair of eyes
judges them all: is it one version, has it a bound above, does a version lie in it, can two of them agree.

Source: PEP 440; Poetry's "Dependency specification"; conda's "Package match specifications"; npm's `semver` ranges;
Cargo's "Specifying Dependencies".
"""

import functools
import re
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from packaging.specifiers import SpecifierSet

Kind = Literal["exact", "bounded", "lower", "any", "unknown"]
"""One version; a range with an end; a range without one; any version; nothing that can be told."""
_CLAUSE = re.compile(r"\s*(===|==|~=|!=|<=|>=|<|>|\^|~|=)?\s*v?((?:\d+!)?[^\s,|<>=!~^]+)\s*")
_RELEASE = re.compile(r"(?:(\d+)!)?(\d+(?:\.\d+)*)(.*)", re.DOTALL)
_HYPHEN = re.compile(r"^\s*v?(\d[\w.+]*)\s+-\s+v?(\d[\w.+]*)\s*$")
_WILD = re.compile(r"(?:\.[*xX])+$")
_LONGEST = 2000
_ALTERNATIVES = 16
_LITERALS = 64
_PIN_DOTS = 2


def kind(ecosystem: str, specifier: str) -> Kind:
    """How far a range leaves the version open."""
    try:
        alternatives = alternatives_of(ecosystem, specifier)
    except ValueError:
        return "unknown"
    kinds = {_kind(one) for one in alternatives}
    for open_kind in ("any", "lower", "bounded"):
        if open_kind in kinds:
            return open_kind
    return "exact" if len(alternatives) == 1 else "bounded"


def _kind(clauses: str) -> Kind:
    parts = [part.strip() for part in clauses.split(",") if part.strip()]
    if any(part.startswith("===") or (part.startswith("==") and not part.endswith("*")) for part in parts):
        return "exact"
    if any(part.startswith(("<", "==", "~=")) for part in parts):
        return "bounded"
    return "lower" if any(part.startswith(">") for part in parts) else "any"


def pinned(ecosystem: str, specifier: str) -> str:
    """The one version that a range allows; empty where it allows more."""
    if kind(ecosystem, specifier) != "exact":
        return ""
    clauses = alternatives_of(ecosystem, specifier)[0].split(",")
    exact = [part.strip() for part in clauses if part.strip().startswith("==") and not part.strip().endswith("*")]
    return exact[0].lstrip("=").strip() if exact else ""


@functools.lru_cache(maxsize=8192)
def alternatives_of(ecosystem: str, specifier: str) -> tuple[str, ...]:
    """The range as alternatives, of which each is PEP 440 clauses that must all hold. Raises `ValueError`."""
    text = specifier.strip()
    if len(text) > _LONGEST:
        raise ValueError(f"a range of {len(text)} characters")
    if ecosystem == "conda":
        return _conda(text)
    if ecosystem == "golang":
        return (f"=={text.removeprefix('v')}",) if text else ("",)
    separator = "||" if "||" in text else ("|" if ecosystem == "pypi" else "||")
    parts = text.split(separator)
    if len(parts) > _ALTERNATIVES:
        raise ValueError(f"a range of {len(parts)} alternatives")
    return tuple(_clauses(part, ecosystem) for part in parts)


def _clauses(text: str, ecosystem: str) -> str:
    text = text.strip()
    if text.lower() in ("", "*", "x", "latest", "any"):
        return ""
    between = _HYPHEN.match(text)
    if between and ecosystem == "npm":
        return f">={between[1]},<={between[2]}"
    found: list[str] = []
    position = 0
    while position < len(text):
        clause = _CLAUSE.match(text, position)
        if clause is None:
            raise ValueError(f"no range of versions: {text[:80]!r}")
        found.append(_clause(clause[1] or "", clause[2], ecosystem))
        position = clause.end()
        if text[position : position + 1] == ",":
            position += 1
    return ",".join(part for part in found if part)


def _clause(operator: str, version: str, ecosystem: str) -> str:
    if version in ("*", "x", "X"):
        return ""
    if _WILD.search(version):
        version = _WILD.sub("", version)
        if operator in ("!=",):
            return f"!={version}.*"
        return f"=={version}.*" if operator in ("", "=", "==") else _clause(operator, version, ecosystem)
    if ecosystem == "cargo" and not operator:
        operator = "^"
    if ecosystem == "npm" and operator in ("", "=") and version.count(".") < 2 and version.replace(".", "").isdigit():
        return f"=={version}.*"
    if operator == "^":
        return f">={version},<{_after(version, _caret(version))}"
    if operator == "~" or (operator == "~=" and "." not in _release(version)):
        return f">={version},<{_after(version, 1 if '.' in _release(version) else 0)}"
    return f"{'==' if operator in ('', '=') else operator}{version}"


def _release(version: str) -> str:
    found = _RELEASE.match(version)
    if found is None:
        raise ValueError(f"no version: {version[:80]!r}")
    return found[2]


def _caret(version: str) -> int:
    """Where a caret's range ends: the first part that is not zero, or the last one given."""
    parts = _release(version).split(".")
    return next((number for number, part in enumerate(parts) if int(part)), len(parts) - 1)


def _after(version: str, position: int) -> str:
    """The next version that differs at `position`."""
    found = _RELEASE.match(version)
    assert found is not None
    parts = found[2].split(".")[: position + 1]
    parts[-1] = str(int(parts[-1]) + 1)
    return (f"{found[1]}!" if found[1] else "") + ".".join(parts)


def _conda(text: str) -> tuple[str, ...]:
    """`=1.2`, `==1.2`, `=1.2=build`, `1.2.*`, `>=1,<2|3.1`; a build string pins no version by itself."""
    text = text.strip("[] ")
    if not text or text == "*":
        return ("",)
    parts = text.split("|")
    if len(parts) > _ALTERNATIVES:
        raise ValueError(f"a range of {len(parts)} alternatives")
    return tuple(_conda_clauses(part) for part in parts)


def _conda_clauses(text: str) -> str:
    exact = re.fullmatch(r"\s*(==?)?\s*([^\s=<>!~,|]+)(?:\s*=\s*|\s+)([^\s=<>!~,|]+)\s*", text)
    if exact:
        # A version and a build: the version is meant as written.
        return _conda_clause("==", exact[2])
    found = []
    for part in text.split(","):
        clause = _CLAUSE.fullmatch(part)
        if clause is None:
            raise ValueError(f"no range of versions: {text[:80]!r}")
        found.append(_conda_clause(clause[1] or "==", clause[2]))
    return ",".join(one for one in found if one)


def _conda_clause(operator: str, version: str) -> str:
    if version == "*":
        return ""
    if version.endswith("*"):
        version = version.rstrip("*").rstrip(".")
        return f"!={version}.*" if operator == "!=" else f"=={version}.*"
    if operator == "=":
        # With three parts or more it is a pin in all but name: nothing else is released under them.
        return f"=={version}.*" if version.count(".") < _PIN_DOTS else f"=={version}"
    if operator in ("^", "~"):
        raise ValueError(f"no operator of conda: {operator}")
    return f"{operator}{version}"


def python_marker(versions: str) -> str:
    """Poetry's `python = "^3.8"` of one package as a marker of PEP 508; empty where it says nothing that one knows."""
    try:
        alternatives = alternatives_of("pypi", versions)
    except ValueError:
        return ""
    found = []
    for clauses in alternatives:
        parts = [part for part in clauses.split(",") if part]
        found.append(" and ".join(map(_python_clause, parts)))
    if not all(found):
        return ""
    return found[0] if len(found) == 1 else " or ".join(f"({one})" for one in found)


def _python_clause(clause: str) -> str:
    digits = next(index for index, letter in enumerate(clause) if letter not in "=<>!~")
    operator, version = clause[:digits], clause[digits:]
    variable = "python_full_version" if version.count(".") > 1 and not version.endswith("*") else "python_version"
    return f'{variable} {operator} "{version}"'


def _sets(ecosystem: str, specifier: str) -> "list[SpecifierSet]":
    """Raises `ValueError` where Python's packages cannot compare it."""
    from packaging.specifiers import SpecifierSet

    return [SpecifierSet(one) for one in alternatives_of(ecosystem, specifier)]


def allows(ecosystem: str, specifier: str, version: str) -> bool:
    """Whether a version lies in a range. Raises `ValueError` where that cannot be told."""
    from packaging.version import Version

    if "===" in specifier:
        return pinned(ecosystem, specifier).lower() == version.lower()
    Version(version)
    return any(one.contains(version, prereleases=True) for one in _sets(ecosystem, specifier))


def disjoint(ecosystem: str, first: str, second: str) -> bool:
    """Whether no version can satisfy both. `False` where that cannot be told."""
    try:
        return not any(_meet(one, other) for one in _sets(ecosystem, first) for other in _sets(ecosystem, second))
    except ValueError:
        return False


def _meet(first: "SpecifierSet", second: "SpecifierSet") -> bool:
    """Whether a version lies in both: if one does, one does near a version that they name."""
    both = first & second
    literals = {clause.version.removesuffix(".*") for clause in both}
    if len(literals) > _LITERALS:
        return True
    if any(clause.operator == "===" for clause in both):
        return _arbitrary_meet(both)
    return any(both.contains(candidate, prereleases=True) for one in literals or {"0"} for candidate in _near(one))


def _arbitrary_meet(both: "SpecifierSet") -> bool:
    """With `===` only that one text will do; where it is no version, other operators cannot be asked."""
    from packaging.version import InvalidVersion, Version

    texts = {clause.version.lower() for clause in both if clause.operator == "==="}
    if len(texts) > 1:
        return False
    try:
        version = Version(next(iter(texts)))
    except InvalidVersion:
        return True
    return all(clause.contains(version, prereleases=True) for clause in both if clause.operator != "===")


def _near(literal: str) -> list[str]:
    """The version, its closest neighbours, and where each of its parts is one more."""
    from packaging.version import Version

    version = Version(literal)
    epoch = f"{version.epoch}!" if version.epoch else ""
    release = [*version.release]
    padded = release + [0] * (4 - len(release))
    base = ".".join(map(str, padded))
    near = [literal, version.public, f"{version.public}+0", f"{epoch}0", f"{epoch}0.dev0"]
    near += [f"{epoch}{base}.0.1", f"{epoch}{base}.dev0"]
    stem = epoch + ".".join(map(str, release))
    if version.pre:
        stem += f"{version.pre[0]}{version.pre[1]}"
        near.append(f"{epoch}{'.'.join(map(str, release))}{version.pre[0]}{version.pre[1] + 1}")
    post = -1 if version.post is None else version.post
    near += [f"{stem}.post{post + 1}", f"{stem}.post{post + 1}.dev0", f"{stem}.dev{(version.dev or 0) + 1}"]
    for position in range(len(release)):
        near.append(epoch + ".".join(map(str, [*release[:position], release[position] + 1])))
    return near
