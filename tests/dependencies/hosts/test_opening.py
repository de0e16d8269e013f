import tarfile
from pathlib import Path

import pytest

import garrison
from garrison.core.errors import UsageError
from tests.dependencies.host_samples import DEBIAN, recording


def subjects(report: "garrison.Report") -> set[str]:
    return {item.subject for item in report.inventory}


def test_this_machine() -> None:
    report = garrison.scan("host:")
    assert "host:" in subjects(report) and report.coverage.failed == 0
    assert any(check.name == "probes of the host" and check.checked > 3 for check in report.checks)


def test_a_root_file_system(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/os-release").write_text(DEBIAN)
    report = garrison.scan(f"host:{tmp_path}")
    assert f"host:{tmp_path}!/etc/os-release" in subjects(report)


def test_recordings_as_tar_and_as_directory_tell_the_same(tmp_path: Path) -> None:
    path = tmp_path / "host.tar"
    path.write_bytes(recording({"/etc/os-release": DEBIAN, "/proc/cmdline": "mitigations=off"}))
    folder = tmp_path / "host"
    with tarfile.open(path) as archive:
        archive.extractall(folder, filter="data")
    told = []
    for subject in (path, folder, f"host:{folder}", f"host:{path}"):
        report = garrison.scan(subject)
        told.append([(item.rule, item.message) for item in report.findings])
    assert told[0][0][0] == "host-mitigations-off" and told.count(told[0]) == 4


def test_links_in_a_directory_are_said_and_not_followed(tmp_path: Path) -> None:
    with tarfile.open(fileobj=__import__("io").BytesIO(recording())) as archive:
        archive.extractall(tmp_path, filter="data")
    (tmp_path / "files/proc").mkdir(parents=True)
    secret = tmp_path.parent / "secret-options"
    secret.write_text("mitigations=off")
    (tmp_path / "files/proc/cmdline").symlink_to(secret)
    rules = {item.rule for item in garrison.scan(tmp_path).findings}
    assert "escaping-link" in rules and "host-mitigations-off" not in rules


def test_a_host_that_is_not_there_is_the_users_mistake(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        garrison.scan(f"host:{tmp_path / 'none'}")
