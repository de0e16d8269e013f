"""What is installed, as far as the other probes ask: all packages of dpkg, and which of them are kernels."""

import contextlib
import functools
import re
from collections.abc import Iterator

from garrison.core.errors import ExaminationError
from garrison.core.facts import Package
from garrison.dependencies.databases import dpkg
from garrison.dependencies.hosts.recording import Recording
from garrison.dependencies.versions import InvalidVersion, Scheme, scheme
from garrison.sources.source import Source

STATUS = "/var/lib/dpkg/status"
_APK = "/lib/apk/db/installed"
_RPM = {
    "/var/lib/rpm/rpmdb.sqlite": "rpm_sqlite",
    "/usr/lib/sysimage/rpm/rpmdb.sqlite": "rpm_sqlite",
    "/var/lib/rpm/Packages": "rpm_berkeley",
    "/var/lib/rpm/Packages.db": "rpm_ndb",
    "/usr/lib/sysimage/rpm/Packages.db": "rpm_ndb",
}
_IMAGE = re.compile(r"linux-image-(?:unsigned-)?(\d\S*)").fullmatch
_FLAVOUR = re.compile(r"\d[\w.+~]*(?:-\d[\w.+~]*)*-([a-z][\w+-]*)").fullmatch


class Installed:
    """Read once for each recording."""

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self.ecosystem = "deb" if recording.reader(STATUS) else "apk" if recording.reader(_APK) else "rpm"

    @property
    def databases(self) -> list[str]:
        """The databases of packages that were recorded."""
        return [path for path in (STATUS, _APK, *_RPM) if self._recording.reader(path) is not None]

    @functools.cached_property
    def packages(self) -> list[Package]:
        """Those of dpkg or rpm; what of a database cannot be read, its own examination says."""
        found: list[Package] = []
        with contextlib.suppress(ExaminationError):
            found += self._dpkg() if self.ecosystem == "deb" else self._rpm()
        return found

    def _dpkg(self) -> Iterator[Package]:
        text = self._recording.reader(STATUS)
        if text is None:
            return
        data = text.whole(self._recording.context.limits.buffer).decode("utf-8", "replace")
        for line, fields in dpkg.paragraphs(data):
            self._recording.context.check_time()
            package = dpkg.package(fields, f"line {line}", self._recording.distribution)
            if package is not None and dpkg.has_files(fields):
                yield package

    def _rpm(self) -> Iterator[Package]:
        import importlib

        for path, module in _RPM.items():
            reader = self._recording.reader(path)
            if reader is not None:
                extract = importlib.import_module(f"garrison.dependencies.formats.{module}").extract
                for fact in extract(Source(path, reader), self._recording.context):
                    if isinstance(fact, Package):
                        yield fact

    @functools.cached_property
    def scheme(self) -> Scheme:
        """How its versions are ordered."""
        return scheme("Debian" if self.ecosystem == "deb" else "Red Hat")

    def older(self, version: str, other: str) -> bool:
        """Whether a version is older; never where one of them is none."""
        try:
            return bool(self.scheme.key(version) < self.scheme.key(other))
        except InvalidVersion:
            return False

    @functools.cached_property
    def kernels(self) -> dict[str, Package]:
        """Installed kernels by the release that `uname -r` tells of them."""
        found: dict[str, Package] = {}
        for package in self.packages:
            image = _IMAGE(package.name)
            if image:
                found[image[1]] = package
            elif self.ecosystem == "rpm" and package.name in ("kernel-core", "kernel", "kernel-default"):
                architecture = re.search(r"[?&]arch=([\w-]+)", package.purl)
                suffix = f".{architecture[1]}" if architecture and package.name != "kernel-default" else "-default"
                found.setdefault(package.version.rpartition(":")[2] + suffix, package)
        return found

    def newest_kernel(self, release: str) -> tuple[str, Package] | None:
        """The newest installed kernel of the same flavour as the running one, if that one is installed."""
        if release not in self.kernels:
            return None
        flavour = _FLAVOUR(release)
        newest = release
        for other, package in self.kernels.items():
            kind = _FLAVOUR(other)
            same = (kind[1] if kind else "") == (flavour[1] if flavour else "")
            if same and self.older(self.kernels[newest].version, package.version):
                newest = other
        return newest, self.kernels[newest]
