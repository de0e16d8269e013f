"""Judges what a host says of itself, and says what it could not tell."""

import datetime
from collections.abc import Iterator, Sequence

from garrison.core.facts import Examination, Setting
from garrison.core.findings import Check, Finding, Severity
from garrison.core.judgement import finding
from garrison.core.policy import Policy
from garrison.dependencies.detectors import host_hardware, host_services

_HELPERS = frozenset(("package-behind", "livepatch-fixed", "machine", "processes"))
_FORMAT = "host-recording"


def detect(examinations: Sequence[Examination], policy: Policy) -> Iterator[Finding | Check]:
    """Findings for each host, and how many of its probes answered."""
    for examination in examinations:
        if _FORMAT in examination.formats:
            by_topic: dict[str, list[Setting]] = {}
            for fact in examination.facts:
                if type(fact) is Setting:
                    by_topic.setdefault(fact.topic, []).append(fact)
            yield from _probes(by_topic)
            yield from _kernel(examination.subject, by_topic)
            yield from _updates(examination.subject, by_topic, policy)
            yield from host_services.judge(examination.subject, by_topic)
            yield from host_hardware.judge(examination.subject, by_topic)


def _probes(by_topic: dict[str, list[Setting]]) -> Iterator[Check]:
    """Which probes answered; what was not answered is no pass."""
    answered = 0
    silent: list[str] = []
    for topic, facts in by_topic.items():
        if topic in _HELPERS or all(fact.state == "not-applicable" for fact in facts):
            continue
        if any(fact.state == "value" for fact in facts):
            answered += 1
        else:
            fact = next(fact for fact in facts if fact.state != "not-applicable")
            silent.append(f"{topic} ({fact.value or f'{fact.origin} is absent'})")
    reason = f"no answer from {len(silent)}: {', '.join(silent)}" if silent else ""
    yield Check(
        name="probes of the host", checked=answered, total=answered + len(silent), reason=reason, gap=bool(silent)
    )


def _values(by_topic: dict[str, list[Setting]], topic: str) -> dict[str, str]:
    return {fact.name: fact.value for fact in by_topic.get(topic, ()) if fact.state == "value"}


def _kernel(subject: str, by_topic: dict[str, list[Setting]]) -> Iterator[Finding | Check]:
    package = next((fact for fact in by_topic.get("kernel", ()) if fact.name == "package"), None)
    running = _values(by_topic, "kernel").get("running", "")
    if package is not None and package.state == "absent":
        reason = f"{running}: {package.value}, so no advisories can be held against it; ask whoever built it"
        yield Check(name="running kernel", checked=0, total=1, reason=reason, gap=True)
    reboot = _values(by_topic, "reboot").get("needed", "")
    if reboot.startswith("yes"):
        said = reboot.partition(": ")[2]
        message = f"the host must be restarted ({said})" if said else "the host must be restarted"
        yield finding("host-restart-needed", subject, f"kernel {running}", f"{message}; it runs {running}")
    options = _values(by_topic, "boot-options").get("kernel", "").split()
    if "mitigations=off" in options:
        message = "the kernel was started with mitigations=off: no weakness of the processor is mitigated"
        yield finding("host-mitigations-off", subject, "/proc/cmdline", message)
    single = [word for word in options if word in _OFF]
    if single and "mitigations=off" not in options:
        message = f"the kernel was started with {' '.join(single)}, which turns single mitigations off"
        yield finding("host-mitigations-off", subject, "/proc/cmdline", message, severity=Severity.MEDIUM)
    yield from _live_patches(subject, _values(by_topic, "livepatch"))


_OFF = frozenset(
    (
        "nopti",
        "pti=off",
        "nospectre_v1",
        "nospectre_v2",
        "spectre_v2=off",
        "spec_store_bypass_disable=off",
        "l1tf=off",
        "mds=off",
        "tsx_async_abort=off",
        "retbleed=off",
        "spec_rstack_overflow=off",
        "gather_data_sampling=off",
    )
)
_FAILED = {
    "apply-failed": "the newest live patch could not be applied",
    "applied-with-bug": "the live patch was applied with a fault",
    "unapplied": "a live patch waits to be applied",
    "kernel-upgrade-required": "live patches for this kernel have ended: a newer kernel must be installed and started",
    "kernel-end-of-life": "live patches for this kernel have ended",
}


def _live_patches(subject: str, said: dict[str, str]) -> Iterator[Finding]:
    for name in ("canonical", "support"):
        problem = _FAILED.get(said.get(name, ""))
        if problem:
            yield finding("host-live-patch", subject, "canonical-livepatch", f"{problem} (state {said[name]!r})")
    if said.get("check") == "check-failed":
        message = "Livepatch could not ask for patches, so whether any is missing is unknown"
        yield finding("host-live-patch", subject, "canonical-livepatch", message)
    disabled = [name for name, value in said.items() if value == "disabled"]
    if disabled:
        message = f"live patches are loaded but disabled: {', '.join(disabled[:5])}"
        yield finding("host-live-patch", subject, "/sys/kernel/livepatch", message)


def _updates(subject: str, by_topic: dict[str, list[Setting]], policy: Policy) -> Iterator[Finding | Check]:
    lists = _values(by_topic, "security-updates")
    behind = [fact for fact in by_topic.get("package-behind", ()) if fact.state == "value"]
    day = lists.get("lists", "")
    if behind:
        sources = {fact.place or fact.name for fact in behind}
        shown = ", ".join(f"{fact.name} {fact.value}" for fact in behind[:3])
        count = f"{_count(behind, 'package')} of {_count(sources, 'source')}"
        message = f"{count} older than the security lists of {day}: {shown}"
        yield finding("host-packages-behind", subject, "dpkg", message + (", …" if len(behind) > 3 else ""))
    if "compared" in lists:
        number = int(lists["compared"])
        yield Check(name="security updates", checked=number, total=number, data=f"apt's security lists of {day}")
        age = _age(day)
        if age is None or age > policy.packages.database_days:
            said = f"are of {day}, {age} days ago" if age is not None else "do not say of which day they are"
            yield finding("host-lists-old", subject, "apt", f"the security lists {said}: newer fixes are not seen")
    pro = _values(by_topic, "ubuntu-pro")
    pending = {name[8:]: int(value) for name, value in pro.items() if name.startswith("pending-") and value.isdecimal()}
    if any(pending.values()):
        said = ", ".join(f"{number} from {name.replace('_', '-')}" for name, number in pending.items() if number)
        hint = " (this host is not attached to Ubuntu Pro)" if pro.get("attached") == "no" else ""
        yield finding("host-packages-behind", subject, "pro security-status", f"security updates wait: {said}{hint}")
    support = [fact for fact in by_topic.get("support", ()) if fact.name != "lists"]
    for what, severity in (("ended", Severity.LOW), ("limited", Severity.INFO)):
        names = [fact.name for fact in support if fact.value.startswith(what)]
        if names:
            state = "has ended" if what == "ended" else "is limited"
            message = f"Debian's security support {state} for {', '.join(names[:10])}{', …' if len(names) > 10 else ''}"
            yield finding("host-support-limited", subject, "debian-security-support", message, severity=severity)


def _age(day: str) -> int | None:
    try:
        return (datetime.datetime.now(datetime.UTC).date() - datetime.date.fromisoformat(day)).days
    except ValueError:
        return None


def _count(things: "Sequence[object] | set[str]", noun: str) -> str:
    number = len(things)
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
