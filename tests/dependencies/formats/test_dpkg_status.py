import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given

from garrison.core.facts import Package
from tests.support import assert_no_failure, damaged, examine_bytes, facts_of, findings_of, worst

STATUS = b"""Package: libssl3
Status: install ok installed
Priority: optional
Architecture: amd64
Multi-Arch: same
Source: openssl (3.0.11-1~deb12u2)
Version: 3.0.11-1~deb12u2+b1
Depends: libc6 (>= 2.34), debconf (>= 0.5) | debconf-2.0
Pre-Depends: dpkg:any
Conffiles:
 /etc/ssl/openssl.cnf 8b1a9953c4611296a827abf8c47804d7
Description: Secure Sockets Layer toolkit
 Package: not-a-package
 .
 more

Package: gone
Status: deinstall ok config-files
Architecture: all
Version: 1.0

Package: half
Status: install ok half-configured
Architecture: all
Version: 2:7.1-3
"""


def packages(data: bytes, name: str = "var/lib/dpkg/status") -> dict[str, Package]:
    return {fact.name: fact for fact in facts_of(data, name) if isinstance(fact, Package)}


def test_packages_whose_files_are_there() -> None:
    found = packages(STATUS)
    assert {(p.name, p.version, p.place) for p in found.values()} == {
        ("libssl3", "3.0.11-1~deb12u2+b1", "line 1"),
        ("half", "2:7.1-3", "line 22"),
    }
    library = found["libssl3"]
    assert library.purl == "pkg:deb/libssl3@3.0.11-1~deb12u2%2Bb1?arch=amd64"
    assert (library.source_name, library.source_version) == ("openssl", "3.0.11-1~deb12u2")
    assert library.dependencies == ("dpkg", "libc6", "debconf")
    assert findings_of(STATUS, "var/lib/dpkg/status") == []


def test_distroless_images_have_a_file_for_each_package() -> None:
    paragraph = b"Package: tzdata\nVersion: 2024a-0+deb12u1\nArchitecture: all\nDescription: time zones\n"
    assert set(packages(paragraph, "image.tar!/var/lib/dpkg/status.d/tzdata")) == {"tzdata"}
    assert examine_bytes(paragraph, "control")[0].formats != ["dpkg-status"]


def test_the_copy_of_yesterday_and_lists_of_a_repository_are_not_what_is_installed() -> None:
    assert not packages(STATUS, "var/lib/dpkg/status-old")
    assert not packages(STATUS.replace(b"Status: install ok installed\n", b""), "bookworm_Packages")


def test_a_paragraph_without_a_version_is_said_and_the_others_stay() -> None:
    broken = STATUS.replace(b"Version: 2:7.1-3\n", b"")
    assert set(packages(broken)) == {"libssl3"}
    assert examine_bytes(broken, "status")[0].state == "partial"


def test_a_yaml_document_cannot_dress_as_one() -> None:
    text = STATUS.split(b"Conffiles")[0] + b"model: !!python/object/apply:os.system ['id']\n"
    assert examine_bytes(text, "model.yaml")[0].formats != ["dpkg-status"]
    assert worst(findings_of(text, "model.yaml")) in ("high", "critical")


@given(data=damaged(STATUS))
def test_damage_never_raises(data: bytes) -> None:
    assert_no_failure(data, "var/lib/dpkg/status")


@pytest.mark.skipif(not shutil.which("dpkg-query"), reason="needs a system with dpkg")
def test_the_same_as_dpkg_query_on_this_system() -> None:
    form = "${db:Status-Status}\t${Package}\t${Version}\t${source:Package}\t${source:Version}\n"
    said = subprocess.run(["dpkg-query", "-W", "-f", form], capture_output=True, text=True, check=True).stdout
    expected = {tuple(line.split("\t")[1:]) for line in said.splitlines() if line.startswith("installed\t")}
    found = packages(Path("/var/lib/dpkg/status").read_bytes())
    assert {
        (p.name, p.version, p.source_name or p.name, p.source_version or p.version) for p in found.values()
    } == expected
