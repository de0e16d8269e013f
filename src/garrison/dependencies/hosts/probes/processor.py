"""The processor: its weaknesses as the kernel sees them, its microcode, and whether it is a virtual one.

Source: the kernel's `Documentation/ABI/testing/sysfs-devices-system-cpu` and `admin-guide/hw-vuln/`.
"""

import re
from collections.abc import Iterator

from garrison.core.facts import Setting
from garrison.dependencies.hosts.recording import Recording

_FOLDER = "/sys/devices/system/cpu/vulnerabilities"
_FLAGS = re.compile(r"^(?:flags|Features)\s*:(.*)$", re.MULTILINE)
_MICROCODE = re.compile(r"^microcode\s*:\s*(\S+)", re.MULTILINE)
_CPUINFO = "/proc/cpuinfo"


def flags(recording: Recording) -> set[str]:
    """What the first processor can do."""
    found = _FLAGS.search(recording.text(_CPUINFO) or "")
    return set(found[1].split()) if found else set()


def probe(recording: Recording) -> Iterator[Setting]:
    paths = recording.paths(f"{_FOLDER}/")
    for path in paths:
        name = path.rpartition("/")[2]
        yield recording.file_setting("cpu-vulnerability", name, path)
    if not paths:
        yield recording.unanswered("cpu-vulnerability", "all", _FOLDER)
    yield _microcode(recording)
    if flags(recording):
        virtual = "yes" if "hypervisor" in flags(recording) else "no"
        yield Setting(topic="machine", name="virtual", value=virtual, origin=_CPUINFO)
    else:
        yield recording.unanswered("machine", "virtual", _CPUINFO)


def _microcode(recording: Recording) -> Setting:
    path = "/sys/devices/system/cpu/cpu0/microcode/version"
    found = _MICROCODE.search(recording.text(_CPUINFO) or "")
    if recording.text(path) is None and found:
        return Setting(topic="microcode", name="revision", value=found[1], origin=_CPUINFO)
    return recording.file_setting("microcode", "revision", path)
