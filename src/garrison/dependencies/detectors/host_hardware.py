"""Judges a host's processor, firmware, start, disks and graphics processors."""

import datetime
from collections.abc import Iterator

from garrison.core.facts import Setting
from garrison.core.findings import Check, Finding, Severity
from garrison.core.judgement import finding
from garrison.dependencies.knowledge.hosts import drivers, weaknesses

_PARTIAL = ("safe ret", "clear cpu buffers", "retpoline", "mitigation", "ibpb", "smt ", "microcode")
_STEPS = {Severity.HIGH: Severity.MEDIUM, Severity.MEDIUM: Severity.LOW}
_TAINTS = {1: "a module was forced to load", 13: "a module without a valid signature was loaded"}
_SYSCTLS = {
    "kernel.randomize_va_space": ("2", Severity.MEDIUM, "addresses of programs are not fully random"),
    "kernel.unprivileged_bpf_disabled": ("12", Severity.MEDIUM, "any user may load BPF programs into the kernel"),
    "kernel.kptr_restrict": ("12", Severity.LOW, "the kernel shows its addresses, which exploits need"),
    "kernel.dmesg_restrict": ("1", Severity.INFO, "any user may read the kernel's log"),
}
"""Values that are in order, and what it means where it has another one."""
_BULLETIN_DAYS = 120


def judge(subject: str, by_topic: dict[str, list[Setting]]) -> Iterator[Finding | Check]:
    """Findings for the machine itself."""
    virtual = _values(by_topic, "machine").get("virtual") == "yes"
    yield from _processor(subject, _values(by_topic, "cpu-vulnerability"))
    yield from _start(subject, by_topic, virtual)
    yield from _kernel_settings(subject, by_topic)
    yield from _firmware(subject, by_topic.get("firmware", []))
    yield from _disks(subject, _values(by_topic, "disk-encryption"), virtual)
    yield from _graphics(subject, _values(by_topic, "gpu-driver"))
    mode = _values(by_topic, "confidential-computing").get("gpu", "")
    if mode.startswith("devtools"):
        message = "the graphics processor is in the developers' mode of confidential computing, which protects nothing"
        yield finding("host-confidential-computing", subject, "nvidia-smi conf-compute", message)


def _values(by_topic: dict[str, list[Setting]], topic: str) -> dict[str, str]:
    return {fact.name: fact.value for fact in by_topic.get(topic, ()) if fact.state == "value"}


def _processor(subject: str, said: dict[str, str]) -> Iterator[Finding | Check]:
    unknown = []
    for name, text in said.items():
        known = weaknesses().get(name)
        title = f"{known.title} ({name})" if known else name
        severity = known.severity if known else Severity.MEDIUM
        lower = text.lower().removeprefix("kvm: ")
        if lower.startswith(("vulnerable", "processor vulnerable")):
            detail = lower.partition(": ")[2]
            if detail and any(word in detail for word in _PARTIAL):
                severity = _STEPS.get(severity, severity)
            yield finding("host-processor-weakness", subject, name, f"{title}: {text}", severity=severity)
        elif lower.startswith("mitigation") and "smt vulnerable" in lower:
            yield finding("host-processor-weakness", subject, name, f"{title}: {text}", severity=Severity.LOW)
        elif not lower.startswith(("not affected", "mitigation")):
            unknown.append(f"{name} ({text})" if text else name)
    if said:
        reason = f"the kernel does not know: {', '.join(unknown)}" if unknown else ""
        checked = len(said) - len(unknown)
        yield Check(name="processor weaknesses", checked=checked, total=len(said), reason=reason, gap=bool(unknown))


def _start(subject: str, by_topic: dict[str, list[Setting]], virtual: bool) -> Iterator[Finding]:
    state = _values(by_topic, "secure-boot").get("state")
    if state in ("disabled", "no EFI"):
        said = "is off" if state == "disabled" else "cannot be on, since the machine did not start by EFI"
        severity = Severity.INFO if virtual else Severity.LOW
        yield finding("host-secure-boot", subject, "Secure Boot", f"Secure Boot {said}", severity=severity)
    if _values(by_topic, "iommu").get("units") == "none" and not virtual:
        message = "no IOMMU is in use, so a device or a graphics processor given to a guest reaches all memory"
        yield finding("host-iommu", subject, "/sys/class/iommu", message)


def _kernel_settings(subject: str, by_topic: dict[str, list[Setting]]) -> Iterator[Finding]:
    taint = _values(by_topic, "modules").get("taint", "")
    if taint.isdecimal():
        said = [words for bit, words in _TAINTS.items() if int(taint[:20]) >> bit & 1]
        if said:
            message = f"{' and '.join(said)} (taint {taint[:20]})"
            yield finding("host-module", subject, "/proc/sys/kernel/tainted", message)
    for name, value in _values(by_topic, "sysctl").items():
        good, severity, words = _SYSCTLS.get(name, (value, Severity.INFO, ""))
        if value not in good:
            yield finding("host-sysctl", subject, name, f"{name} is {value}: {words}", severity=severity)


def _firmware(subject: str, facts: list[Setting]) -> Iterator[Finding]:
    """What fwupd found wrong: the first level matters, the others are worth knowing."""
    failed = [fact for fact in facts if fact.state == "value" and fact.value.startswith("failed")]
    first = [fact for fact in failed if fact.place == "HSI-1"]
    others = [fact for fact in failed if fact.place != "HSI-1"]
    for group, severity in ((first, Severity.MEDIUM), (others, Severity.INFO)):
        if group:
            shown = ", ".join(f"{fact.name} ({fact.value.partition(': ')[2]})" for fact in group[:6])
            level = " of the first level" if group is first else " of higher levels"
            count = f"{len(group)} {'test' if len(group) == 1 else 'tests'}"
            message = f"{count}{level} failed: {shown}{', …' if len(group) > 6 else ''}"
            yield finding("host-firmware", subject, "fwupdmgr security", message, severity=severity)


def _disks(subject: str, said: dict[str, str], virtual: bool) -> Iterator[Finding]:
    plain = [name for name, value in said.items() if value == "plain" and not name.startswith(("/boot", "/efi"))]
    if plain:
        where = " (below a virtual machine the disks may still be encrypted)" if virtual else ""
        message = f"not encrypted: {', '.join(plain[:10])}{where}"
        severity = Severity.INFO if virtual else Severity.LOW
        yield finding("host-disk-plain", subject, "lsblk", message, severity=severity)


def _graphics(subject: str, said: dict[str, str]) -> Iterator[Finding | Check]:
    """NVIDIA's drivers against its bulletins; those of a branch that is not known here stay unchecked."""
    found = {name: version for name, version in said.items() if name not in ("amdgpu", "ROCm")}
    unknown: list[str] = []
    for name, version in found.items():
        branch = drivers().branches.get(version.partition(".")[0])
        fixed = (branch.geforce if "geforce" in name.lower() else "") or branch.fixed if branch else ""
        if fixed and _key(version) < _key(fixed):
            message = f"NVIDIA driver {version} ({name}) has known holes that {fixed} fixes"
            message += ", but the branch gets no more fixes: take a newer one" if branch and branch.ended else ""
            yield finding("host-gpu-driver", subject, name, message)
        elif branch is not None and branch.ended:
            message = f"NVIDIA driver {version} ({name}) is of a branch that gets no more fixes: take a newer branch"
            yield finding("host-gpu-driver", subject, name, message, severity=Severity.MEDIUM)
        elif branch is None:
            unknown.append(f"no bulletin here names the branch of {version}")
        elif _days(drivers().until) > _BULLETIN_DAYS:
            unknown.append(f"bulletins after {drivers().until} are not known here, so {version} may have newer holes")
    if "amdgpu" in said or "ROCm" in said:
        unknown.append("no advisories of AMD's drivers are known here")
    total = len(found) + bool({"amdgpu", "ROCm"} & said.keys())
    if total:
        data = f"NVIDIA's bulletins to {drivers().until}"
        reason = "; ".join(dict.fromkeys(unknown))
        checked = total - len(unknown)
        yield Check(name="graphics drivers", checked=checked, total=total, data=data, reason=reason, gap=bool(unknown))


def _days(day: str) -> int:
    return (datetime.datetime.now(datetime.UTC).date() - datetime.date.fromisoformat(day)).days


def _key(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdecimal())
