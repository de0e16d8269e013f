"""What runs: who listens on the network, and who still runs libraries that an update has replaced.

Source: the kernel's `Documentation/networking/proc_net_tcp.rst`; proc_pid_maps(5).
"""

import ipaddress
from collections.abc import Iterator

from garrison.core.facts import Setting
from garrison.dependencies.hosts.recording import Recording

_MOST = 2000


def probe(recording: Recording) -> Iterator[Setting]:
    yield from _sockets(recording)
    yield from _deleted(recording)


def _sockets(recording: Recording) -> Iterator[Setting]:
    """One setting for each listening socket: its address, port and program."""
    text = recording.derived("sockets")
    if text is None:
        yield recording.unanswered("listening-port", "all", "/proc/net/tcp")
        return
    rows = [line.split("\t") for line in text.splitlines()[:_MOST]]
    for row in rows:
        place = _address(row[1]) if len(row) == 3 else None
        if place is not None:
            address, port = place
            name = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
            yield Setting(topic="listening-port", name=name, value=row[2][:100], origin=f"/proc/net/{row[0][:10]}")
    yield Setting(topic="listening-port", name="count", value=str(len(rows)), origin="/proc/net/tcp")


def _address(text: str) -> tuple[str, int] | None:
    """From `0100007F:1F90`: words of four bytes in the machine's order, little endian on all that matters."""
    digits, _, port = text.partition(":")
    try:
        data = bytes.fromhex(digits)
        words = b"".join(data[at : at + 4][::-1] for at in range(0, len(data), 4))
        address = ipaddress.ip_address(words)
        mapped = getattr(address, "ipv4_mapped", None)
        return str(mapped or address), int(port, 16)
    except ValueError:
        return None


def _deleted(recording: Recording) -> Iterator[Setting]:
    text = recording.derived("deleted-libraries")
    if text is None:
        yield recording.unanswered("deleted-libraries", "all", "/proc/*/maps")
        return
    seen: dict[str, list[str]] = {}
    for line in text.splitlines()[:_MOST]:
        row = line.split("\t")
        if len(row) == 3:
            seen.setdefault(row[1][:100], []).append(row[2][:200])
    for program, paths in seen.items():
        text = ", ".join(dict.fromkeys(paths))[:500]
        yield Setting(topic="deleted-libraries", name=program, value=text, origin="/proc/*/maps")
    read, _, hidden = (recording.derived("processes") or "").partition("\t")
    yield Setting(topic="processes", name="read", value=read[:20], origin="/proc/*/maps")
    yield Setting(topic="processes", name="hidden", value=hidden[:20], origin="/proc/*/maps")
    yield Setting(topic="deleted-libraries", name="programs", value=str(len(seen)), origin="/proc/*/maps")
