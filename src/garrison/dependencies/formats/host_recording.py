"""Recordings of hosts: what `garrison host record` writes, and what scanning `host:` reads at once.

Source: `garrison.dependencies.hosts.recording`.
"""

from garrison.core.facts import Artifact
from garrison.dependencies.hosts.probes import boot, hardware, kernel, processor, services, updates
from garrison.dependencies.hosts.probes.installed import Installed
from garrison.dependencies.hosts.recording import Recording
from garrison.sources.source import Context, Extracted, Source


def extract(source: Source, context: Context) -> Extracted:
    """What each probe says, and the databases of packages to be examined in turn."""
    recording = Recording(source, context)
    yield from recording.others
    installed = Installed(recording)
    system = recording.system
    yield Artifact(
        format="host-recording",
        details={
            "kind": recording.header.kind,
            "collected": recording.header.collected[:50],
            "system": system.name or recording.distribution,
            "kernel": (recording.text("/proc/sys/kernel/osrelease") or "").strip()[:200],
        },
    )
    yield from recording.anomalies
    for path in ("/etc/os-release", *installed.databases):
        reader = recording.reader(path)
        if reader is not None:
            yield source.member(path.lstrip("/"), reader)
    yield from processor.probe(recording)
    yield from boot.probe(recording)
    yield from kernel.probe(recording, installed)
    yield from updates.probe(recording, installed)
    yield from services.probe(recording)
    yield from hardware.probe(recording)
    if recording.broken is not None:
        raise recording.broken
