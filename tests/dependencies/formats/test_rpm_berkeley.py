import pytest
from hypothesis import given

from garrison.core.facts import Package
from tests.dependencies import rpm_samples
from tests.support import assert_no_failure, damaged, examine_bytes, facts_of


def packages(data: bytes, name: str = "Packages") -> dict[str, Package]:
    return {fact.name: fact for fact in facts_of(data, name) if isinstance(fact, Package)}


@pytest.mark.parametrize("order", ["<", ">"])
def test_packages_of_either_byte_order(order: str) -> None:
    found = packages(rpm_samples.berkeley(order=order))
    assert {(p.name, p.version) for p in found.values()} == rpm_samples.EXPECTED


def test_what_berkeley_db_itself_wrote() -> None:
    found = packages(rpm_samples.REAL_BERKELEY)
    assert {(p.name, p.version) for p in found.values()} == {
        ("beta-extra", "2:0.9~rc1-4.el9"),
        ("alpha", "1.2.3-1"),
    }
    assert found["beta-extra"].source_name == "beta-libs"


def test_indexes_of_rpm_and_databases_of_others_have_no_packages() -> None:
    (examination,) = examine_bytes(rpm_samples.berkeley(), "Basenames")
    assert examination.formats == ["berkeley-db"] and examination.state == "examined"
    assert not packages(rpm_samples.berkeley(), "Basenames")


def test_a_truncated_database_is_said_to_be_one() -> None:
    data = rpm_samples.berkeley()
    (examination,) = examine_bytes(data[:-4096], "Packages")
    assert examination.state == "partial" and "missing" in examination.reason
    assert {fact.name for fact in examination.facts if isinstance(fact, Package)} >= {"bash", "glibc"}


def test_a_value_whose_pages_go_in_circles_ends() -> None:
    data = bytearray(rpm_samples.berkeley())
    data[2 * 4096 + 16 : 2 * 4096 + 20] = (2).to_bytes(4, "little")
    (examination,) = examine_bytes(bytes(data), "Packages")
    assert "bash" in {fact.name for fact in examination.facts if isinstance(fact, Package)}


def test_an_encrypted_database_is_not_taken_for_an_empty_one() -> None:
    data = bytearray(rpm_samples.berkeley())
    data[24] = 1
    assert examine_bytes(bytes(data), "Packages")[0].state == "not-understood"


@given(data=damaged(rpm_samples.berkeley(page=1024), rpm_samples.REAL_BERKELEY))
def test_damage_never_raises(data: bytes) -> None:
    assert_no_failure(data, "Packages")
