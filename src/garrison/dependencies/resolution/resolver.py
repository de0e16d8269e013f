"""Resolves requirements against an index's metadata, with `resolvelib`, which pip uses too.

Source: PEP 508, 440 and 592; the "Core metadata" specification.
"""

import importlib
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from garrison.core.errors import GarrisonError
from garrison.dependencies.index.client import Index
from garrison.dependencies.index.project import Project, Release, normalised, parsed

if TYPE_CHECKING:
    from packaging.requirements import Requirement as Written

_ROUNDS = 2000
_PACKAGES = 2000
_LEVELS = 30


class NotResolved(GarrisonError):
    """There is no set of versions, or it was not found within the budget; says why."""


class Resolved(msgspec.Struct, frozen=True):
    """What was found."""

    versions: dict[str, str]
    unknown: tuple[str, ...]
    """Packages of which there are only sdists, so that only building them would tell what they ask for."""
    requires: dict[str, tuple[str, ...]]
    """Names that each package asks for."""


class _Asked(NamedTuple):
    name: str
    extra: str
    specifier: Any
    text: str


class _Candidate(NamedTuple):
    name: str
    extra: str
    version: str


def resolve(index: Index, requirements: Sequence[str], constraints: Sequence[str] = ()) -> Resolved:
    """The newest versions that fit together, for this Python on this platform.

    Raises `NotResolved`. Pre-releases are taken only where a requirement names one, yanked releases only where one is
    pinned.
    """
    try:
        library: Any = importlib.import_module("resolvelib")
    except ImportError:
        raise NotResolved("`pip install garrison[resolve]` resolves what is not pinned") from None
    provider = _Provider(index, constraints)
    roots = [one for text in requirements for one in provider.asked(text, "")]
    provider.prefetch(roots)
    try:
        found = library.Resolver(provider, library.BaseReporter()).resolve(roots, max_rounds=_ROUNDS)
    except library.ResolutionImpossible as error:
        raise NotResolved(_chain(error.causes)) from None
    except library.ResolutionTooDeep:
        raise NotResolved(f"no answer within {_ROUNDS} rounds") from None
    chosen = [one for one in found.mapping.values() if not one.extra]
    return Resolved(
        versions={one.name: one.version for one in chosen},
        unknown=tuple(sorted(one.name for one in chosen if provider.silent(one))),
        requires={one.name: tuple(sorted({r.name for r in provider.get_dependencies(one)})) for one in chosen},
    )


def environment() -> str:
    """What markers and tags are evaluated for, for a person."""
    from packaging.markers import default_environment

    here = default_environment()
    name, version = here["platform_python_implementation"], here["python_full_version"]
    return f"{name} {version} on {here['sys_platform']} {here['platform_machine']}"


def _chain(causes: Iterable[Any]) -> str:
    """Who asks for what that does not go together."""
    told = dict.fromkeys(
        f"{f'{cause.parent.name} {cause.parent.version}' if cause.parent else 'the project'} asks for "
        f"{cause.requirement.text}"
        for cause in causes
    )
    return "; ".join(list(told)[:6]) or "nothing fits together"


class _Provider:
    """What `resolvelib` asks; names, versions and metadata come from the index, many at a time where that can be."""

    def __init__(self, index: Index, constraints: Sequence[str]) -> None:
        from packaging.markers import default_environment

        self._index = index
        self._environment: dict[str, str] = {str(key): str(value) for key, value in default_environment().items()}
        self._limits: dict[str, list[Any]] = {}
        for text in constraints:
            for one in self.asked(text, ""):
                self._limits.setdefault(one.name, []).append(one.specifier)

    def asked(self, text: str, extra: str) -> Iterator[_Asked]:
        """The requirements that a line stands for here: one for the package, one for each of its extras."""
        from packaging.requirements import InvalidRequirement, Requirement

        try:
            written: Written = Requirement(text)
            counts = written.marker is None or written.marker.evaluate({**self._environment, "extra": extra})
        except (InvalidRequirement, ValueError):
            return
        except Exception:  # an undefined comparison or name, which packaging has several errors for
            return
        if counts and not written.url:
            name = normalised(written.name)
            shown = f"{written.name}{written.specifier}"
            for one in ("", *sorted(normalised(item) for item in written.extras)):
                yield _Asked(name, one, written.specifier, shown)

    def prefetch(self, roots: Sequence[_Asked]) -> None:
        """Have the index asked for what will most likely be needed, a level of the tree at a time."""
        pending = list(roots)
        seen: set[tuple[str, str, str]] = set()
        for _ in range(_LEVELS):
            pending = [one for one in pending if (one.name, one.extra, one.text) not in seen]
            if not pending or len(seen) > _PACKAGES:
                return
            seen |= {(one.name, one.extra, one.text) for one in pending}
            self._index.projects({one.name for one in pending})
            best = [(one, next(iter(self._releases(one.name, [one], ())), None)) for one in pending]
            self._index.requirements([(one.name, release) for one, release in best if release is not None])
            pending = [
                more
                for one, release in best
                if release is not None
                for more in self.get_dependencies(_Candidate(one.name, one.extra, release.version))
            ]

    def silent(self, candidate: _Candidate) -> bool:
        return self._metadata(candidate) is None

    def identify(self, requirement_or_candidate: Any) -> tuple[str, str]:
        return requirement_or_candidate.name, requirement_or_candidate.extra

    def get_preference(
        self, identifier: Any, resolutions: Any, candidates: Any, information: Any, backtrack_causes: Any
    ) -> tuple[bool, bool, bool, str]:
        """What caused trouble first, then what leaves no choice, then what the project itself asks for."""
        causes = {(cause.requirement.name, cause.requirement.extra) for cause in backtrack_causes}
        asked = list(information[identifier])
        pinned = any(str(one.requirement.specifier).startswith("==") for one in asked)
        return identifier not in causes, not pinned, all(one.parent for one in asked), str(identifier)

    def narrow_requirement_selection(
        self, identifiers: Iterable[Any], resolutions: Any, candidates: Any, information: Any, backtrack_causes: Any
    ) -> Iterable[Any]:
        return identifiers

    def find_matches(
        self, identifier: tuple[str, str], requirements: Mapping[Any, Iterator[_Asked]], incompatibilities: Any
    ) -> list[_Candidate]:
        name, extra = identifier
        asked = [one for key in ((name, extra), (name, "")) if key in requirements for one in requirements[key]]
        refused = {one.version for one in incompatibilities.get(identifier, ())}
        found = self._releases(name, asked, refused)
        return [_Candidate(name, extra, one.version) for one in found]

    def is_satisfied_by(self, requirement: _Asked, candidate: _Candidate) -> bool:
        return bool(requirement.specifier.contains(candidate.version, prereleases=True))

    def get_dependencies(self, candidate: _Candidate) -> list[_Asked]:
        metadata = self._metadata(candidate)
        texts = metadata.requires if metadata else ()
        found = [one for text in texts for one in self.asked(text, candidate.extra)]
        if candidate.extra:
            # An extra comes with the very same version of its package.
            found += self.asked(f"{candidate.name}=={candidate.version}", "")
        return found

    def _metadata(self, candidate: _Candidate) -> Any:
        project = self._project(candidate.name)
        release = project.release(candidate.version) if project else None
        if release is None:
            return None
        return self._index.requirements([(candidate.name, release)])[candidate.name, release.version]

    def _project(self, name: str) -> Project | None:
        return self._index.projects([name])[name].project

    def _releases(self, name: str, asked: Sequence[_Asked], refused: Iterable[str]) -> list[Release]:
        """Those that all let through, the newest first; sdists alone come after all wheels."""
        project = self._project(name)
        if project is None:
            return []
        specifiers = [*(one.specifier for one in asked), *self._limits.get(name, ())]
        pinned = any(str(one).startswith("==") and "*" not in str(one) for one in specifiers)
        early = any(one.prereleases for one in specifiers)
        fitting = [
            one
            for one in reversed(project.releases)
            if one.version not in refused
            and (pinned or not one.yanked)
            and (early or pinned or not parsed(one.version).is_prerelease)
            and all(specifier.contains(one.version, prereleases=True) for specifier in specifiers)
            and self._installable(one)
        ]
        return sorted(fitting, key=lambda one: not any(file.wheel for file in one.files))

    def _installable(self, release: Release) -> bool:
        from packaging.specifiers import InvalidSpecifier, SpecifierSet

        here = f"{sys.version_info.major}.{sys.version_info.minor}.{sys.version_info.micro}"
        for file in release.files:
            try:
                if not file.requires_python or SpecifierSet(file.requires_python).contains(here, prereleases=True):
                    return True
            except InvalidSpecifier:
                return True
        return False
