"""Known vulnerabilities are found, told once each with what to do, and what was not checked is said."""

import contextlib
import datetime
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from garrison.core.facts import Examination, Package, Release, Setting
from garrison.core.findings import Check, Finding
from garrison.core.judgement import judge
from garrison.core.policy import PackagePolicy, Policy
from garrison.dependencies.advisories.storage import cve_number
from garrison.dependencies.advisories.updating import update
from tests.dependencies.advisories.samples import document, export
from tests.support import examine_files

TODAY = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT00:00:00Z")
CRITICAL = {"severity": [{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}]}
Judged = tuple[list[Finding], Check]
Judge = Callable[..., Judged]


def advisory(id: str, *, events: str = "introduced=0 fixed=1.5", kind: str = "ECOSYSTEM", **more: Any) -> Any:
    """An advisory of today about `example`, without listed versions."""
    found = document(id, **{"modified": TODAY, **more})
    pairs = [dict([tuple(event.split("="))]) for event in events.split()]
    found["affected"][0]["ranges"] = [{"type": kind, "events": pairs}]
    found["affected"][0]["versions"] = list(more.get("versions", ()))
    return found


@pytest.fixture
def judged(tmp_path: Path) -> Judge:
    """Judges files by the advisories given."""

    def ask(
        files: "dict[str, str] | str", *documents: Any, more: tuple[Examination, ...] = (), **policy: Any
    ) -> Judged:
        target = tmp_path / "advisories.sqlite"
        assert not update([export(tmp_path / "all.zip", *documents)], str(target), fresh=True).failures
        for name in policy.pop("exploited", ()):
            with contextlib.closing(sqlite3.connect(target)) as connection, connection:
                connection.execute("INSERT INTO kev VALUES (?)", (cve_number(name),))
                connection.execute("INSERT INTO epss VALUES (?, ?)", (cve_number(name), 0.875))
        named = {"requirements.txt": files} if isinstance(files, str) else files
        examinations = examine_files({name: text.encode() for name, text in named.items()})
        found, checks = judge([*examinations, *more], Policy(packages=PackagePolicy(database=str(target), **policy)))
        (check,) = (one for one in checks if one.name == "known vulnerabilities")
        return [one for one in found if one.rule in RULES], check

    return ask


RULES = ("vulnerable-package", "malicious-package", "undetermined-advisory", "advisories-outdated")


def test_a_vulnerability_says_package_version_what_and_what_to_do(judged: Judge) -> None:
    found, check = judged("numpy==2\nexample==1.0\n", advisory("PYSEC-2024-1", aliases=["CVE-2024-1"], **CRITICAL))
    (one,) = found
    assert (one.rule, one.severity, one.subject, one.place) == (
        "vulnerable-package",
        "critical",
        "requirements.txt",
        "line 2",
    )
    assert one.message == ("example 1.0: CVE-2024-1 (CVSS 9.8, fixed in 1.5; also PYSEC-2024-1): example does harm")
    assert one.fix == "Upgrade example to 1.5, which clears it."
    assert one.references[0] == "https://osv.dev/vulnerability/CVE-2024-1"
    assert (check.checked, check.total, check.gap) == (2, 2, False)
    assert "PyPI" in check.data and "fetched today" in check.data


def test_a_listed_version_that_is_none_is_a_finding_without_an_upgrade(judged: Judge) -> None:
    listed = advisory("PYSEC-1", versions=["3.0.0b3-"])
    package = Package(
        purl="pkg:pypi/example@3.0.0b3-", ecosystem="pypi", name="example", version="3.0.0b3-", state="listed"
    )
    found, _ = judged({}, listed, more=(Examination(subject="bom.json", facts=[package]),))
    assert [one.rule for one in found] == ["vulnerable-package"]
    assert "No version of example is known to clear PYSEC-1" in found[0].fix


def test_a_fixed_version_and_a_withdrawn_advisory_are_no_finding(judged: Judge) -> None:
    found, check = judged(
        "example==1.5\nother==1.0\n", advisory("PYSEC-1"), advisory("PYSEC-2", name="other", withdrawn=TODAY)
    )
    assert not found and check.checked == 2


def test_advisories_that_share_a_name_are_one_vulnerability(judged: Judge) -> None:
    found, _ = judged(
        "example==1.0\n",
        advisory("PYSEC-1", aliases=["CVE-2024-1000"]),
        advisory("GHSA-aaaa", aliases=["CVE-2024-1000"], **CRITICAL),
        advisory("PYSEC-2", aliases=["GHSA-aaaa"]),
        advisory("PYSEC-3"),
    )
    assert sorted(one.message.split(": ")[1].split(" ")[0] for one in found) == ["CVE-2024-1000", "PYSEC-3"]
    assert {str(one.severity) for one in found} == {"critical", "medium"}
    assert {one.fix for one in found} == {"Upgrade example to 1.5, the least version that clears all 2."}


def test_no_version_that_clears_all_is_said(judged: Judge) -> None:
    found, _ = judged("example==1.0\n", advisory("PYSEC-1"), advisory("PYSEC-2", events="introduced=0"))
    assert {one.fix for one in found} == {
        "Upgrade example to 1.5, which clears most; no version is known to clear PYSEC-2."
    }
    found, _ = judged("example==1.0\n", advisory("PYSEC-2", events="introduced=0"))
    assert "No version of example is known to clear PYSEC-2" in found[0].fix
    assert "no fixed version is known" in found[0].message


def test_the_latest_version_that_an_index_knows_may_clear_it(judged: Judge) -> None:
    release = Release(ecosystem="pypi", name="example", version="1.0", latest="1.9")
    index = Examination(subject="requirements.txt", facts=[release])
    found, _ = judged("example==1.0\n", advisory("PYSEC-1", events="introduced=0 last_affected=1.5"), more=(index,))
    assert found[0].fix == "Upgrade example to 1.9, which clears it."


def test_what_is_exploited_already_is_high_at_least(judged: Judge) -> None:
    known = advisory("PYSEC-1", aliases=["CVE-2024-1000"])
    found, _ = judged("example==1.0\n", known, exploited=["CVE-2024-1000"])
    assert str(found[0].severity) == "high"
    assert "EPSS 87.5%" in found[0].message and "exploited already" in found[0].message


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (advisory("PYSEC-1", events="introduced=0 last_affected=2.6.0-NA"), "'2.6.0-NA' is no version"),
        (advisory("PYSEC-1", events="introduced=abc123", kind="GIT"), "names commits"),
    ],
)
def test_what_nobody_can_tell_is_a_finding_of_its_own(judged: Judge, broken: Any, reason: str) -> None:
    (one,), check = judged("example==1.0\n", broken)
    assert (one.rule, one.severity) == ("undetermined-advisory", "low")
    assert reason in one.message
    assert "1 advisory cannot be decided" in check.reason
    assert check.checked == 1 and not check.gap


def test_another_source_that_decides_settles_it(judged: Judge) -> None:
    unclear = advisory("PYSEC-1", events="introduced=0 last_affected=2.6.0-NA", aliases=["GHSA-aaaa"])
    found, _ = judged("example==2.0\n", unclear, advisory("GHSA-aaaa"))
    assert not found
    found, _ = judged("example==1.0\n", unclear, advisory("GHSA-aaaa"))
    assert [one.rule for one in found] == ["vulnerable-package"]


def test_malicious_packages_are_critical_whatever_their_version(judged: Judge) -> None:
    harmful = advisory("MAL-2024-1", events="introduced=0", name="torchtriton")
    for text in ("torchtriton==3.0\n", "torchtriton\n", "torchtriton>=2\n"):
        (one,), _ = judged(text, harmful)
        assert (one.rule, one.severity) == ("malicious-package", "critical")
        assert "torchtriton" in one.message and "MAL-2024-1" in one.message
    found, _ = judged("example\n", advisory("PYSEC-1", events="introduced=0"))
    assert not found


def test_a_malicious_version_does_not_condemn_the_others(judged: Judge) -> None:
    taken = advisory("MAL-2024-2", events="introduced=2.0 fixed=2.1")
    assert not judged("example\nexample==1.0\n", taken)[0]
    assert [one.rule for one in judged("example==2.0\n", taken)[0]] == ["malicious-package"]


def test_requirements_without_a_version_are_counted_and_a_gap(judged: Judge) -> None:
    found, check = judged("example>=1.0\nother\nnumpy==2.0\n", advisory("PYSEC-1"))
    assert not found
    assert (check.checked, check.total, check.gap) == (1, 3, True)
    assert "2 without a definite version" in check.reason and "example, other" in check.reason


def test_ecosystems_without_advisories_are_a_gap(judged: Judge) -> None:
    conda = "channels: [conda-forge]\ndependencies: [openssl=1.1.1, pytorch=1.0.0]\n"
    found, check = judged({"environment.yml": conda}, advisory("PYSEC-1", name="torch"))
    assert [one.message.partition(":")[0] for one in found] == ["pytorch (torch) 1.0.0"]
    assert (check.checked, check.total, check.gap) == (1, 2, True)
    assert "pkg:conda" in check.reason


def test_without_a_database_nothing_is_found_and_the_gap_says_how_to_get_one(tmp_path: Path) -> None:
    policy = Policy(packages=PackagePolicy(database=str(tmp_path / "none.sqlite")))
    found, checks = judge(examine_files({"requirements.txt": b"numpy==1.0\ntorch\n"}), policy)
    (check,) = (one for one in checks if one.name == "known vulnerabilities")
    assert not [one for one in found if one.rule in RULES]
    assert (check.checked, check.total, check.gap) == (0, 2, True)
    assert "garrison db update" in check.reason


def test_nothing_is_said_where_there_are_no_packages(tmp_path: Path) -> None:
    policy = Policy(packages=PackagePolicy(database=str(tmp_path / "none.sqlite")))
    assert judge(examine_files({"model.txt": b"just text\n"}), policy)[1] == []


def test_old_advisories_are_a_finding(judged: Judge) -> None:
    old = advisory("PYSEC-1", modified="2024-05-01T00:00:00Z")
    (one,), _ = judged("example==1.5\n", old)
    assert (one.rule, one.severity) == ("advisories-outdated", "medium")
    assert "2024-05-01" in one.message and "policy allows 30" in one.message
    assert not judged("example==1.5\n", old, database_days=100_000)[0]


def test_each_file_has_its_finding_with_all_places_in_it(judged: Judge) -> None:
    files = {"a/requirements.txt": "example==1.0\nExample==1.0; python_version > '3'\n", "b.txt": "example==1.0\n"}
    found, check = judged(files, advisory("PYSEC-1"))
    assert sorted((one.subject, one.place) for one in found) == [
        ("a/requirements.txt", "line 1, line 2"),
        ("b.txt", "line 1"),
    ]
    assert check.total == 1


def test_a_notice_about_several_vulnerabilities_is_left_out_where_each_is_there(judged: Judge) -> None:
    package = Package(
        purl="pkg:deb/debian/libssl3@1.0-1",
        ecosystem="deb",
        name="libssl3",
        version="1.0-1",
        state="installed",
        distribution="debian:12",
        source_name="openssl",
    )
    host = Examination(subject="var/lib/dpkg/status", facts=[package])
    debian = {"ecosystem": "Debian:12", "name": "openssl", "events": "introduced=0 fixed=1.0-2"}
    found, check = judged(
        {},
        advisory("DEBIAN-CVE-2024-1000", upstream=["CVE-2024-1000"], **debian),
        advisory("DEBIAN-CVE-2024-1001", upstream=["CVE-2024-1001"], **debian),
        advisory("DSA-1-1", upstream=["CVE-2024-1000", "CVE-2024-1001"], **debian),
        advisory("DSA-2-1", upstream=["CVE-2024-1000", "CVE-2024-1002"], **debian),
        more=(host,),
    )
    assert sorted(one.message.split(": ")[1].split(" ")[0] for one in found) == [
        "CVE-2024-1000",
        "CVE-2024-1001",
        "DSA-2-1",
    ]
    assert all(one.message.startswith("openssl (libssl3) 1.0-1: ") for one in found)
    assert found[0].fix == "Upgrade openssl (libssl3) to 1.0-2, the least version that clears all 3."
    assert check.checked == 1


def test_what_a_live_patch_has_closed_is_told_but_does_not_deny(judged: Judge) -> None:
    documents = [advisory("CVE-2024-1086", **CRITICAL), advisory("CVE-2024-2", **CRITICAL)]
    for one in documents:
        one["affected"][0]["package"] = {"ecosystem": "Debian:12", "name": "linux"}
    kernel = Package(
        purl="pkg:deb/debian/linux@1.0-1",
        ecosystem="deb",
        name="linux",
        version="1.0-1",
        state="installed",
        distribution="debian:12",
        place="running kernel 1.0",
    )
    patched = Setting(topic="livepatch-fixed", name="CVE-2024-1086", value="patched")
    host = Examination(subject="host:", facts=[kernel, patched])
    other = Examination(subject="other.tar", facts=[kernel])
    found, check = judged({}, *documents, more=(host, other))
    told = {(one.subject, one.message.split()[2], str(one.severity), "patched live" in one.message) for one in found}
    assert told == {
        ("host:", "CVE-2024-1086", "info", True),
        ("host:", "CVE-2024-2", "critical", False),
        ("other.tar", "CVE-2024-1086", "critical", False),
        ("other.tar", "CVE-2024-2", "critical", False),
    }
    assert check.checked == 1


@pytest.mark.parametrize("named", [("openssl",), ("openssl-libs",), ("openssl", "openssl-libs")])
def test_rpm_packages_are_told_once_whichever_name_the_advisories_have(judged: Judge, named: tuple[str, ...]) -> None:
    package = Package(
        purl="pkg:rpm/rocky/openssl-libs@3.0.7-1.el9",
        ecosystem="rpm",
        name="openssl-libs",
        version="1:3.0.7-1.el9",
        state="installed",
        distribution="rocky:9.3",
        source_name="openssl",
        source_version="1:3.0.7-1.el9",
    )
    host = Examination(subject="var/lib/rpm/rpmdb.sqlite", facts=[package])
    rocky = advisory("RLSA-2024:1", ecosystem="Rocky Linux:9", name=named[0], events="introduced=0 fixed=1:3.0.7-2.el9")
    for name in named[1:]:
        rocky["affected"].append({**rocky["affected"][0], "package": {"ecosystem": "Rocky Linux:9", "name": name}})
    (one,), check = judged({}, rocky, more=(host,))
    assert one.fix.startswith("Upgrade openssl-libs to 1:3.0.7-2.el9")
    assert (check.checked, check.total) == (1, 1)
