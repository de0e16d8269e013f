"""Which versions of which packages are in use, as far as anybody says: what advisories can be held against."""

import functools
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import msgspec

from garrison.core.facts import Examination, OperatingSystem, Package, Requirement
from garrison.dependencies.purl import InvalidPackageURL, normalise_name, osv_ecosystem, purl
from garrison.dependencies.python_requirement import named_by_file
from garrison.dependencies.specifiers import pinned

if TYPE_CHECKING:
    from garrison.core.report import Item

_SYSTEM = frozenset({"deb", "apk", "rpm"})
_VERSION = re.compile(r"\d[\w.!+\-]*")
_CONDA = re.compile(r"={0,2}\s*(\d[\w.!+]*)(?:[=\s]+[\w.*]+)?$")
_ROOT = re.compile(r"(?:^|(?<=/))(?:usr/lib|etc)/[^/]+$")
_SIGNED = re.compile(r"linux-signed(?:-(?:amd64|arm64|i386))?(-\w[\w.\-]*)?$")


class Place(msgspec.Struct, frozen=True, array_like=True):
    """Where a version or a range is written."""

    subject: str
    place: str = ""


class InUse(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a package, wherever it is named."""

    ecosystem: str
    """As OSV has it: `PyPI`, `Debian:12`; empty where OSV has none."""
    name: str
    """As advisories name it: of an operating system's package, its source."""
    version: str
    written: str
    """As whoever uses it names it: conda's `pytorch` for `torch`, `libssl3` for `openssl`."""
    purl: str
    places: tuple[Place, ...]
    also: tuple[tuple[str, str], ...] = ()
    """Other names and versions that advisories may speak of it by."""
    direct: bool | None = None
    """Whether somebody asks for it himself; `None` where nothing tells."""


class Indefinite(msgspec.Struct, frozen=True, kw_only=True):
    """A package that somebody asks for, of which no version is known."""

    ecosystem: str
    name: str
    written: str
    specifier: str
    source: str
    places: tuple[Place, ...]


class Packages(msgspec.Struct, frozen=True, kw_only=True):
    definite: tuple[InUse, ...]
    indefinite: tuple[Indefinite, ...]


class _Conda(msgspec.Struct, frozen=True):
    reason: str
    renamed: dict[str, str]
    others: frozenset[str]


@functools.cache
def _conda() -> _Conda:
    with open(os.path.join(os.path.dirname(__file__), "knowledge", "conda_names.json"), "rb") as file:
        return msgspec.json.decode(file.read(), type=_Conda)


def packages_in_use(examinations: Sequence[Examination]) -> Packages:
    """All packages that the subjects name: each version once, with every place that names it.

    A requirement without a version counts as definite where a lock file, a constraint or an environment in the same
    directory fixes its version.
    """
    roots = roots_of(examinations)
    definite: dict[tuple[str, str, str, str], list[InUse]] = {}
    asked: dict[tuple[str, str], list[tuple[Requirement, Place]]] = {}
    fixed: set[tuple[str, str]] = set()
    for examination in examinations:
        for fact in examination.facts:
            used = None
            if type(fact) is Package:
                used = _package(fact, examination.subject, roots)
                if used is None and fact.state == "listed":
                    ecosystem, name = _listed_as(fact)
                    plain = Requirement(ecosystem=fact.ecosystem, name=fact.name, place=fact.place)
                    asked.setdefault((ecosystem, name), []).append((plain, Place(examination.subject, fact.place)))
            elif type(fact) is Requirement:
                used = _pinned(fact, examination.subject)
                if used is None and not fact.constraint:
                    ecosystem, name = known_as(fact.ecosystem, fact.name)
                    asked.setdefault((ecosystem, name), []).append((fact, Place(examination.subject, fact.place)))
            if used is not None:
                key = used.ecosystem, used.name, used.version, "" if used.ecosystem else used.purl
                definite.setdefault(key, []).append(used)
                fixed.add((_directory(examination.subject), f"{used.ecosystem} {used.name}"))
    merged = tuple(_merged(found) for found in definite.values())
    return Packages(definite=merged, indefinite=tuple(_indefinite(asked, fixed)))


def _merged(found: Sequence[InUse]) -> InUse:
    if len(found) == 1:
        return found[0]
    first = found[0]
    directs = [one.direct for one in found]
    return msgspec.structs.replace(
        first,
        written=", ".join(dict.fromkeys(one.written for one in found)),
        places=tuple(dict.fromkeys(place for one in found for place in one.places)),
        also=tuple(dict.fromkeys(name for one in found for name in one.also)),
        direct=True if True in directs else None if None in directs else False,
    )


def _indefinite(
    asked: dict[tuple[str, str], list[tuple[Requirement, Place]]], fixed: set[tuple[str, str]]
) -> Iterator[Indefinite]:
    for (ecosystem, name), found in asked.items():
        left = [
            (fact, place) for fact, place in found if (_directory(place.subject), f"{ecosystem} {name}") not in fixed
        ]
        if left:
            fact = left[0][0]
            yield Indefinite(
                ecosystem=ecosystem,
                name=name,
                written=fact.name,
                specifier=fact.specifier,
                source=fact.source,
                places=tuple(place for _, place in left),
            )


def _directory(subject: str) -> str:
    return subject.rpartition("/")[0]


def known_as(ecosystem: str, name: str) -> tuple[str, str]:
    """The ecosystem and the name that advisories have for a package of a language or of conda."""
    if ecosystem != "conda":
        return osv_ecosystem(ecosystem) or "", normalise_name(ecosystem, name)
    lower = name.lower()
    if lower in _conda().others:
        return "", lower
    return "PyPI", _conda().renamed.get(lower.replace("_", "-")) or normalise_name("pypi", name)


def _listed_as(fact: Package) -> tuple[str, str]:
    """What advisories call a package that a bill of materials lists without a version."""
    if fact.ecosystem in _SYSTEM:
        return osv_ecosystem(fact.ecosystem, fact.distribution) or "", fact.source_name or fact.name
    return known_as(fact.ecosystem, fact.name)


def _package(fact: Package, subject: str, roots: Sequence[tuple[str, OperatingSystem]]) -> InUse | None:
    if not fact.version:
        return None
    places = (Place(subject, fact.place),)
    if fact.ecosystem not in _SYSTEM:
        ecosystem, name = known_as(fact.ecosystem, fact.name)
        return InUse(
            ecosystem=ecosystem,
            name=name,
            version=fact.version,
            written=fact.name,
            purl=fact.purl,
            places=places,
            direct=fact.direct,
        )
    ecosystem = osv_ecosystem(fact.ecosystem, fact.distribution or distribution_of(subject, roots)) or ""
    source, version = fact.source_name or fact.name, fact.source_version or fact.version
    signed = _SIGNED.match(source) if fact.ecosystem == "deb" else None
    if signed:
        # The signed images of a kernel are a source package of their own; advisories name the kernel's.
        source, version = f"linux{signed[1] or ''}", fact.version
    also: tuple[tuple[str, str], ...] = ()
    if fact.ecosystem == "rpm":
        # Some distributions' advisories name source packages, others binary ones.
        also = ((source, version),) if source != fact.name else ()
        source, version = fact.name, fact.version
    return InUse(
        ecosystem=ecosystem,
        name=source,
        version=version,
        written=fact.name,
        purl=fact.purl,
        places=places,
        also=also,
        direct=fact.direct,
    )


def roots_of(examinations: "Iterable[Examination | Item]") -> list[tuple[str, OperatingSystem]]:
    """Operating systems by the path or the container that they are the root of, the longest first."""
    found = [
        (_ROOT.sub("", examination.subject), fact)
        for examination in examinations
        for fact in examination.facts
        if type(fact) is OperatingSystem
    ]
    return sorted(found, key=lambda item: -len(item[0]))


def distribution_of(subject: str, roots: Sequence[tuple[str, OperatingSystem]]) -> str:
    """The distribution whose root a subject lies in, as `debian:12`; empty where none is known."""
    system = next((system for root, system in roots if subject.startswith(root)), None)
    return f"{system.id}:{system.version}" if system else ""


def _pinned(fact: Requirement, subject: str) -> InUse | None:
    """The version that a requirement leaves no choice of."""
    # The source of a conda package is its channel.
    by_file = bool(fact.source) and fact.ecosystem != "conda"
    version = _from_file(fact) if by_file else _exact(fact.ecosystem, fact.specifier)
    if not version:
        return None
    ecosystem, name = known_as(fact.ecosystem, fact.name)
    try:
        location = purl(fact.ecosystem, name if fact.ecosystem != "conda" else fact.name, version)
    except InvalidPackageURL:
        return None
    return InUse(
        ecosystem=ecosystem,
        name=name,
        version=version,
        written=fact.name,
        purl=location,
        places=(Place(subject, fact.place),),
        direct=None if fact.constraint else True,
    )


def _exact(ecosystem: str, specifier: str) -> str:
    text = specifier.removesuffix("(hash)").strip()
    if ecosystem == "conda":
        # `=1.2` takes the newest 1.2.x: what is known of 1.2 is the best that can be said; `=1` says too little.
        found = _CONDA.match(text)
        return found[1] if found and ("." in found[1] or text.startswith("==")) else ""
    version = pinned(ecosystem, text.strip("()"))
    return version if _VERSION.fullmatch(version) else ""


def _from_file(fact: Requirement) -> str:
    """The version in the name of the wheel or the sdist that an URL or a path leads to."""
    if fact.ecosystem != "pypi":
        return ""
    named = named_by_file(fact.source)
    return named[1] if named and normalise_name("pypi", named[0]) == normalise_name("pypi", fact.name) else ""
