"""Collects what a bill of materials lists: packages, operating systems, models and data sets."""

from collections.abc import Iterable
from typing import Any

from garrison.core.errors import Malformed
from garrison.core.facts import Artifact, Description, OperatingSystem, Package
from garrison.dependencies.purl import InvalidPackageURL, PackageURL, parse
from garrison.sources.source import Extracted

_LONGEST = 500
_SYSTEM_TYPES = ("deb", "apk", "rpm")
_DETAIL = 300
_SHOWN = 3

Details = dict[str, str | int | float | bool]


class Listed:
    """The components of one document."""

    def __init__(self, format: str) -> None:
        self.details: Details = {}
        """What the document says of itself."""
        self._format = format
        self._packages: list[tuple[PackageURL, Package]] = []
        self._artifacts: list[Artifact | Description] = []
        self._systems: list[OperatingSystem] = []
        self._problems: list[str] = []

    def add(
        self,
        address: str,
        name: str,
        version: str,
        *,
        place: str,
        hashes: Iterable[str] = (),
        licences: Iterable[str] = (),
        group: str = "",
        source: str = "",
        dependencies: Iterable[str] = (),
        direct: bool | None = None,
    ) -> None:
        """A component. Where it has no package URL, or none that is one, it is of no known ecosystem."""
        try:
            found = parse(address)
        except InvalidPackageURL as error:
            if address:
                self.problem(f"{place}: {error}")
            if not name:
                self.problem(f"{place} has no name")
                return
            found = PackageURL(type="generic", name=name, version=version)
        found = _whole(found, version)
        if len(found.full_name) > _LONGEST or len(found.version) > _LONGEST:
            self.problem(f"{place} has a name or a version of more than {_LONGEST} characters")
            return
        source_name, _, source_version = found.qualifiers.get("upstream", "").partition("@")
        package = Package(
            purl=str(found),
            ecosystem=found.type,
            # The namespace of a system's package is its vendor.
            name=found.name if found.type in _SYSTEM_TYPES else found.full_name,
            version=_with_epoch(found),
            state="listed",
            distribution=_distribution(found),
            source_name=source_name if found.type in _SYSTEM_TYPES else "",
            source_version=source_version if found.type in _SYSTEM_TYPES else "",
            group=group[:_LONGEST],
            source=source[:_LONGEST],
            hashes=tuple(dict.fromkeys(hashes)),
            licences=tuple(dict.fromkeys(one[:_LONGEST] for one in licences if one)),
            dependencies=tuple(dependencies),
            direct=direct,
            place=place[:_LONGEST],
        )
        self._packages.append((found, package))

    def problem(self, what: str) -> None:
        """An entry that cannot be right, so that what it is about may not be checked."""
        self._problems.append(what[:_DETAIL])

    def texts(self, entry: dict[str, Any], place: str, *fields: str) -> None:
        """Complain of fields that are there and no texts."""
        for field in fields:
            if entry.get(field) is not None and not isinstance(entry[field], str):
                self.problem(f"{place}.{field} is no text")

    def entries(self, value: object, place: str) -> None:
        """Complain of a list that is none, and of entries in it that say nothing."""
        if value is not None and not isinstance(value, list):
            self.problem(f"{place} is no list")
        for number, one in enumerate(value if isinstance(value, list) else ()):
            if not isinstance(one, dict):
                self.problem(f"{place}[{number}] is no object")

    def add_artifact(self, kind: str, details: Details, place: str, description: Description | None = None) -> None:
        """A model or a data set, for the inventory, and what is said of it."""
        kept = {
            key: value[:_DETAIL] if isinstance(value, str) else value for key, value in details.items() if value != ""
        }
        self._artifacts.append(Artifact(format=kind, details=kept, place=place[:_LONGEST]))
        if description is not None:
            self._artifacts.append(description)

    def add_system(self, name: str, version: str, place: str) -> None:
        """The operating system that the packages are of."""
        if name and len(name) < _LONGEST:
            self._systems.append(OperatingSystem(id=name.lower(), version=version[:_LONGEST], place=place[:_LONGEST]))

    def facts(self) -> Extracted:
        """All that is listed; packages of a system that do not say which are of the one that is listed with them.

        Raises `Malformed` after the last where entries cannot be right.
        """
        import msgspec.structs

        details: Details = {"packages": len(self._packages), **self.details}
        yield Artifact(format=self._format, details=details)
        yield from self._systems
        yield from self._artifacts
        system = f"{self._systems[0].id}:{self._systems[0].version}" if len(self._systems) == 1 else ""
        for found, package in self._packages:
            if system and found.type in _SYSTEM_TYPES and ":" not in package.distribution:
                package = msgspec.structs.replace(package, distribution=system)
            yield package
        if self._problems:
            shown = "; ".join(self._problems[:_SHOWN])
            more = len(self._problems) - _SHOWN
            raise Malformed(f"{shown}{f'; and {more} more such entries' if more > 0 else ''}")


def _whole(found: PackageURL, version: str) -> PackageURL:
    """With the version that only the component gives."""
    import msgspec.structs

    return found if found.version or not version else msgspec.structs.replace(found, version=version)


def _with_epoch(found: PackageURL) -> str:
    epoch = found.qualifiers.get("epoch", "")
    if found.type in ("deb", "rpm") and epoch.isdigit() and epoch != "0" and ":" not in found.version:
        return f"{epoch}:{found.version}"
    return found.version


def _distribution(found: PackageURL) -> str:
    """`debian:12` from `distro=debian-12`, or from a code name and the vendor."""
    if found.type not in _SYSTEM_TYPES:
        return ""
    distro = found.qualifiers.get("distro", "").lower()
    system, dash, version = distro.rpartition("-")
    if dash and version[:1].isdigit():
        return f"{system}:{version}"
    if distro[:1].isdigit():
        return f"{found.namespace}:{distro}"
    return f"{found.namespace}:{distro}" if distro and distro != found.namespace else ""
