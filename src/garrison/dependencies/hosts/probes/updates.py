"""How far the packages are behind: the distribution's security lists, Ubuntu Pro, and Debian's limits of support.

Source: apt's lists in `/var/lib/apt/lists`; Ubuntu Pro Client's schemas of `status` and `security-status`;
debian-security-support's README.
"""

import email.utils
import re
from collections.abc import Iterator
from typing import Any

from garrison.core.errors import ExaminationError
from garrison.core.facts import Setting
from garrison.dependencies.databases import dpkg
from garrison.dependencies.hosts.probes.installed import STATUS, Installed
from garrison.dependencies.hosts.recording import Recording
from garrison.sources.reader import Decompressor, Reader

_LISTS = "/var/lib/apt/lists/"
_DATE = re.compile(rb"^Date: ([^\n]+)$", re.MULTILINE)
_SUPPORT = "/usr/share/debian-security-support/security-support-"
_MOST = 2000


def probe(recording: Recording, installed: Installed) -> Iterator[Setting]:
    found = ", ".join(installed.databases)
    if found:
        yield Setting(topic="packages", name="databases", value=found, origin=found)
    else:
        why = "no database of dpkg, apk or rpm"
        yield Setting(topic="packages", name="databases", state="absent", value=why, origin=STATUS)
    if installed.ecosystem == "deb" and installed.databases:
        yield from _behind(recording, installed)
        yield from _support(recording, installed)
    elif installed.databases:
        why = "only apt's lists are read"
        yield Setting(topic="security-updates", name="lists", state="absent", value=why, origin=_LISTS)
    yield from _pro(recording)


def _behind(recording: Recording, installed: Installed) -> Iterator[Setting]:
    """Packages that the security lists have newer, with the day the lists are of."""
    lists = [path for path in recording.paths(_LISTS) if "_Packages" in path]
    if not lists:
        why = "no security lists of apt: run `apt-get update`"
        yield Setting(topic="security-updates", name="lists", state="absent", value=why, origin=_LISTS)
        return
    offered: dict[tuple[str, str], str] = {}
    read = 0
    for path in lists:
        try:
            text = _unpacked(recording, path)
        except ExaminationError as error:
            why = f"cannot be read: {error}"
            yield Setting(topic="security-updates", name="lists", state="unreadable", value=why, origin=path)
            continue
        read += 1
        for _, fields in dpkg.paragraphs(text):
            recording.context.check_time()
            key = fields.get("package", ""), fields.get("architecture", "")
            version = fields.get("version", "")
            if version and (key not in offered or installed.older(offered[key], version)):
                offered[key] = version
    if not read:
        return
    yield Setting(topic="security-updates", name="lists", value=_day(recording) or "of an unknown day", origin=_LISTS)
    behind = 0
    for package in installed.packages:
        architecture = _architecture(package.purl)
        newer = offered.get((package.name, architecture))
        if newer is not None and installed.older(package.version, newer):
            behind += 1
            if behind <= _MOST:
                text = f"{package.version} -> {newer}"
                yield Setting(
                    topic="package-behind", name=package.name, value=text, origin=_LISTS, place=package.source_name
                )
    yield Setting(topic="security-updates", name="compared", value=str(len(installed.packages)), origin=_LISTS)


def _architecture(package_url: str) -> str:
    found = re.search(r"[?&]arch=(\w+)", package_url)
    return found[1] if found else ""


def _unpacked(recording: Recording, path: str) -> str:
    """apt keeps its lists plain or compressed."""
    reader = recording.reader(path)
    assert reader is not None
    limit = recording.context.limits.buffer
    ending = path.rpartition(".")[2]
    opened: Reader = reader
    if ending in ("lz4", "gz", "xz", "bz2", "zst"):
        opened = recording.context.decompressing(lambda: _stream(ending, reader))
    data = opened.whole(limit)
    error = getattr(opened, "error", None)
    if error is not None:
        raise ExaminationError(f"{type(error).__name__}: {error}")
    return data.decode("utf-8", "replace")


def _stream(ending: str, reader: Reader) -> Decompressor:
    file: Any = reader.file()
    if ending == "lz4":
        import lz4.frame

        opened: Decompressor = lz4.frame.open(file)
        return opened
    if ending == "gz":
        import gzip

        return gzip.GzipFile(fileobj=file)
    if ending == "xz":
        import lzma

        return lzma.LZMAFile(file)
    if ending == "bz2":
        import bz2

        return bz2.BZ2File(file)
    import zstandard

    return zstandard.ZstdDecompressor().stream_reader(file)


def _day(recording: Recording) -> str:
    """The newest day that a signed list of lists names."""
    days = []
    for path in recording.paths(_LISTS):
        if path.endswith("_InRelease"):
            reader = recording.reader(path)
            found = _DATE.search(reader.pread(0, 1 << 16)) if reader else None
            try:
                days.append(email.utils.parsedate_to_datetime(found[1].decode()).date().isoformat() if found else "")
            except ValueError:
                continue
    return max(days, default="")


def _support(recording: Recording, installed: Installed) -> Iterator[Setting]:
    """Packages for which Debian's security support is limited or has ended."""
    if recording.system.id != "debian":
        return
    release = recording.system.version.partition(".")[0]
    ended, limited = f"{_SUPPORT}ended.deb{release}", f"{_SUPPORT}limited"
    if recording.text(limited) is None and recording.text(ended) is None:
        why = "debian-security-support is not installed"
        yield Setting(topic="support", name="lists", state="absent", value=why, origin=limited)
        return
    sources = {package.source_name or package.name for package in installed.packages}
    for path, what in ((ended, "ended"), (limited, "limited")):
        for line in (recording.text(path) or "").splitlines():
            words = line.split(None, 1)
            if words and not line.startswith("#") and words[0] in sources:
                reason = words[1].strip() if len(words) > 1 else ""
                yield Setting(topic="support", name=words[0], value=f"{what}: {reason}"[:500], origin=path)
    yield Setting(topic="support", name="lists", value="read", origin=limited)


def _pro(recording: Recording) -> Iterator[Setting]:
    if recording.system.id != "ubuntu":
        why = "not Ubuntu"
        yield Setting(topic="ubuntu-pro", name="attached", state="not-applicable", value=why, origin="pro status")
        return
    status = recording.json("pro")
    if not isinstance(status, dict) or not isinstance(status.get("attached"), bool):
        yield recording.command_failure("ubuntu-pro", "attached", "pro")
    else:
        value = "yes" if status["attached"] else "no"
        yield Setting(topic="ubuntu-pro", name="attached", value=value, origin="pro status")
        services = status.get("services")
        for service in services if isinstance(services, list) else []:
            if isinstance(service, dict) and isinstance(service.get("name"), str):
                state = service.get("status") or service.get("available")
                text = str(state)[:100]
                yield Setting(topic="ubuntu-pro", name=service["name"][:100], value=text, origin="pro status")
    security = recording.json("pro-security-status")
    summary = security.get("summary") if isinstance(security, dict) else None
    if isinstance(summary, dict):
        for key, value in summary.items():
            if key.startswith("num_") and key.endswith("_updates") and isinstance(value, int):
                name = f"pending-{key[4:-8]}"[:100]
                yield Setting(topic="ubuntu-pro", name=name, value=str(value)[:20], origin="pro security-status")
