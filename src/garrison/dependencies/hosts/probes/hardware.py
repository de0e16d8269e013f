"""Firmware, disks, graphics processors and confidential computing.

Source: fwupd's `docs/hsi.md` and `libfwupd`'s JSON; lsblk(8); NVIDIA's driver README, "/proc/driver/nvidia/version",
and nvidia-smi(1); the kernel's `Documentation/virt/coco/` and `admin-guide/LSM/`.
"""

import re
from collections.abc import Iterator

from garrison.core.facts import Setting
from garrison.dependencies.hosts.probes.processor import flags
from garrison.dependencies.hosts.recording import Recording

_NVIDIA = "/proc/driver/nvidia/version"
_DRIVER = re.compile(r"\b(\d{3}\.\d{1,3}(?:\.\d{1,3})?)\b")
_VERSION = re.compile(r"\d{3}\.\d{1,3}(?:\.\d{1,3})?").fullmatch
_MODE = re.compile(r"(?:CC status|CC mode|DevTools Mode|Environment)\s*:\s*(\S+)", re.IGNORECASE)
_DEPTH = 20


def probe(recording: Recording) -> Iterator[Setting]:
    yield from _firmware(recording)
    yield from _disks(recording)
    yield from _graphics(recording)
    yield from _confidential(recording)


def _firmware(recording: Recording) -> Iterator[Setting]:
    """The host security attributes that fwupd tests, by their names."""
    data = recording.json("fwupdmgr")
    rows: object = None
    if isinstance(data, dict):
        rows = data.get("HostSecurityAttributes", data.get("SecurityAttributes"))
        if isinstance(data.get("HostSecurityId"), str):
            yield Setting(topic="firmware", name="HSI", value=data["HostSecurityId"][:50], origin="fwupdmgr security")
    if not isinstance(rows, list):
        yield recording.command_failure("firmware", "HSI", "fwupdmgr")
        return
    for row in rows[:500]:
        if isinstance(row, dict) and isinstance(row.get("AppstreamId"), str):
            name = row["AppstreamId"].removeprefix("org.fwupd.hsi.")[:100]
            level = row.get("HsiLevel")
            passed = "success" in row["Flags"] if isinstance(row.get("Flags"), list) else None
            result = str(row.get("HsiResult", "unknown"))[:100]
            wanted = str(row.get("HsiResultSuccess", ""))[:100]
            good = passed if passed is not None else bool(wanted) and result == wanted
            text = f"{'passed' if good else 'failed'}: {result}"
            place = f"HSI-{level}" if isinstance(level, int) and 0 <= level <= 9 else ""
            yield Setting(topic="firmware", name=name, value=text, origin="fwupdmgr security", place=place)


def _disks(recording: Recording) -> Iterator[Setting]:
    """For each mounted disk whether it, or what it lies on, is encrypted."""
    data = recording.json("lsblk")
    devices = data.get("blockdevices") if isinstance(data, dict) else None
    mounted = list(_mounted(devices, False, 0)) if isinstance(devices, list) else None
    if mounted is None:
        yield _crypttab(recording) or recording.command_failure("disk-encryption", "all", "lsblk")
        return
    for place, encrypted in dict(mounted).items():
        value = "encrypted" if encrypted else "plain"
        yield Setting(topic="disk-encryption", name=place[:200], value=value, origin="lsblk")
    if not mounted:
        why = "lsblk shows no mounted disk"
        yield Setting(topic="disk-encryption", name="all", state="absent", value=why, origin="lsblk")


def _crypttab(recording: Recording) -> Setting | None:
    """What an installed system opens at its start, where no running one can be asked."""
    path = "/etc/crypttab"
    lines = [line.split() for line in (recording.text(path) or "").splitlines() if not line.strip().startswith("#")]
    names = [words[0] for words in lines if words]
    if not names:
        return None
    return Setting(topic="disk-encryption", name="opened at start", value=", ".join(names)[:500], origin=path)


def _mounted(devices: list[object], encrypted: bool, depth: int) -> Iterator[tuple[str, bool]]:
    for device in devices[:1000]:
        if not isinstance(device, dict) or depth > _DEPTH:
            continue
        inside = encrypted or device.get("type") == "crypt"
        points = device.get("mountpoints")
        places = points if isinstance(points, list) else [device.get("mountpoint")]
        if device.get("type") not in ("loop", "rom"):
            yield from ((place, inside) for place in places if isinstance(place, str) and place)
        children = device.get("children")
        if isinstance(children, list):
            yield from _mounted(children, inside, depth + 1)


def _graphics(recording: Recording) -> Iterator[Setting]:
    said = recording.command("nvidia-smi")
    rows = [line.rpartition(",") for line in said.stdout.splitlines()] if said and said.status == "0" else []
    found = [(name.strip()[:100], version.strip()) for name, _, version in rows if _VERSION(version.strip())]
    for name, version in dict.fromkeys(found):
        yield Setting(topic="gpu-driver", name=name or "NVIDIA", value=version, origin="nvidia-smi")
    loaded = _DRIVER.search(recording.text(_NVIDIA) or "")
    if loaded and not found:
        yield Setting(topic="gpu-driver", name="NVIDIA", value=loaded[1], origin=_NVIDIA)
    amd = recording.text("/sys/module/amdgpu/version")
    if amd:
        yield Setting(topic="gpu-driver", name="amdgpu", value=amd.strip()[:50], origin="/sys/module/amdgpu/version")
    rocm = recording.text("/opt/rocm/.info/version")
    if rocm:
        yield Setting(topic="gpu-driver", name="ROCm", value=rocm.strip()[:50], origin="/opt/rocm/.info/version")
    if found or loaded or amd or rocm:
        return
    present = {"nvidia0", "nvidiactl", "kfd"} & set(recording.names("/dev") or ())
    if not recording.live or present:
        yield recording.unanswered("gpu-driver", "NVIDIA", _NVIDIA)
    else:
        why = "no graphics processor for computing"
        yield Setting(topic="gpu-driver", name="all", state="not-applicable", value=why, origin="/dev")


def _confidential(recording: Recording) -> Iterator[Setting]:
    """Whether this is a confidential guest, a host that can have such, and the mode of its graphics processors."""
    topic = "confidential-computing"
    devices = recording.names("/dev")
    if devices is None:
        yield recording.unanswered(topic, "guest", "/dev/sev-guest")
    else:
        kinds = [kind for device, kind in (("sev-guest", "SEV-SNP"), ("tdx_guest", "TDX")) if device in devices]
        if not kinds and "tdx_guest" in flags(recording):
            kinds = ["TDX"]
        yield Setting(topic=topic, name="guest", value=", ".join(kinds) or "none", origin="/dev, /proc/cpuinfo")
    for path in ("sev", "sev_es", "sev_snp"):
        place = f"/sys/module/kvm_amd/parameters/{path}"
        if recording.text(place) is not None:
            yield recording.file_setting(topic, f"host {path}", place)
    if recording.text("/sys/module/kvm_intel/parameters/tdx") is not None:
        yield recording.file_setting(topic, "host tdx", "/sys/module/kvm_intel/parameters/tdx")
    said = recording.command("nvidia-conf-compute")
    if said is not None and said.status == "0":
        found = _MODE.search(said.stdout)
        value = found[1].lower() if found else said.stdout.strip()[:100]
        yield Setting(topic=topic, name="gpu", value=value or "unknown", origin=said.argv)
