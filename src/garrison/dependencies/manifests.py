"""Manifests of a scan, joined by the paths with which they name each other."""

import posixpath
from collections.abc import Iterator, Sequence

import msgspec

from garrison.core.facts import Examination, Reference, Requirement, Setting

_MOST = 2000
_FORMATS = frozenset({"requirements", "requirement-lines", "conda-environment"})


class Include(msgspec.Struct, frozen=True):
    """One file named by another."""

    target: str
    """The subject that it would be."""
    written: str
    kind: str
    """`-r`, `-c`, or `dependencies` where a build takes its requirements from it."""
    place: str


class Manifest(msgspec.Struct, frozen=True):
    """What one subject asks for."""

    subject: str
    formats: tuple[str, ...]
    requirements: tuple[Requirement, ...]
    indexes: tuple[Reference, ...]
    includes: tuple[Include, ...]
    settings: frozenset[str]
    """Options of pip that are on: `require-hashes`, `no-index`."""
    served: frozenset[str]
    """The addresses of its indexes."""

    def is_direct(self, requirement: Requirement) -> bool:
        """Whether a package is taken from an address or a path of its own, and not from an index by its name."""
        conda = requirement.ecosystem == "conda"
        return bool(requirement.source) and not conda and requirement.source not in self.served


class Asked(msgspec.Struct, frozen=True):
    """A requirement with the subject that it stands in."""

    subject: str
    requirement: Requirement


class Manifests:
    """All manifests by subject."""

    def __init__(self, examinations: Sequence[Examination]) -> None:
        self.read = {item.subject for item in examinations if item.state != "skipped"}
        self.strange = {item.subject for item in examinations if item.size and _FORMATS.isdisjoint(item.formats)}
        """Subjects that were not read as requirements, whatever they hold."""
        self.by_subject = {item.subject: manifest for item in examinations if (manifest := _manifest(item)) is not None}

    def roots(self) -> Iterator[Manifest]:
        """Manifests that no other one names; of a circle that nothing names, its first."""
        named = {
            include.target for manifest in self.by_subject.values() for include in manifest.includes
        } & self.by_subject.keys()
        seen: set[str] = set()
        for subject, manifest in self.by_subject.items():
            if subject not in named:
                seen.update(part.subject for part, _ in self.closure(manifest))
                yield manifest
        for subject, manifest in self.by_subject.items():
            if subject not in seen:
                seen.update(part.subject for part, _ in self.closure(manifest))
                yield manifest

    def closure(self, manifest: Manifest) -> list[tuple[Manifest, bool]]:
        """The manifest and all that it reads, each once, and whether it only limits versions."""
        found: dict[str, tuple[Manifest, bool]] = {manifest.subject: (manifest, False)}
        pending = [(manifest, False)]
        while pending and len(found) < _MOST:
            current, limiting = pending.pop()
            for include in current.includes:
                other = self.by_subject.get(include.target)
                if other is not None and include.target not in found:
                    found[include.target] = other, limiting or include.kind == "-c"
                    pending.append(found[include.target])
        return list(found.values())

    def asked(self, manifest: Manifest) -> Iterator[Asked]:
        """All that a manifest asks for and limits, with what it reads."""
        for part, limiting in self.closure(manifest):
            for requirement in part.requirements:
                if limiting and not requirement.constraint:
                    requirement = msgspec.structs.replace(requirement, constraint=True)
                yield Asked(part.subject, requirement)

    def circles(self) -> Iterator[tuple[Manifest, Include, list[str]]]:
        """Where a file comes to name itself: the file, the naming that closes the circle, and the way round."""
        done: set[str] = set()
        for start in self.by_subject:
            path: dict[str, Iterator[Include]] = {start: iter(self.by_subject[start].includes)}
            while path and start not in done:
                current = next(reversed(path))
                include = next(path[current], None)
                if include is None:
                    done.add(current)
                    del path[current]
                elif include.target in path:
                    names = list(path)
                    yield self.by_subject[current], include, names[names.index(include.target) :]
                elif include.target in self.by_subject and include.target not in done:
                    path[include.target] = iter(self.by_subject[include.target].includes)


def _manifest(examination: Examination) -> Manifest | None:
    requirements = tuple(fact for fact in examination.facts if type(fact) is Requirement)
    references = [fact for fact in examination.facts if type(fact) is Reference]
    includes = [fact for fact in references if fact.role == "requirement-file" and "://" not in fact.target]
    indexes = tuple(fact for fact in references if fact.role == "package-index")
    if not (requirements or includes or indexes):
        return None
    return Manifest(
        subject=examination.subject,
        formats=tuple(examination.formats),
        requirements=requirements,
        indexes=indexes,
        includes=tuple(
            Include(joined(examination.subject, fact.target), fact.target, fact.detail, fact.place)
            for fact in includes[:_MOST]
        ),
        served=frozenset(index.target for index in indexes),
        settings=frozenset(fact.name for fact in examination.facts if type(fact) is Setting and fact.topic == "pip"),
    )


def folder(subject: str) -> str:
    """The directory that a subject lies in, with a slash at its end; empty for the current one."""
    return subject[: subject.rfind("/") + 1]


def joined(subject: str, target: str) -> str:
    """What a path that is written in a subject names, as a subject."""
    path = target.replace("\\", "/")
    outer, mark, inner = folder(subject).rpartition("!/")
    if path.startswith("/"):
        return posixpath.normpath(path)
    return outer + mark + posixpath.normpath(inner + path)
