"""One project's page of a package index: what it says, and how PEP 691 writes it as JSON.

Source: PEP 503, 592, 658, 691, 700, 714 and 792 ("Simple repository API" of the Python Packaging User Guide).
"""

import functools
import re
import urllib.parse
from typing import TYPE_CHECKING, Any

import msgspec

from garrison.core.errors import Malformed

if TYPE_CHECKING:
    from packaging.version import Version

_WHEEL = re.compile(r"^(?P<name>[^-]+)-(?P<version>[^-]+)(?:-\d[^-]*)?-[^-]+-[^-]+-[^-]+\.whl$", re.IGNORECASE)
_EGG = re.compile(r"^(?P<name>[^-]+)-(?P<version>[^-]+)(?:-[^/]*)?\.egg$", re.IGNORECASE)
_INSTALLER = re.compile(
    r"^(?P<stem>.+?)(?:[.-](?:linux|macosx|win32|win-amd64|win-arm\d*)[^/]*|-py\d[^/]*|-\d+\.noarch|-\d+\.src)?"
    r"\.(?:exe|msi|rpm|deb|dmg)$",
    re.IGNORECASE,
)
_SDIST = re.compile(r"^(?P<stem>.+?)\.(?:tar\.(?:gz|bz2|xz|Z)|tgz|tbz|zip|tar)$", re.IGNORECASE)


class ReleaseFile(msgspec.Struct, frozen=True, array_like=True):
    """One file that an index offers."""

    name: str
    url: str
    sha256: str = ""
    requires_python: str = ""
    yanked: bool = False
    yanked_reason: str = ""
    uploaded: str = ""
    """ISO 8601; empty where the index does not say."""
    metadata: bool = False
    """Whether `url` + `.metadata` gives its metadata."""

    @property
    def wheel(self) -> bool:
        return self.name.lower().endswith(".whl")


class Release(msgspec.Struct, frozen=True, array_like=True):
    """One version and its files."""

    version: str
    """Normalised, as PEP 440 has it."""
    files: tuple[ReleaseFile, ...]

    @property
    def yanked(self) -> bool:
        """Installers pass over a yanked file, so that a version is yanked when all of its files are."""
        return all(file.yanked for file in self.files)

    @property
    def yanked_reason(self) -> str:
        return next((file.yanked_reason for file in self.files if file.yanked_reason), "") if self.yanked else ""

    @property
    def uploaded(self) -> str:
        """When its first file was uploaded."""
        return min((file.uploaded for file in self.files if file.uploaded), default="")


class Project(msgspec.Struct, frozen=True, array_like=True):
    """What an index knows of one name."""

    name: str
    releases: tuple[Release, ...] = ()
    """Oldest version first."""
    status: str = "active"
    """`active`, `archived`, `quarantined` or `deprecated`."""
    status_reason: str = ""
    unreadable: int = 0
    """Files whose version is none that installers read."""

    def release(self, version: str) -> Release | None:
        """The release that a requirement `==version` takes; a local version counts as its public one if need be."""
        from packaging.version import InvalidVersion, Version

        try:
            wanted = Version(version)
        except InvalidVersion:
            return None
        known = {one.version: one for one in self.releases}
        for text in (str(wanted), wanted.public):
            if text in known:
                return known[text]
        return next((one for one in self.releases if parsed(one.version) in (wanted, Version(wanted.public))), None)

    def latest(self) -> Release | None:
        """The newest that is not yanked: no pre-release, unless there are only those."""
        offered = [one for one in self.releases if not one.yanked]
        final = [one for one in offered if not parsed(one.version).is_prerelease]
        return (final or offered)[-1] if offered else None

    def newer(self, version: str) -> list[Release]:
        """Releases after a version that are no pre-releases and not yanked, oldest first."""
        from packaging.version import Version

        mine = Version(version)
        # A local version is a build of its public one, and newer than it by the letter only.
        mine = Version(mine.public)
        return [
            one
            for one in self.releases
            if not one.yanked and parsed(one.version) > mine and not parsed(one.version).is_prerelease
        ]


@functools.lru_cache(1 << 16)
def parsed(version: str) -> "Version":
    from packaging.version import Version

    return Version(version)


def normalised(name: str) -> str:
    """The name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


class _File(msgspec.Struct, rename="kebab"):
    filename: str
    url: str
    hashes: dict[str, Any] = {}
    requires_python: str | None = None
    yanked: bool | str = False
    upload_time: str | None = None
    core_metadata: bool | dict[str, Any] | None = None
    dist_info_metadata: bool | dict[str, Any] | None = None


class _Status(msgspec.Struct):
    status: str = "active"
    reason: str | None = None


class _Page(msgspec.Struct, rename="kebab"):
    files: list[_File] = []
    name: str = ""
    meta: dict[str, Any] = {}
    project_status: _Status | str | None = None


def from_json(name: str, address: str, data: bytes) -> Project:
    """Read PEP 691's JSON, which came from `address`. Raises `Malformed`."""
    try:
        page = msgspec.json.decode(data, type=_Page)
    except (msgspec.DecodeError, RecursionError) as error:
        raise Malformed(f"the index's page for {name} is not what PEP 691 says: {error}") from None
    version = str(page.meta.get("api-version", "1.0"))
    if not version.startswith("1."):
        raise Malformed(f"the index speaks version {version[:20]!r} of the simple API, and garrison 1.x")
    status = page.project_status
    told = _Status(status=status) if isinstance(status, str) else status or _Status()
    files = [
        ReleaseFile(
            name=file.filename,
            url=urllib.parse.urljoin(address, file.url),
            sha256=digest(file.hashes.get("sha256")),
            requires_python=file.requires_python or "",
            yanked=file.yanked is not False,
            yanked_reason=file.yanked if isinstance(file.yanked, str) else "",
            uploaded=_time(file.upload_time or ""),
            metadata=bool(file.core_metadata or file.dist_info_metadata),
        )
        for file in page.files
    ]
    return project_of(name, files, told.status, told.reason or "")


def digest(value: object) -> str:
    text = value.lower() if isinstance(value, str) else ""
    return text if re.fullmatch(r"[0-9a-f]{64}", text) else ""


def _time(text: str) -> str:
    """The time in UTC to the second, so that times can be compared as text."""
    import datetime

    try:
        time = datetime.datetime.fromisoformat(text)
        time = time.replace(tzinfo=time.tzinfo or datetime.UTC).astimezone(datetime.UTC)
    except (ValueError, OverflowError):
        return ""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ") if time.year >= 1000 else ""


def project_of(name: str, files: list[ReleaseFile], status: str, reason: str) -> Project:
    from packaging.version import InvalidVersion

    versions: dict[Version, list[ReleaseFile]] = {}
    unreadable = 0
    name = normalised(name)
    for file in files:
        try:
            versions.setdefault(parsed(_version(name, file.name)), []).append(file)
        except InvalidVersion:
            unreadable += 1
    releases = tuple(Release(version=str(one), files=tuple(versions[one])) for one in sorted(versions))
    return Project(name=name, releases=releases, status=status, status_reason=reason[:500], unreadable=unreadable)


def _version(project: str, filename: str) -> str:
    """The version in a file's name; of an sdist, what follows the project's name, which may hold dashes itself."""
    if found := _WHEEL.match(filename) or _EGG.match(filename):
        return found["version"].replace("_", "-")
    if found := _SDIST.match(filename) or _INSTALLER.match(filename):
        stem: str = found["stem"]
        for dash in (index for index, letter in enumerate(stem) if letter in "-_"):
            if normalised(stem[:dash]) == project:
                return stem[dash + 1 :]
    return ""
