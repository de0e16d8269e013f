"""Collects what a lock file fixes, so that each format states it alike."""

import re
from collections.abc import Iterable, Mapping
from typing import Literal

from garrison.core.facts import Anomaly, Artifact, Package, Requirement
from garrison.dependencies.purl import InvalidPackageURL, normalise_name, purl
from garrison.sources.source import Extracted

_LONGEST = 500
"""Characters of a name or a version; no registry takes longer ones."""
_NAMED = 5
_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]*:[^/@\s]*@")
_DEFAULT_INDEXES = frozenset({"https://pypi.org/simple", "https://pypi.python.org/simple"})

State = Literal["locked", "installed", "archive", "listed", "resolved"]


def public(url: str) -> str:
    """The address without the name and password that it may hold."""
    return _CREDENTIALS.sub("", url[:2048])


class Origin:
    """Where a package is taken from, other than from the default index."""

    __slots__ = ("key", "kind", "source")

    def __init__(self, kind: Literal["index", "vcs", "url", "path", ""] = "", source: str = "") -> None:
        self.kind = kind
        self.source = public(source)
        self.key = {"index": "repository_url", "vcs": "vcs_url", "url": "download_url"}.get(kind, "")


DEFAULT = Origin()


def index(url: str) -> Origin:
    """An index of Python packages, unless it is the default one."""
    return DEFAULT if not url or url.rstrip("/").lower() in _DEFAULT_INDEXES else Origin("index", url)


def version_control(kind: str, url: str, commit: str) -> Origin:
    """A repository at a commit, as pip and package URLs write it: `git+https://…@commit`."""
    if not url.startswith(f"{kind}+") and not url.startswith("git@"):
        url = f"{kind}+{url}"
    return Origin("vcs", f"{url}@{commit}" if commit else url)


class Locked:
    """The packages of one file."""

    def __init__(self, format: str, state: State = "locked") -> None:
        self.details: dict[str, str | int | float | bool] = {}
        """What the file says of itself."""
        self._format = format
        self._state: State = state
        self._packages: dict[tuple[str, str, str, str], Package] = {}
        self._unversioned: list[Requirement] = []
        self._incomplete: list[str] = []
        self._unhashed: list[str] = []
        self._misnamed: list[str] = []
        self._contradictory: list[str] = []
        self._foreign: list[str] = []

    def add(
        self,
        type: str,
        name: str,
        version: str,
        *,
        place: str = "",
        origin: Origin = DEFAULT,
        hashes: Iterable[str] = (),
        hashable: bool = True,
        group: str = "",
        marker: str = "",
        licences: tuple[str, ...] = (),
        dependencies: Iterable[str] = (),
        direct: bool | None = None,
        qualifiers: Mapping[str, str] | None = None,
    ) -> None:
        """One version of a package. `hashable` says whether this kind of entry has a digest in an honest file."""
        if not name or len(name) > _LONGEST or len(version) > _LONGEST:
            self._incomplete.append(place or name[:80])
            return
        if not version:
            self._without_version(type, name, origin, place, group, marker)
            return
        full = {origin.key: origin.source, **(qualifiers or {})} if origin.key else qualifiers
        try:
            address = purl(type, name, version, qualifiers=full)
        except InvalidPackageURL:
            self._incomplete.append(name)
            return
        key = (address, group, marker, origin.source)
        digests = tuple(dict.fromkeys(hashes))
        if (before := self._packages.get(key)) is not None and set(digests) <= set(before.hashes):
            return
        if not digests and hashable and origin.kind in ("", "index"):
            self._unhashed.append(name)
        self._packages[key] = Package(
            purl=address,
            ecosystem=type,
            name=normalise_name(type, name),
            version=version,
            state=self._state,
            group=group,
            marker=marker[:1000],
            source=origin.source,
            hashes=(*before.hashes, *digests) if before is not None else digests,
            licences=licences,
            dependencies=tuple(dependencies),
            direct=direct,
            place=place,
        )

    def _without_version(self, type: str, name: str, origin: Origin, place: str, group: str, marker: str) -> None:
        """What lies in a directory or a repository has the version that its own metadata tell."""
        if origin.kind not in ("vcs", "url", "path"):
            self._incomplete.append(name)
            return
        self._unversioned.append(
            Requirement(ecosystem=type, name=name, source=origin.source, group=group, marker=marker[:1000], place=place)
        )

    def incomplete(self, what: str) -> None:
        """An entry that names no package."""
        self._incomplete.append(what[:80])

    def misnamed(self, what: str) -> None:
        """An entry whose address is that of another package or version."""
        self._misnamed.append(what[:400])

    def contradictory(self, what: str) -> None:
        """An entry that says one version of a package of the default index and fetches another."""
        self._contradictory.append(what[:400])

    def foreign(self, what: str) -> None:
        """An entry that says that it is from the default index, but whose address is not there."""
        self._foreign.append(what[:400])

    def facts(self) -> Extracted:
        """The packages, and what is odd about the file as a whole."""
        packages = self._packages.values()
        yield Artifact(format=self._format, details={"packages": len(packages), **self.details})
        for what, entries, text in (
            ("lock-injection", self._misnamed, "under the address of another package or version"),
            ("lock-contradictory", self._contradictory, "of which another version is fetched than is written"),
            ("lock-foreign-address", self._foreign, "said to be from the default index, but fetched from elsewhere"),
            ("lock-incomplete", self._incomplete, "without a name or a version, and not looked up"),
        ):
            if entries:
                yield Anomaly(what=what, detail=f"{_count(entries)} {text}: {_some(entries)}")
        hashed = sum(1 for package in packages if package.hashes)
        if self._unhashed and hashed:
            missing = f"{_count(self._unhashed)} of {len(packages)} without a hash, although others have one"
            yield Anomaly(what="lock-unhashed", detail=f"{missing}: {_some(self._unhashed)}")
        yield from self._unversioned
        yield from packages


def _count(entries: list[str]) -> str:
    return "1 entry" if len(entries) == 1 else f"{len(entries)} entries"


def _some(entries: list[str]) -> str:
    return ", ".join(entries[:_NAMED]) + (", …" if len(entries) > _NAMED else "")
