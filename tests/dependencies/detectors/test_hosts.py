import datetime

import pytest

from garrison.core.findings import Check
from garrison.core.judgement import judge
from garrison.core.policy import PackagePolicy, Policy
from tests.dependencies.host_samples import DEBIAN, UBUNTU, kernel, livepatch, recording, status
from tests.support import examine_bytes, findings_of, worst

CPU = "/sys/devices/system/cpu/vulnerabilities"
LISTS = "/var/lib/apt/lists/deb.debian.org_debian-security_dists_bookworm-security"


def said(data: bytes, rule: str) -> list[tuple[str, str]]:
    """Severity and message of the findings of one rule."""
    return [(str(item.severity), item.message) for item in findings_of(data, "host.tar") if item.rule == rule]


def checks_of(data: bytes) -> dict[str, Check]:
    return {check.name: check for check in judge(examine_bytes(data, "host.tar"), Policy())[1]}


def test_a_host_that_answers_nothing_is_no_pass() -> None:
    check = checks_of(recording())["probes of the host"]
    assert check.checked == 0 and check.total > 12 and check.gap
    assert "firmware (fwupdmgr is not installed)" in check.reason
    assert findings_of(recording(), "host.tar") == []
    root = checks_of(recording({"/etc/os-release": DEBIAN}, kind="root"))["probes of the host"]
    assert (root.checked, root.total, root.gap) == (0, 1, True) and "no database" in root.reason


@pytest.mark.parametrize(
    ("name", "text", "severity"),
    [
        ("meltdown", "Vulnerable", "high"),
        ("spec_store_bypass", "Vulnerable", "low"),
        ("spec_rstack_overflow", "Vulnerable: Safe RET, no microcode", "low"),
        ("mds", "Vulnerable: Clear CPU buffers attempted, no microcode; SMT vulnerable", "low"),
        ("mds", "Mitigation: Clear CPU buffers; SMT vulnerable", "low"),
        ("retbleed", "Vulnerable", "medium"),
        ("itlb_multihit", "KVM: Vulnerable", "low"),
        ("brand_new", "Vulnerable", "medium"),
        ("itlb_multihit", "KVM: Mitigation: VMX disabled", "none"),
        ("spectre_v2", "Mitigation: Retpolines; STIBP: disabled; RSB filling", "none"),
        ("srbds", "Not affected", "none"),
    ],
)
def test_weaknesses_of_the_processor(name: str, text: str, severity: str) -> None:
    data = recording({f"{CPU}/{name}": f"{text}\n"})
    assert worst(findings_of(data, "host.tar")) == severity
    assert checks_of(data)["processor weaknesses"].checked == 1


def test_a_weakness_that_the_kernel_cannot_tell_is_no_pass() -> None:
    check = checks_of(recording({f"{CPU}/srbds": "Unknown: Dependent on hypervisor status\n"}))["processor weaknesses"]
    assert (check.checked, check.total, check.gap) == (0, 1, True) and "srbds" in check.reason


def test_mitigations_that_were_turned_off() -> None:
    assert said(recording({"/proc/cmdline": "quiet mitigations=off"}), "host-mitigations-off")[0][0] == "high"
    assert said(recording({"/proc/cmdline": "quiet nopti mds=off"}), "host-mitigations-off")[0][0] == "medium"
    assert not said(recording({"/proc/cmdline": "quiet mitigations=auto,nosmt"}), "host-mitigations-off")


@pytest.mark.parametrize(
    ("state", "check", "supported", "expected"),
    [
        ("applied", "checked", "supported", ""),
        ("nothing-to-apply", "checked", "supported", ""),
        ("apply-failed", "checked", "supported", "could not be applied"),
        ("applied-with-bug", "checked", "supported", "with a fault"),
        ("nothing-to-apply", "check-failed", "supported", "could not ask"),
        ("nothing-to-apply", "checked", "kernel-upgrade-required", "newer kernel"),
        ("kernel-upgrade-required", "checked", "", "newer kernel"),
    ],
)
def test_states_of_livepatch(state: str, check: str, supported: str, expected: str) -> None:
    data = recording({"/etc/os-release": UBUNTU}, {"canonical-livepatch": livepatch(state, check, supported)})
    found = said(data, "host-live-patch")
    assert len(found) == bool(expected) and all(expected in message and bad == "medium" for bad, message in found)


def test_a_patch_that_is_loaded_but_off() -> None:
    data = recording(
        {"/sys/kernel/livepatch/kpatch_1/enabled": "0\n"}, listings={"/sys/kernel/livepatch": ["kpatch_1"]}
    )
    assert "kpatch_1" in said(data, "host-live-patch")[0][1]


@pytest.mark.parametrize(
    ("row", "severity"),
    [
        ("tcp\t00000000:2049\traylet", "high"),
        ("tcp\t00000000:2049\tpython3", "high"),
        ("tcp6\t00000000000000000000000000000000:22B8\tjupyter-lab", "high"),
        ("tcp\t0A00000A:0947\tdockerd", "high"),
        ("tcp\t00000000:22B8\tnginx", "low"),
        ("tcp\t00000000:1388\tpython3", "low"),
        ("tcp\t00000000:1388\tmlflow", "medium"),
        ("tcp\t00000000:1F91\ttorchserve", "high"),
        ("tcp\t0100007F:22B8\tjupyter-lab", "none"),
        ("tcp6\t00000000000000000000000001000000:22B8\tjupyter-lab", "none"),
        ("tcp\t00000000:01BB\tnginx", "none"),
    ],
)
def test_open_ports(row: str, severity: str) -> None:
    data = recording(derived={"sockets": f"{row}\n{row}"})
    assert worst(findings_of(data, "host.tar")) == severity
    assert len(said(data, "host-open-port")) == (severity != "none")


@pytest.mark.parametrize(
    ("driver", "severity", "checked"),
    [
        ("NVIDIA H100, 535.104.05", "high", 1),
        ("NVIDIA H100, 580.95.05", "high", 1),
        ("NVIDIA H100, 570.211.01", "medium", 1),
        ("NVIDIA H100, 525.60.13", "medium", 1),
        ("NVIDIA GeForce RTX 5090, 580.126.09", "none", None),
        ("NVIDIA H100, 595.71.05", "none", None),
        ("NVIDIA H100, 999.10", "none", 0),
    ],
)
def test_graphics_drivers_against_bulletins(driver: str, severity: str, checked: int | None) -> None:
    data = recording(commands={"nvidia-smi": f"{driver}\n"})
    assert worst(findings_of(data, "host.tar")) == severity
    check = checks_of(data)["graphics drivers"]
    assert check.total == 1 and "NVIDIA" in check.data
    assert checked is None or check.checked == checked
    assert check.gap == (check.checked == 0)


def test_drivers_of_amd_stay_unchecked() -> None:
    check = checks_of(recording({"/sys/module/amdgpu/version": "6.8.5\n"}))["graphics drivers"]
    assert (check.checked, check.total, check.gap) == (0, 1, True)


def test_packages_behind_are_one_finding_and_old_lists_another() -> None:
    packages = status(*((f"lib{number}", "1.0-1", "source") for number in range(5)))
    lists = "\n".join(f"Package: lib{number}\nArchitecture: amd64\nVersion: 1.0-2\n" for number in range(4))
    files: dict[str, str | bytes] = {"/etc/os-release": DEBIAN, "/var/lib/dpkg/status": packages}
    files[f"{LISTS}_main_binary-amd64_Packages"] = lists
    files[f"{LISTS}_InRelease"] = "Date: Sat, 02 May 2020 08:00:00 UTC\n"
    ((severity, message),) = said(recording(files), "host-packages-behind")
    assert severity == "medium" and "4 packages of 1 source older" in message and "lib0 1.0-1 -> 1.0-2" in message
    assert said(recording(files), "host-lists-old")
    today = datetime.datetime.now(datetime.UTC).strftime("%a, %d %b %Y %H:%M:%S UTC")
    fresh = recording(files | {f"{LISTS}_InRelease": f"Date: {today}\n"})
    assert not said(fresh, "host-lists-old")
    check = checks_of(fresh)["security updates"]
    assert (check.checked, check.total, check.gap) == (5, 5, False)
    policy = Policy(packages=PackagePolicy(database_days=100_000))
    assert "host-lists-old" not in {item.rule for item in findings_of(recording(files), "h", policy=policy)}


def test_updates_that_wait_for_ubuntu_pro() -> None:
    commands: dict[str, object] = {
        "pro": {"attached": False},
        "pro-security-status": {"summary": {"num_esm_apps_updates": 7}},
    }
    ((_, message),) = said(recording({"/etc/os-release": UBUNTU}, commands), "host-packages-behind")
    assert "7 from esm-apps" in message and "not attached" in message


def test_a_kernel_of_nobodys_is_a_gap() -> None:
    files = {"/etc/os-release": DEBIAN, "/var/lib/dpkg/status": status(("bash", "5", "bash")), **kernel("6.18-own")}
    check = checks_of(recording(files))["running kernel"]
    assert (check.checked, check.total, check.gap) == (0, 1, True)


def test_the_rest_of_the_machine() -> None:
    files: dict[str, str | bytes] = {
        "/proc/sys/kernel/tainted": "12289\n",
        "/proc/sys/kernel/randomize_va_space": "0\n",
        "/proc/sys/kernel/kptr_restrict": "1\n",
        "/proc/cpuinfo": "flags\t: fpu vmx\n",
        "/run/reboot-required": "",
    }
    disks = {"blockdevices": [{"type": "part", "mountpoint": "/"}, {"type": "part", "mountpoint": "/boot"}]}
    rows = [{"AppstreamId": "org.fwupd.hsi.Spi.Bioswe", "HsiLevel": 1, "HsiResult": "enabled", "Flags": []}]
    rows.append({"AppstreamId": "org.fwupd.hsi.IntelCet", "HsiLevel": 3, "HsiResult": "not-supported", "Flags": []})
    commands: dict[str, object] = {
        "mokutil": "SecureBoot disabled\n",
        "lsblk": disks,
        "fwupdmgr": {"HostSecurityAttributes": rows},
        "nvidia-conf-compute": "CC status: DevTools\n",
    }
    derived = {"deleted-libraries": "7\tsshd\t/usr/lib/libcrypto.so.3", "processes": "90\t10"}
    data = recording(files, commands, {"/sys/class/iommu": []}, derived)
    found = {(item.rule, str(item.severity)) for item in findings_of(data, "host.tar")}
    assert found == {
        ("host-module", "low"),
        ("host-sysctl", "medium"),
        ("host-restart-needed", "medium"),
        ("host-secure-boot", "low"),
        ("host-disk-plain", "low"),
        ("host-firmware", "medium"),
        ("host-firmware", "info"),
        ("host-iommu", "low"),
        ("host-confidential-computing", "medium"),
        ("host-replaced-library", "medium"),
    }
    check = checks_of(data)["libraries of running programs"]
    assert (check.checked, check.total, check.gap) == (90, 100, True)
    guest = recording(files | {"/proc/cpuinfo": "flags\t: fpu hypervisor\n"}, commands, {"/sys/class/iommu": []})
    mild = {item.rule: str(item.severity) for item in findings_of(guest, "host.tar")}
    assert mild["host-secure-boot"] == mild["host-disk-plain"] == "info" and "host-iommu" not in mild


def test_settings_of_images_are_not_taken_for_a_hosts() -> None:
    assert "probes of the host" not in {
        check.name for check in judge(examine_bytes(b"ID=debian\n", "os-release"), Policy())[1]
    }
