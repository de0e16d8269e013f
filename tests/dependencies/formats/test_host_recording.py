import io
import tarfile
from pathlib import Path

import lz4.frame
from hypothesis import given, settings

from garrison.core.facts import Anomaly, OperatingSystem, Package, Setting
from tests.dependencies import host_samples, rpm_samples
from tests.dependencies.host_samples import DEBIAN, UBUNTU, kernel, recording, status
from tests.support import assert_no_failure, damaged, examine_bytes, facts_of, findings_of, worst


def settings_of(data: bytes) -> dict[tuple[str, str], Setting]:
    """What the probes say, by topic and name."""
    return {(fact.topic, fact.name): fact for fact in facts_of(data, "host.tar") if isinstance(fact, Setting)}


def value(found: dict[tuple[str, str], Setting], topic: str, name: str) -> str:
    fact = found[topic, name]
    assert fact.state == "value" and fact.origin, fact
    return fact.value


def test_system_and_packages_are_examined_like_those_of_an_image() -> None:
    data = recording({"/etc/os-release": DEBIAN, "/var/lib/dpkg/status": status(("bash", "5.2-1", "bash"))})
    by_subject = {item.subject: item for item in examine_bytes(data, "host.tar")}
    assert set(by_subject) == {"host.tar!/etc/os-release", "host.tar!/var/lib/dpkg/status", "host.tar"}
    assert by_subject["host.tar"].formats == ["host-recording"]
    facts = [fact for item in by_subject.values() for fact in item.facts]
    assert any(isinstance(fact, OperatingSystem) and fact.id == "debian" for fact in facts)
    assert any(isinstance(fact, Package) and fact.name == "bash" for fact in facts)


def test_what_is_not_there_is_absent_and_never_in_order() -> None:
    found = settings_of(recording())
    assert {fact.state for fact in found.values()} <= {"absent", "not-applicable"}
    assert found["cpu-vulnerability", "all"].state == "absent"
    unreadable = settings_of(recording(unreadable={"/proc/sys/kernel/tainted": "Permission denied"}))
    assert unreadable["modules", "taint"].state == "unreadable"
    assert unreadable["modules", "taint"].value == "Permission denied"


def test_a_root_that_does_not_run_answers_only_what_is_on_disk() -> None:
    found = settings_of(recording({"/etc/os-release": DEBIAN}, kind="root"))
    assert found["kernel", "running"].state == found["firmware", "HSI"].state == "not-applicable"
    assert found["secure-boot", "state"].state == "not-applicable"
    table = "# <target> <source>\nroot_crypt UUID=1 none luks\n"
    crypt = settings_of(recording({"/etc/crypttab": table}, kind="root"))
    assert value(crypt, "disk-encryption", "opened at start") == "root_crypt"


def test_the_running_kernel_is_named_as_advisories_name_it() -> None:
    packages = status(
        ("linux-image-6.1.0-22-amd64", "6.1.94-1", "linux-signed-amd64 (6.1.94+1)"),
        ("linux-image-6.1.0-23-amd64", "6.1.99-1", "linux-signed-amd64 (6.1.99+1)"),
        ("linux-image-amd64", "6.1.99-1", "linux-signed-amd64 (6.1.99+1)"),
    )
    files = {"/etc/os-release": DEBIAN, "/var/lib/dpkg/status": packages}
    data = recording(files | kernel("6.1.0-22-amd64", "Debian 6.1.94-1"))
    (package,) = [f for f in facts_of(data, "h") if isinstance(f, Package) and f.group == "running kernel"]
    assert package.purl == "pkg:deb/debian/linux@6.1.94-1?distro=debian-12"
    found = settings_of(data)
    assert value(found, "kernel", "package") == "linux-image-6.1.0-22-amd64 6.1.94-1"
    assert value(found, "reboot", "needed") == "yes: 6.1.0-23-amd64 is installed"
    newest = settings_of(recording(files | kernel("6.1.0-23-amd64", "Debian 6.1.99-1")))
    assert value(newest, "reboot", "needed") == "no"
    rebuilt = settings_of(recording(files | kernel("6.1.0-23-amd64", "Debian 6.1.98-1")))
    assert value(rebuilt, "reboot", "needed").startswith("yes")


def test_ubuntus_kernels_have_sources_of_their_own() -> None:
    name = "linux-image-6.8.0-47-generic"
    packages = status((name, "6.8.0-47.47~22.04.1", "linux-signed-hwe-6.8"), ("linux-image-6.8.0-50-aws", "9", "x"))
    files = {"/etc/os-release": UBUNTU, "/var/lib/dpkg/status": packages, **kernel("6.8.0-47-generic")}
    files["/proc/version_signature"] = "Ubuntu 6.8.0-47.47~22.04.1-generic 6.8.12\n"
    data = recording(files)
    (package,) = [f for f in facts_of(data, "h") if isinstance(f, Package) and f.group == "running kernel"]
    assert (package.name, package.version) == ("linux-hwe-6.8", "6.8.0-47.47~22.04.1")
    assert package.distribution == "ubuntu:22.04"
    assert value(settings_of(data), "reboot", "needed") == "no", "a kernel of another flavour is none that waits"


def test_a_kernel_that_no_package_brought_is_said_to_be_unknown() -> None:
    files = {"/etc/os-release": DEBIAN, "/var/lib/dpkg/status": status(("bash", "5", "bash")), **kernel("6.18.44-own")}
    found = settings_of(recording(files))
    assert found["kernel", "package"].state == "absent" and found["reboot", "needed"].state == "absent"


def test_kernels_of_rpm_and_the_newer_one_that_waits(tmp_path: Path) -> None:
    headers = [rpm_samples.header("kernel-core", "5.14.0", f"{build}.el9") for build in ("427.13.1", "427.9.1", "99")]
    system = 'ID="rocky"\nVERSION_ID="9.4"\n'
    files: dict[str, str | bytes] = {"/etc/os-release": system, **kernel("5.14.0-427.9.1.el9.x86_64")}
    files["/var/lib/rpm/rpmdb.sqlite"] = rpm_samples.sqlite(tmp_path, headers)
    found = settings_of(recording(files))
    assert value(found, "kernel", "package") == "kernel-core 5.14.0-427.9.1.el9"
    assert value(found, "reboot", "needed") == "yes: 5.14.0-427.13.1.el9.x86_64 is installed"
    assert found["security-updates", "lists"].state == "absent", "only apt's lists are read"


def test_restarts_that_other_tools_ask_for() -> None:
    files = {"/run/reboot-required": "*** System restart required ***\n", "/run/reboot-required.pkgs": "libc6\nlibc6\n"}
    assert value(settings_of(recording(files)), "reboot", "needed") == "yes: for libc6"
    batch = "NEEDRESTART-VER: 3.6\nNEEDRESTART-KCUR: 6.1.0-20-amd64\nNEEDRESTART-KEXP: 6.1.0-22-amd64\n"
    batch += "NEEDRESTART-KSTA: {}\n"
    waiting = settings_of(recording(commands={"needrestart": batch.format(3)}))
    assert value(waiting, "reboot", "needed") == "yes: 6.1.0-22-amd64 is installed"
    assert value(settings_of(recording(commands={"needrestart": batch.format(1)})), "reboot", "needed") == "no"


def test_livepatch_tells_of_the_running_kernel_and_of_what_it_fixed() -> None:
    fixes = [{"Name": "cve-2024-1086", "Patched": True}, {"Name": "cve-2024-2", "Patched": False}]
    files = {"/etc/os-release": UBUNTU, "/sys/kernel/livepatch/lkp_Ubuntu_1/enabled": "1\n"}
    files["/sys/kernel/livepatch/lkp_Ubuntu_1/transition"] = "0\n"
    said = {"canonical-livepatch": host_samples.livepatch("applied", fixes=fixes)}
    found = settings_of(recording(files, said, {"/sys/kernel/livepatch": ["lkp_Ubuntu_1"]}))
    assert value(found, "livepatch", "canonical") == "applied"
    assert value(found, "livepatch", "lkp_Ubuntu_1") == "enabled"
    assert [name for topic, name in found if topic == "livepatch-fixed"] == ["CVE-2024-1086"]
    off = {"canonical-livepatch": ("", "Machine is not enabled. Please run 'sudo canonical-livepatch enable'", "1")}
    assert value(settings_of(recording(files, off)), "livepatch", "canonical") == "not enabled"


def test_commands_that_fail_say_why() -> None:
    files: dict[str, str | bytes] = {"/etc/os-release": UBUNTU}
    commands: dict[str, object] = {
        "canonical-livepatch": ("", "", "absent"),
        "pro": ("not json {", "", "0"),
        "fwupdmgr": ("", "", "timed out"),
        "lsblk": ("", "lsblk: Permission denied", "1"),
    }
    found = settings_of(recording(files, commands))
    assert found["livepatch", "canonical"].state == "absent"
    assert found["ubuntu-pro", "attached"].state == "unreadable"
    assert found["firmware", "HSI"].value == "timed out"
    assert found["disk-encryption", "all"].value.startswith("needs root")


def test_pro_and_its_pending_updates() -> None:
    services = [{"name": "livepatch", "status": "enabled"}, {"name": "esm-apps", "available": "yes"}]
    summary = {"num_esm_infra_updates": 3, "num_esm_apps_updates": 0, "num_installed_packages": 900}
    commands: dict[str, object] = {"pro": {"attached": True, "services": services}}
    commands["pro-security-status"] = {"summary": summary}
    found = settings_of(recording({"/etc/os-release": UBUNTU}, commands))
    assert value(found, "ubuntu-pro", "attached") == "yes"
    assert value(found, "ubuntu-pro", "livepatch") == "enabled"
    assert value(found, "ubuntu-pro", "pending-esm_infra") == "3"


def test_packages_are_held_against_the_security_lists_however_apt_packs_them() -> None:
    lists = "Package: openssl\nArchitecture: amd64\nVersion: 3.0.11-1~deb12u3\n\n"
    lists += "Package: openssl\nArchitecture: amd64\nVersion: 3.0.11-1~deb12u2\n\n"
    lists += "Package: bash\nArchitecture: arm64\nVersion: 9\n"
    packages = status(("openssl", "3.0.11-1~deb12u2", "openssl"), ("bash", "5.2-1", "bash"))
    name = "/var/lib/apt/lists/deb.debian.org_debian-security_dists_bookworm-security"
    files: dict[str, str | bytes] = {"/etc/os-release": DEBIAN, "/var/lib/dpkg/status": packages}
    files[f"{name}_InRelease"] = "Origin: Debian\nDate: Sat, 02 May 2026 08:00:00 UTC\n"
    for ending, data in (("", lists.encode()), (".lz4", lz4.frame.compress(lists.encode()))):
        found = settings_of(recording(files | {f"{name}_main_binary-amd64_Packages{ending}": data}))
        assert value(found, "security-updates", "lists") == "2026-05-02"
        behind = {fact.name: fact.value for (topic, _), fact in found.items() if topic == "package-behind"}
        assert behind == {"openssl": "3.0.11-1~deb12u2 -> 3.0.11-1~deb12u3"}
    broken = settings_of(recording(files | {f"{name}_main_binary-amd64_Packages.lz4": b"not lz4"}))
    assert broken["security-updates", "lists"].state == "unreadable"
    assert settings_of(recording(files))["security-updates", "lists"].state == "absent"


def test_limits_of_debians_support() -> None:
    files: dict[str, str | bytes] = {
        "/etc/os-release": DEBIAN,
        "/var/lib/dpkg/status": status(("libhdf5-103-1", "1.10.8", "hdf5"), ("old", "1", "old")),
        "/usr/share/debian-security-support/security-support-limited": "# comment\nhdf5 Only for trusted content\n",
        "/usr/share/debian-security-support/security-support-ended.deb12": "old 1.0 2025-01-01 no more\nother 1 2\n",
    }
    found = settings_of(recording(files))
    assert value(found, "support", "hdf5") == "limited: Only for trusted content"
    assert value(found, "support", "old").startswith("ended")


def test_sockets_by_address_and_program() -> None:
    rows = "tcp\t00000000:1F90\tpython3\ntcp\t0100007F:22B8\tjupyter-noteboo\n"
    rows += "tcp6\t00000000000000000000000001000000:22B8\t\ntcp6\tFFFF00000000000000000000:1\t\nbroken"
    found = settings_of(recording(derived={"sockets": rows}))
    names = {name for topic, name in found if topic == "listening-port"}
    assert names == {"0.0.0.0:8080", "127.0.0.1:8888", "[::1]:8888", "count"}
    assert found["listening-port", "127.0.0.1:8888"].value == "jupyter-noteboo"


def test_hardware() -> None:
    attributes = [
        {"AppstreamId": "org.fwupd.hsi.Uefi.SecureBoot", "HsiLevel": 1, "HsiResult": "enabled", "Flags": ["success"]},
        {"AppstreamId": "org.fwupd.hsi.Spi.Bioswe", "HsiLevel": 1, "HsiResult": "enabled", "Flags": []},
        {"AppstreamId": "org.fwupd.hsi.IntelCet", "HsiLevel": 3, "HsiResult": "x", "HsiResultSuccess": "x"},
    ]
    crypt = {"name": "/dev/mapper/c", "type": "crypt", "mountpoint": "/"}
    disks = [{"name": "/dev/sda2", "type": "part", "children": [crypt]}, {"name": "/dev/sdb", "mountpoints": ["/data"]}]
    commands: dict[str, object] = {
        "fwupdmgr": {"SecurityAttributes": attributes, "HostSecurityId": "HSI:0"},
        "lsblk": {"blockdevices": disks},
        "nvidia-smi": "NVIDIA H100 80GB HBM3, 535.104.05\nNVIDIA H100 80GB HBM3, 535.104.05\n",
        "nvidia-conf-compute": "CC status: ON\n",
    }
    listings = {"/dev": ["nvidia0", "sev-guest"], "/sys/class/iommu": ["dmar0"], "/sys/class/tpm": ["tpm0"]}
    files: dict[str, str | bytes] = {"/sys/class/tpm/tpm0/tpm_version_major": "2\n"}
    found = settings_of(recording(files, commands, listings))
    assert value(found, "firmware", "Spi.Bioswe") == "failed: enabled"
    assert value(found, "firmware", "Uefi.SecureBoot") == "passed: enabled"
    assert found["firmware", "Spi.Bioswe"].place == "HSI-1"
    assert value(found, "disk-encryption", "/") == "encrypted" and value(found, "disk-encryption", "/data") == "plain"
    assert value(found, "gpu-driver", "NVIDIA H100 80GB HBM3") == "535.104.05"
    assert value(found, "confidential-computing", "guest") == "SEV-SNP"
    assert value(found, "confidential-computing", "gpu") == "on"
    assert value(found, "iommu", "units") == "dmar0" and value(found, "tpm", "tpm0") == "2"
    text = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar  5 22:23:56 UTC 2024\nGCC version: 12\n"
    loaded = settings_of(recording({"/proc/driver/nvidia/version": text}))
    assert value(loaded, "gpu-driver", "NVIDIA") == "550.54.15"


def test_only_options_that_matter_leave_the_host() -> None:
    files = {"/proc/cmdline": "BOOT_IMAGE=/vmlinuz root=/dev/sda1 token=hf_secret mitigations=off intel_iommu=on\n"}
    assert value(settings_of(recording(dict(files))), "boot-options", "kernel") == "mitigations=off intel_iommu=on"


def test_secure_boot_from_each_side() -> None:
    variable = "/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
    assert value(settings_of(recording({variable: b"\6\0\0\0\1"})), "secure-boot", "state") == "enabled"
    assert value(settings_of(recording({variable: b"\6\0\0\0\0"})), "secure-boot", "state") == "disabled"
    said = settings_of(recording(commands={"mokutil": "SecureBoot enabled\n"}))
    assert value(said, "secure-boot", "state") == "enabled"
    without = settings_of(recording(commands={"mokutil": ("", "EFI variables are not supported on this system", "1")}))
    assert value(without, "secure-boot", "state") == "no EFI"


def with_member(member: tarfile.TarInfo, data: bytes = b"") -> bytes:
    file = io.BytesIO(recording({"/etc/os-release": DEBIAN}))
    with tarfile.open(fileobj=file, mode="a") as archive:
        archive.addfile(member, io.BytesIO(data))
    return file.getvalue()


def test_links_in_a_recording_are_not_followed_and_said() -> None:
    link = tarfile.TarInfo("files/proc/cmdline")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/shadow"
    facts = facts_of(with_member(link), "host.tar")
    assert any(isinstance(fact, Anomaly) and fact.what == "escaping-link" for fact in facts)
    assert settings_of(with_member(link))["boot-options", "kernel"].state == "absent"
    up = tarfile.TarInfo("files/../../etc/passwd")
    assert any(isinstance(f, Anomaly) and f.what == "path-traversal" for f in facts_of(with_member(up), "host.tar"))


def test_a_model_behind_the_first_entry_of_a_recording_is_examined_all_the_same() -> None:
    pickle = b"cposix\nsystem\n(S'id'\ntR."
    for name in ("data.pkl", "./weights/model.pkl", "files/etc/model.pkl", "files/sys/class/tpm/a/b/tpm_version_major"):
        member = tarfile.TarInfo(name)
        member.size = len(pickle)
        assert worst(findings_of(with_member(member, pickle), "model.tar")) == "critical", name


def test_a_recording_that_breaks_off_or_lies_is_said_to_be_one() -> None:
    data = recording({"/etc/os-release": DEBIAN, "/proc/cmdline": "x" * 5000})
    examination = examine_bytes(data[:4000], "host.tar")[-1]
    assert examination.state == "partial"
    assert "breaks off" in examination.reason
    newer = data.replace(b'"version":1', b'"version":9', 1)
    assert "version 9" in examine_bytes(newer, "host.tar")[-1].reason
    wrong = data.replace(b'{"version"', b'["version"', 1)
    assert examine_bytes(wrong, "host.tar")[-1].state == "partial"


def test_huge_and_senseless_outputs_are_read_to_the_end() -> None:
    deep: object = []
    for _ in range(900):
        deep = [deep]
    commands: dict[str, object] = {
        "lsblk": {"blockdevices": [{"children": deep, "mountpoint": 7, "type": []}] * 50},
        "fwupdmgr": {
            "HostSecurityAttributes": [{"AppstreamId": 5}, 3, {"AppstreamId": "x", "Flags": 1, "HsiLevel": "y"}]
        },
        "pro": {"attached": "yes", "services": {}},
        "pro-security-status": {"summary": {"num_a_updates": "many"}},
        "canonical-livepatch": {"Status": [{"Running": True, "Livepatch": 3}]},
        "nvidia-smi": "," * 1_000_000,
        "needrestart": "[" * 1_000_000,
        "kpatch": "\n" * 100_000,
    }
    files: dict[str, str | bytes] = {"/etc/os-release": UBUNTU, "/proc/cmdline": "a " * 1_000_000}
    files["/proc/cpuinfo"] = "flags : " + "x " * 1_000_000
    examination = examine_bytes(recording(files, commands, derived={"sockets": "a\tb\tc\n" * 100_000}), "host.tar")[-1]
    assert examination.state == "examined"
    assert_no_failure(recording(files, dict.fromkeys(commands, "[" * 100000)), "host.tar")


SMALL = recording(
    {"/etc/os-release": UBUNTU, **kernel("6.8.0-47-generic"), "/proc/cpuinfo": "flags\t: hypervisor\n"},
    {"canonical-livepatch": host_samples.livepatch("applied"), "lsblk": {"blockdevices": []}},
    {"/dev": ["tpm0"]},
    {"sockets": "tcp\t00000000:1F90\tpython3", "processes": "1\t0", "deleted-libraries": "1\ta\t/lib/x.so"},
)


@settings(deadline=None)
@given(data=damaged(SMALL))
def test_damage_never_raises(data: bytes) -> None:
    assert_no_failure(data, "host.tar")
