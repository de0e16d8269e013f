"""How the machine starts and what it lets root do: Secure Boot, lockdown, modules, options, sysctls, IOMMU, TPM.

Source: the kernel's `admin-guide/kernel-parameters.rst`, `admin-guide/tainted-kernels.rst`, `admin-guide/sysctl/`;
UEFI specification, "Globally Defined Variables"; mokutil(1).
"""

import re
from collections.abc import Iterator

from garrison.core.facts import Setting
from garrison.dependencies.hosts.recording import Recording

_EFI = "/sys/firmware/efi"
_VARIABLE = f"{_EFI}/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
_SYSCTLS = ("kptr_restrict", "dmesg_restrict", "unprivileged_bpf_disabled", "randomize_va_space")
_OPTION = re.compile(
    r"(?:mitigations|nopti|pti|nospectre_v[12]|spectre_v2|spec_store_bypass_disable|l1tf|mds|tsx_async_abort|retbleed"
    r"|spec_rstack_overflow|gather_data_sampling|nosmt|lockdown|iommu|intel_iommu|amd_iommu|module\.sig_enforce"
    r"|init_on_alloc|init_on_free|mem_encrypt|nokaslr|kvm_amd\.sev\w*)(?:=\S*)?"
)
_LOCKDOWN = re.compile(r"\[(\w+)\]")


def probe(recording: Recording) -> Iterator[Setting]:
    yield _secure_boot(recording)
    yield _lockdown(recording)
    yield from _modules(recording)
    yield _options(recording)
    for name in _SYSCTLS:
        yield recording.file_setting("sysctl", f"kernel.{name}", f"/proc/sys/kernel/{name}")
    yield _iommu(recording)
    yield from _tpm(recording)


def _secure_boot(recording: Recording) -> Setting:
    topic, name = "secure-boot", "state"
    variable = recording.reader(_VARIABLE)
    if variable is not None:
        value = "enabled" if variable.pread(4, 1) == b"\1" else "disabled"
        return Setting(topic=topic, name=name, value=value, origin=_VARIABLE)
    said = recording.command("mokutil")
    text = f"{said.stdout}\n{said.stderr}" if said else ""
    if "SecureBoot enabled" in text or "SecureBoot disabled" in text:
        value = "enabled" if "SecureBoot enabled" in text else "disabled"
        return Setting(topic=topic, name=name, value=value, origin="mokutil --sb-state")
    if "EFI variables are not supported" in text:
        return Setting(topic=topic, name=name, value="no EFI", origin="mokutil --sb-state")
    if recording.live and recording.names(_EFI) is None and recording.text("/proc/version") is not None:
        return Setting(topic=topic, name=name, value="no EFI", origin=f"{_EFI} is absent")
    return recording.unanswered(topic, name, _VARIABLE)


def _lockdown(recording: Recording) -> Setting:
    path = "/sys/kernel/security/lockdown"
    found = _LOCKDOWN.search(recording.text(path) or "")
    if found:
        return Setting(topic="lockdown", name="mode", value=found[1], origin=path)
    return recording.unanswered("lockdown", "mode", path)


def _modules(recording: Recording) -> Iterator[Setting]:
    yield recording.file_setting("modules", "taint", "/proc/sys/kernel/tainted")
    path = "/sys/module/module/parameters/sig_enforce"
    if recording.text(path) is not None:
        yield recording.file_setting("modules", "signatures-enforced", path)


def _options(recording: Recording) -> Setting:
    """Only options that matter here: others may hold what is nobody's business."""
    path = "/proc/cmdline"
    text = recording.text(path)
    if text is None:
        return recording.unanswered("boot-options", "kernel", path)
    found = [word for word in text.split() if _OPTION.fullmatch(word)]
    return Setting(topic="boot-options", name="kernel", value=" ".join(found)[:1000], origin=path)


def _iommu(recording: Recording) -> Setting:
    path = "/sys/class/iommu"
    names = recording.names(path)
    if names is None:
        return recording.unanswered("iommu", "units", path)
    return Setting(topic="iommu", name="units", value=", ".join(names) or "none", origin=path)


def _tpm(recording: Recording) -> Iterator[Setting]:
    versions = [path for path in recording.paths("/sys/class/tpm/") if path.endswith("/tpm_version_major")]
    for path in versions:
        yield recording.file_setting("tpm", path.split("/")[-2], path)
    if versions:
        return
    names = recording.names("/sys/class/tpm")
    if names:
        yield Setting(topic="tpm", name="device", value=", ".join(names), origin="/sys/class/tpm")
    elif recording.live and recording.text("/proc/version") is not None:
        yield Setting(topic="tpm", name="device", value="none", origin="/sys/class/tpm")
    else:
        yield recording.unanswered("tpm", "device", "/sys/class/tpm")
