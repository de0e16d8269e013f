"""A root file system in a directory is examined like that of an image, and nothing outside of it is read."""

import os
import pickle
from pathlib import Path

import garrison
from garrison.core.facts import Artifact, FileMode, OperatingSystem, Package
from garrison.dependencies.images.places import is_layout, is_root
from garrison.dependencies.images.root import resolve
from tests.dependencies.formats.test_image_archive import KEY, PICKLE, RELEASE, STATUS


def system(folder: Path, **links: str) -> Path:
    files = {
        "usr/lib/os-release": RELEASE,
        "usr/bin/su": b"\x7fELF" + bytes(200),
        "usr/bin/tool": b"#!/bin/sh\nls\n",
        "usr/lib/python3/dist-packages/x/data.pkl": pickle.dumps({1: 2}),
        "var/lib/dpkg/status": STATUS,
        "var/lib/dpkg/info/login.list": b"/.\n/bin/su\n",
        "app/serve.py": b"import os\nos.system('ls')\n",
        "proc/1/environ": b"A=B",
    }
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    (folder / "etc").mkdir()
    for name, target in ({"etc/os-release": "../usr/lib/os-release", "bin": "usr/bin"} | links).items():
        os.symlink(target, folder / name)
    os.chmod(folder / "usr/bin/su", 0o4755)
    return folder


def test_a_root_file_system(tmp_path: Path) -> None:
    root = system(tmp_path / "root")
    report = garrison.scan(root, jobs=2)
    facts = {item.subject: item.facts for item in report.inventory}
    assert [f.version for f in facts[f"{root}/etc/os-release"] if isinstance(f, OperatingSystem)] == ["12"]
    assert sum(isinstance(f, Package) for f in facts[f"{root}/var/lib/dpkg/status"]) == 2
    assert f"{root}/usr/bin/tool" not in facts and f"{root}/proc/1/environ" not in facts
    assert f"{root}/app/serve.py" in facts
    modes = [f for f in facts[str(root)] if isinstance(f, FileMode)]
    assert [(f.path, f.package) for f in modes] == [("/usr/bin/su", "login")]
    details = next(f for f in facts[str(root)] if isinstance(f, Artifact)).details
    assert (details["files"], details["links"]) == (7, 2)
    assert {finding.severity for finding in report.findings} == {"info"}


def test_what_is_in_it_is_found(tmp_path: Path) -> None:
    root = system(tmp_path / "root")
    (root / "usr/share").mkdir()
    (root / "usr/share/model.bin").write_bytes(PICKLE)
    (root / "etc/key.pem").write_bytes(KEY)
    found = {(f.rule, f.subject) for f in garrison.scan(root, jobs=1).findings if f.severity.rank > 0}
    assert found == {("dangerous-import", f"{root}/usr/share/model.bin"), ("secret", f"{root}/etc/key.pem")}


def test_no_link_leads_out(tmp_path: Path) -> None:
    (tmp_path / "secret.pem").write_bytes(KEY)
    (tmp_path / "os-release").write_bytes(b"ID=host\nVERSION_ID=99\n")
    root = system(tmp_path / "root", key="../secret.pem", up="..", etc2="/etc")
    (root / "etc/os-release").unlink()
    for target in ("../../os-release", "/../os-release", str(tmp_path / "os-release"), "os-release", "/proc/self/root"):
        os.symlink(target, root / "etc/os-release")
        report = garrison.scan(root, jobs=1)
        systems = [f.version for item in report.inventory for f in item.facts if isinstance(f, OperatingSystem)]
        assert systems == ["12"], target
        assert {finding.severity for finding in report.findings} == {"info"}
        (root / "etc/os-release").unlink()


def test_links_are_resolved_as_inside(tmp_path: Path) -> None:
    root = system(tmp_path / "root", a="b", b="a", absolute="/usr/lib/os-release")
    assert resolve(str(root), "a") is None
    assert resolve(str(root), "absolute") == str(root / "usr/lib/os-release")
    assert resolve(str(root), "etc/../../../usr/lib/os-release") == str(root / "usr/lib/os-release")
    assert resolve(str(root), "nothing") is None and resolve(str(root), "usr") is None


def test_what_is_a_root_and_what_is_a_project(tmp_path: Path) -> None:
    assert is_root(str(system(tmp_path / "root")))
    for name in ("bin", "lib", "etc", "usr", "var"):
        (tmp_path / "project" / name).mkdir(parents=True)
    assert not is_root(str(tmp_path / "project"))
    assert not is_root(str(tmp_path)) and not is_layout(str(tmp_path))
