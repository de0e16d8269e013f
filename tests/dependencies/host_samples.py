"""Recordings of hosts, built from what commands and files are documented to say."""

import io
import json
from typing import Literal

from garrison.dependencies.hosts.recording import Header, write

DEBIAN = 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nVERSION_ID="12"\nID=debian\n'
UBUNTU = 'PRETTY_NAME="Ubuntu 22.04.4 LTS"\nVERSION_ID="22.04"\nID=ubuntu\n'


def recording(
    files: dict[str, str | bytes] | None = None,
    commands: dict[str, object] | None = None,
    listings: dict[str, list[str]] | None = None,
    derived: dict[str, str] | None = None,
    kind: Literal["live", "root"] = "live",
    unreadable: dict[str, str] | None = None,
) -> bytes:
    """A recording as a tar. A command is what it prints (a structure becomes JSON), or stdout, stderr and status."""
    entries: list[tuple[str, bytes]] = []
    for path, data in (files or {}).items():
        entries.append((f"files{path}", data.encode() if isinstance(data, str) else data))
    for path, names in (listings or {}).items():
        entries.append((f"listings{path}", "\n".join(names).encode()))
    for name, text in (derived or {}).items():
        entries.append((f"derived/{name}", text.encode()))
    for name, said in (commands or {}).items():
        parts = said if isinstance(said, tuple) else (said if isinstance(said, str) else json.dumps(said), "", "0")
        entries.append((f"commands/{name}/command", name.encode()))
        for part, text in zip(("stdout", "stderr", "status"), parts, strict=True):
            entries.append((f"commands/{name}/{part}", text.encode()))
    file = io.BytesIO()
    write(file, Header(kind=kind, collected="2026-05-01T00:00:00+00:00", unreadable=unreadable or {}), entries)
    return file.getvalue()


def kernel(release: str, version: str = "") -> dict[str, str | bytes]:
    """The files that tell of a running kernel."""
    text = f"Linux version {release} (build@host) (gcc) #1 SMP PREEMPT_DYNAMIC {version or 'x'} (2024-07-15)\n"
    return {"/proc/sys/kernel/osrelease": f"{release}\n", "/proc/version": text}


def status(*packages: tuple[str, str, str]) -> str:
    """A database of dpkg: name, version and source of each package."""
    return "\n".join(
        f"Package: {name}\nStatus: install ok installed\nArchitecture: amd64\nSource: {source}\nVersion: {version}\n"
        for name, version, source in packages
    )


def livepatch(state: str, check: str = "checked", supported: str = "supported", fixes: object = None) -> object:
    """What `canonical-livepatch status --verbose --format json` prints."""
    patch = {"CheckState": check, "State": state, "Version": "102.1", "Fixes": fixes or []}
    old = {"Kernel": "5.15.0-100.110-generic", "Running": False, "Livepatch": {"State": "apply-failed"}}
    running = {"Kernel": "5.15.0-105.115-generic", "Running": True, "Supported": supported, "Livepatch": patch}
    return {"Client-Version": "10.5", "Status": [old, running], "tier": "updates"}
