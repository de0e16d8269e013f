"""Judges what runs on a host: who listens on the network, and who runs libraries that were replaced."""

from collections.abc import Iterator

from garrison.core.facts import Setting
from garrison.core.findings import Check, Finding, Severity
from garrison.core.judgement import finding
from garrison.dependencies.knowledge.ports import Port, ports

_GENERIC = ("python", "java", "node", "docker-proxy", "containerd", "conmon", "slirp", "rootlessport")
"""Programs that tell nothing of what they run."""


def judge(subject: str, by_topic: dict[str, list[Setting]]) -> Iterator[Finding | Check]:
    """Findings for open ports and for replaced libraries."""
    yield from _listening(subject, by_topic.get("listening-port", []))
    programs = [
        fact for fact in by_topic.get("deleted-libraries", ()) if fact.state == "value" and fact.name != "programs"
    ]
    processes = {fact.name: int(fact.value) for fact in by_topic.get("processes", ()) if fact.value.isdecimal()}
    if len(processes) == 2:
        hidden = processes["hidden"]
        reason = f"{hidden} of other users or of a sandbox could not be read; scan as root" if hidden else ""
        total = processes["read"] + hidden
        yield Check(
            name="libraries of running programs", checked=total - hidden, total=total, reason=reason, gap=bool(hidden)
        )
    if programs:
        shown = ", ".join(f"{fact.name} ({fact.value.partition(', ')[0]})" for fact in programs[:3])
        more = ", …" if len(programs) > 3 else ""
        message = f"programs run libraries that an update has replaced: {shown}{more}; restart them"
        yield finding("host-replaced-library", subject, "/proc/*/maps", message)


def _listening(subject: str, facts: list[Setting]) -> Iterator[Finding]:
    """One finding for each port and program that others reach."""
    seen: set[tuple[int, str]] = set()
    for fact in facts:
        address, _, number = fact.name.rpartition(":")
        if fact.state != "value" or not number.isdecimal() or _own(address):
            continue
        known = ports().get(int(number))
        if known is None or (known.port, fact.value) in seen:
            continue
        seen.add((known.port, fact.value))
        severity, sure = _severity(known, fact.value)
        who = f" ({fact.value})" if fact.value else ""
        what = known.product if sure else f"perhaps {known.product}"
        message = f"port {known.port}{who} listens on {address}: {what}; whoever reaches it can {known.power}"
        yield finding("host-open-port", subject, fact.name, message, severity=severity)


def _own(address: str) -> bool:
    return address.startswith("127.") or address == "[::1]"


def _severity(known: Port, program: str) -> tuple[Severity, bool]:
    """How bad, and whether it is surely that server: its program tells, or the number alone does."""
    lower = program.lower()
    if any(lower.startswith(name.lower()[:15]) for name in known.processes):
        return known.severity, True
    if known.alone and (not program or lower.startswith(_GENERIC)):
        return known.severity, True
    return Severity.LOW, False
