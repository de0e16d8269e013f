from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from garrison.core.facts import Package
from tests.dependencies import rpm_samples
from tests.support import assert_no_failure, damaged, examine_bytes, facts_of, findings_of


def packages(data: bytes, name: str = "rpmdb.sqlite") -> dict[str, Package]:
    return {fact.name: fact for fact in facts_of(data, name) if isinstance(fact, Package)}


@pytest.mark.parametrize("page", [512, 4096, 65536])
def test_packages_with_all_that_advisories_need(tmp_path: Path, page: int) -> None:
    found = packages(rpm_samples.sqlite(tmp_path, page=page))
    assert {(p.name, p.version) for p in found.values()} == rpm_samples.EXPECTED
    library = found["openssl-libs"]
    assert library.purl == "pkg:rpm/openssl-libs@3.0.7-27.el9?arch=x86_64&epoch=1"
    assert (library.source_name, library.source_version) == ("openssl", "")
    assert (library.ecosystem, library.state, library.licences) == ("rpm", "installed", ("MIT",))
    assert found["bash"].purl == "pkg:rpm/rocky/bash@5.1.8-9.el9?arch=x86_64"


def test_a_tree_of_many_pages_is_read_in_order(tmp_path: Path) -> None:
    headers = [rpm_samples.header(f"package-{number:04}") for number in range(1500)]
    found = packages(rpm_samples.sqlite(tmp_path, headers, page=1024))
    assert list(found) == [f"package-{number:04}" for number in range(1500)]


def test_recognised_under_another_name_and_other_databases_are_left_alone(tmp_path: Path) -> None:
    assert packages(rpm_samples.sqlite(tmp_path), "copy.db")
    plain = rpm_samples.sqlite(tmp_path).replace(b"'Packages'", b"'Articles'")
    (examination,) = examine_bytes(plain, "other.sqlite")
    assert examination.formats == ["sqlite"] and examination.state == "examined"


def test_what_was_read_of_a_truncated_database_stays_and_the_rest_is_said(tmp_path: Path) -> None:
    headers = [rpm_samples.header(f"package-{number:04}") for number in range(300)]
    data = rpm_samples.sqlite(tmp_path, headers, page=1024)
    (examination,) = examine_bytes(data[: len(data) // 2], "rpmdb.sqlite")
    assert examination.state == "partial"
    assert 20 < sum(isinstance(fact, Package) for fact in examination.facts) < 300
    assert "malformed" in {item.rule for item in findings_of(data[: len(data) // 2], "rpmdb.sqlite")}


def test_a_tree_that_bites_its_tail_ends(tmp_path: Path) -> None:
    headers = [rpm_samples.header(f"package-{number:04}") for number in range(300)]
    data = bytearray(rpm_samples.sqlite(tmp_path, headers, page=1024))
    root = next(at for at in range(1024, len(data), 1024) if data[at] == 0x05)
    data[root + 8 : root + 12] = (root // 1024 + 1).to_bytes(4, "big")
    (examination,) = examine_bytes(bytes(data), "rpmdb.sqlite")
    assert examination.state == "partial" and "again" in examination.reason


def test_a_log_that_is_not_yet_in_the_database_is_said() -> None:
    log = bytes.fromhex("377f0682") + bytes(100)
    assert examine_bytes(log, "rpmdb.sqlite-wal")[0].state == "not-understood"
    assert examine_bytes(log[:32], "rpmdb.sqlite-wal")[0].state == "examined"


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=damaged(Path(__file__).read_bytes()) | damaged(rpm_samples.REAL_BERKELEY))
def test_damage_never_raises_whatever_it_is_called(data: bytes) -> None:
    assert_no_failure(b"SQLite format 3\0" + data, "rpmdb.sqlite")


def test_flipped_bytes_never_raise(tmp_path: Path) -> None:
    sample = rpm_samples.sqlite(tmp_path, rpm_samples.HEADERS, page=512)

    @settings(max_examples=150)
    @given(data=damaged(sample))
    def check(data: bytes) -> None:
        assert_no_failure(data, "rpmdb.sqlite")

    check()
