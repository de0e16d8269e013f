"""A recording of a host: what the collector writes and the jailed reader reads.

A tar, or a directory that is packed into one, of `garrison-host.json` first, `files/<path>`, `listings/<path>` (a name
a line), `derived/<name>` (what only a running system can put together) and
`commands/<name>/{command,stdout,stderr,status}`.
"""

import io
from collections.abc import Iterable
from typing import IO, TYPE_CHECKING, Any, Literal

import msgspec

from garrison.core.errors import ExaminationError, Malformed
from garrison.core.facts import Anomaly, OperatingSystem, Setting
from garrison.dependencies.hosts import MARKER
from garrison.dependencies.hosts.collection import belongs
from garrison.sources.containers import tar
from garrison.sources.reader import Reader
from garrison.sources.source import Context, Source

if TYPE_CHECKING:
    import tarfile

_TEXT = 4 << 20
_RIGHTS = ("permission denied", "must be root", "not permitted", "sudo")
_LIVE = ("/proc/", "/sys/", "/run/", "/dev/")


class Header(msgspec.Struct, kw_only=True):
    """What stands first in a recording."""

    version: int = 1
    kind: Literal["live", "root"] = "live"
    """A running system, or a root file system that nothing runs on."""
    collected: str = ""
    """When, ISO 8601."""
    unreadable: dict[str, str] = {}
    """Paths that are there but could not be read, and why."""


class Command(msgspec.Struct, frozen=True):
    """What a command printed."""

    argv: str
    stdout: str
    stderr: str
    status: str
    """Its exit status, or why there is none: `absent`, `timed out`, `too much output`."""


def write(file: IO[bytes], header: Header, entries: Iterable[tuple[str, bytes]]) -> None:
    """Write a recording: entries are names such as `files/etc/os-release` and their bytes."""
    import tarfile

    with tarfile.open(fileobj=file, mode="w", format=tarfile.GNU_FORMAT) as archive:
        _add(archive, MARKER, msgspec.json.encode(header))
        for name, data in entries:
            _add(archive, name, data)


def _add(archive: "tarfile.TarFile", name: str, data: bytes) -> None:
    import tarfile

    member = tarfile.TarInfo(name)
    member.size = len(data)
    archive.addfile(member, io.BytesIO(data))


def _whole(reader: Reader) -> bool:
    return reader.size == 0 or len(reader.pread(reader.size - 1, 1)) == 1


class Recording:
    """A recording, read. Raises `Malformed` where its first entry is none of ours."""

    def __init__(self, source: Source, context: Context) -> None:
        self._readers: dict[str, Reader] = {}
        self.anomalies: list[Anomaly] = []
        self.others: list[Source] = []
        """Members that no recording has: whoever puts a recording's first entry before a model hides nothing."""
        self.broken: ExaminationError | None = None
        """Why not all of the archive could be read; what came before stays."""
        self.context = context
        try:
            for item in tar.extract(source, context):
                if isinstance(item, Source):
                    name = item.subject.removeprefix(f"{source.subject}!/").removeprefix("./")
                    if belongs(name):
                        self._readers[name] = item.reader
                    else:
                        self.others.append(item)
                elif isinstance(item, Anomaly):
                    self.anomalies.append(item)
        except ExaminationError as error:
            self.broken = error
        cut = next((name for name, reader in self._readers.items() if not _whole(reader)), None)
        if cut is not None and self.broken is None:
            self.broken = Malformed(f"breaks off within {cut[:200]!r}")
        self.header = self._header()
        self.system = self._system()

    def _header(self) -> Header:
        reader = self._readers.get(MARKER)
        if reader is None:
            raise Malformed(f"there is no {MARKER}")
        try:
            header = msgspec.json.decode(reader.pread(0, _TEXT), type=Header)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Malformed(f"{MARKER}: {error}") from None
        if header.version != 1:
            raise Malformed(f"version {header.version} of recordings is not known")
        return header

    def _system(self) -> OperatingSystem:
        from garrison.dependencies.formats.os_release import operating_system

        return operating_system(self.text("/etc/os-release") or "")

    @property
    def live(self) -> bool:
        return self.header.kind == "live"

    @property
    def distribution(self) -> str:
        """As `Package.distribution` has it."""
        return f"{self.system.id}:{self.system.version}" if self.system.version else self.system.id

    def reader(self, path: str) -> Reader | None:
        """A recorded file, or a part of it; `None` where it was absent or could not be read."""
        return self._readers.get(f"files{path}")

    def text(self, path: str) -> str | None:
        """The text of a recorded file."""
        reader = self.reader(path)
        return None if reader is None else reader.pread(0, _TEXT).decode("utf-8", "replace")

    def paths(self, beginning: str) -> list[str]:
        """The recorded files whose paths begin so."""
        found = [name.removeprefix("files") for name in self._readers if name.startswith(f"files{beginning}")]
        return sorted(found)

    def names(self, directory: str) -> list[str] | None:
        """What a directory holds; `None` where there is none."""
        reader = self._readers.get(f"listings{directory}")
        return None if reader is None else reader.pread(0, _TEXT).decode("utf-8", "replace").splitlines()

    def derived(self, name: str) -> str | None:
        """What the collector put together of a running system."""
        reader = self._readers.get(f"derived/{name}")
        return None if reader is None else reader.pread(0, _TEXT).decode("utf-8", "replace")

    def command(self, name: str) -> Command | None:
        """What a command printed; `None` where it was not asked."""
        parts = {
            part: reader.pread(0, _TEXT).decode("utf-8", "replace")
            for part in ("command", "stdout", "stderr", "status")
            if (reader := self._readers.get(f"commands/{name}/{part}")) is not None
        }
        if not parts:
            return None
        status = parts.get("status", "0").strip()
        return Command(parts.get("command", name).strip(), parts.get("stdout", ""), parts.get("stderr", ""), status)

    def unanswered(self, topic: str, name: str, path: str) -> Setting:
        """Why a file does not answer: not on such a system, unreadable, or absent."""
        if not self.live and path.startswith(_LIVE):
            why = "only a running system has it"
            return Setting(topic=topic, name=name, state="not-applicable", value=why, origin=path)
        if path in self.header.unreadable:
            why = self.header.unreadable[path]
            return Setting(topic=topic, name=name, state="unreadable", value=why, origin=path)
        return Setting(topic=topic, name=name, state="absent", origin=path)

    def file_setting(self, topic: str, name: str, path: str) -> Setting:
        """What a file of one line says."""
        text = self.text(path)
        if text is None:
            return self.unanswered(topic, name, path)
        return Setting(topic=topic, name=name, value=text.strip()[:1000], origin=path)

    def command_failure(self, topic: str, name: str, command: str) -> Setting:
        """Why a command does not answer."""
        said = self.command(command)
        if not self.live:
            why = "only a running system answers it"
            return Setting(topic=topic, name=name, state="not-applicable", value=why, origin=command)
        if said is None or said.status == "absent":
            why = f"{command} is not installed"
            return Setting(topic=topic, name=name, state="absent", value=why, origin=command)
        complaint = (said.stderr or said.stdout).strip().splitlines()
        why = complaint[0][:200] if complaint else f"ended with {said.status}"
        if said.status in ("timed out", "too much output"):
            why = said.status
        elif any(word in said.stderr.lower() for word in _RIGHTS):
            why = f"needs root: {why}"
        return Setting(topic=topic, name=name, state="unreadable", value=why, origin=said.argv)

    def json(self, command: str) -> Any:
        """What a command printed as JSON; `None` where it printed none."""
        said = self.command(command)
        if said is None or not said.stdout.strip():
            return None
        try:
            return msgspec.json.decode(said.stdout.encode())
        except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
            return None
