"""The running kernel, the package it is from, newer ones that wait for a restart, and live patches.

Source: kernel packages' names in Debian's and Ubuntu's archives; needrestart(1), "batch mode"; the kernel's
`Documentation/ABI/testing/sysfs-kernel-livepatch`; Ubuntu Pro Client's reading of
`canonical-livepatch`.
"""

import re
from collections.abc import Iterator

from garrison.core.facts import AnyFact, Package, Setting
from garrison.dependencies.hosts.probes.installed import Installed
from garrison.dependencies.hosts.recording import Recording
from garrison.dependencies.purl import purl

_RELEASE = "/proc/sys/kernel/osrelease"
_VERSION = "/proc/version"
_DEBIAN = re.compile(r" Debian (\S+) \(")
_UBUNTU = re.compile(r"^Ubuntu (\d\S*?)-([a-z][\w-]*) ")
_IMAGE = re.compile(r"linux-image-(?:unsigned-)?(\d[\w.+~]*(?:-\d[\w.]*)?)-([a-z][\w-]*)").fullmatch
_SIGNED = re.compile(r"linux-signed(-(?!amd64$|arm64$|i386$)\w[\w.-]*)?(?:-(?:amd64|arm64|i386))?").fullmatch
_NEEDRESTART = re.compile(r"^NEEDRESTART-(\w+): (.*)$", re.MULTILINE)
_PENDING = {"1": "no", "2": "yes", "3": "yes"}


def probe(recording: Recording, installed: Installed) -> Iterator[AnyFact]:
    release = (recording.text(_RELEASE) or "").strip()
    yield recording.file_setting("kernel", "running", _RELEASE)
    yield from _package(recording, installed, release)
    yield _reboot(recording, installed, release)
    yield from _live_patches(recording)


def _package(recording: Recording, installed: Installed, release: str) -> Iterator[AnyFact]:
    """The running kernel as a package that advisories name, or that nobody knows whose it is."""
    if not release:
        return
    owner = installed.kernels.get(release)
    source, version = _source(recording, owner)
    if not source:
        why = "no package of this system is named like the running kernel"
        yield Setting(topic="kernel", name="package", state="absent", value=why, origin="package database")
        return
    text = f"{owner.name} {owner.version}" if owner is not None else f"{source} {version}"
    yield Setting(topic="kernel", name="package", value=text, origin="package database" if owner else _VERSION)
    if installed.ecosystem == "deb":
        distribution = recording.distribution
        qualifiers = {"distro": distribution.replace(":", "-")}
        yield Package(
            purl=purl("deb", source, version, recording.system.id, qualifiers),
            ecosystem="deb",
            name=source,
            version=version,
            state="installed",
            distribution=distribution,
            group="running kernel",
            place=f"running kernel {release}",
        )


def _source(recording: Recording, owner: Package | None) -> tuple[str, str]:
    """Name and version of the source package: the running kernel's own word counts more than the package's."""
    running = recording.text(_VERSION) or ""
    signature = _UBUNTU.search(recording.text("/proc/version_signature") or "")
    debian = _DEBIAN.search(running)
    name = (owner.source_name or owner.name) if owner is not None else ""
    signed = _SIGNED(name)
    if signed:
        name = f"linux{signed[1] or ''}"
    version = (owner.source_version or owner.version).replace("+", "-", 1) if owner is not None and signed else ""
    if owner is not None and not version:
        version = owner.source_version or owner.version
    if debian:
        return name or "linux", debian[1]
    if signature:
        return name or "linux", signature[1]
    return (name, version) if owner is not None else ("", "")


def _reboot(recording: Recording, installed: Installed, release: str) -> Setting:
    """Whether a newer kernel waits, as far as anybody can tell."""
    topic, name = "reboot", "needed"
    if recording.text("/run/reboot-required") is not None:
        packages = (recording.text("/run/reboot-required.pkgs") or "").split()
        text = f"yes: for {', '.join(dict.fromkeys(packages))}" if packages else "yes"
        return Setting(topic=topic, name=name, value=text[:500], origin="/run/reboot-required")
    newest = installed.newest_kernel(release)
    if newest is not None and newest[0] != release:
        return Setting(topic=topic, name=name, value=f"yes: {newest[0]} is installed", origin="package database")
    owner = installed.kernels.get(release)
    running = _DEBIAN.search(recording.text(_VERSION) or "")
    stored = (owner.source_version or owner.version).replace("+", "-") if owner is not None else ""
    if owner is not None and running and installed.older(running[1], stored):
        return Setting(topic=topic, name=name, value=f"yes: {owner.version} is installed", origin="package database")
    said = recording.command("needrestart")
    lines = dict(_NEEDRESTART.findall(said.stdout)) if said else {}
    if lines.get("KSTA") in _PENDING:
        waiting = f"yes: {lines.get('KEXP', 'another kernel')} is installed"
        text = waiting if _PENDING[lines["KSTA"]] == "yes" else "no"
        return Setting(topic=topic, name=name, value=text, origin="needrestart -b")
    if newest is not None:
        return Setting(topic=topic, name=name, value="no", origin="package database")
    if not recording.live:
        return recording.unanswered(topic, name, "/run/reboot-required")
    known = "the running kernel is from no package here" if release else "which kernel runs is not known"
    why = f"{known}, and needrestart does not answer"
    return Setting(topic=topic, name=name, state="absent", value=why, origin="package database")


def _live_patches(recording: Recording) -> Iterator[Setting]:
    folder = "/sys/kernel/livepatch"
    names = recording.names(folder)
    for path in recording.paths(f"{folder}/"):
        patch, _, what = path.removeprefix(f"{folder}/").partition("/")
        if what == "enabled":
            on = (recording.text(path) or "").strip() == "1"
            moving = (recording.text(f"{folder}/{patch}/transition") or "").strip() == "1"
            text = "in transition" if on and moving else "enabled" if on else "disabled"
            yield Setting(topic="livepatch", name=patch[:200], value=text, origin=path)
    kpatch = recording.command("kpatch")
    if kpatch is not None and kpatch.status == "0":
        loaded = kpatch.stdout.partition("Installed patch modules")[0].splitlines()[1:]
        for line in loaded:
            if line.strip():
                yield Setting(topic="livepatch", name="kpatch", value=line.strip()[:200], origin="kpatch list")
    yield from _canonical(recording)
    if names is not None and not names:
        yield Setting(topic="livepatch", name="kernel", value="no live patch is loaded", origin=folder)
    elif names is None and recording.live and recording.text(_VERSION) is not None:
        yield Setting(topic="livepatch", name="kernel", value="the kernel cannot be patched live", origin=folder)
    elif names is None:
        yield recording.unanswered("livepatch", "kernel", folder)


def _canonical(recording: Recording) -> Iterator[Setting]:
    """What Canonical Livepatch says of the running kernel, and the vulnerabilities that it has patched."""
    if recording.system.id != "ubuntu":
        return
    said = recording.command("canonical-livepatch")
    origin = said.argv if said else "canonical-livepatch"
    if said is not None and "not enabled" in f"{said.stdout}{said.stderr}":
        yield Setting(topic="livepatch", name="canonical", value="not enabled", origin=origin)
        return
    data = recording.json("canonical-livepatch")
    entries = data.get("Status") if isinstance(data, dict) else None
    entries = [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []
    running = next((entry for entry in entries if entry.get("Running") is True), entries[0] if entries else None)
    if running is None:
        yield recording.command_failure("livepatch", "canonical", "canonical-livepatch")
        return
    patch = running.get("Livepatch")
    patch = patch if isinstance(patch, dict) else {}
    yield Setting(topic="livepatch", name="canonical", value=_text(patch.get("State")) or "unknown", origin=origin)
    yield Setting(topic="livepatch", name="check", value=_text(patch.get("CheckState")) or "unknown", origin=origin)
    if supported := _text(running.get("Supported")):
        yield Setting(topic="livepatch", name="support", value=supported, origin=origin)
    if date := _text(running.get("UpgradeRequiredDate")):
        yield Setting(topic="livepatch", name="upgrade-required", value=date, origin=origin)
    if _text(patch.get("State")) in ("applied", "applied-with-bug"):
        for fixed in _fixed(patch):
            yield Setting(topic="livepatch-fixed", name=fixed, value="patched", origin=origin)


def _fixed(patch: dict[str, object]) -> list[str]:
    fixes = patch.get("Fixes")
    fixed = patch.get("Fixed-CVEs")
    rows = fixes if isinstance(fixes, list) else []
    names = [_text(row.get("Name")) for row in rows if isinstance(row, dict) and row.get("Patched") is True]
    names += [_text(name) for name in fixed] if isinstance(fixed, list) else []
    return [name.upper() for name in dict.fromkeys(names) if name.lower().startswith("cve-")][:1000]


def _text(value: object) -> str:
    return value.strip()[:200] if isinstance(value, str) else ""
