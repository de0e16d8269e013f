from hypothesis import given

from garrison.core.facts import Package
from tests.dependencies import rpm_samples
from tests.support import assert_no_failure, damaged, examine_bytes, facts_of, findings_of

SAMPLE = rpm_samples.ndb()


def packages(data: bytes) -> set[tuple[str, str]]:
    return {(fact.name, fact.version) for fact in facts_of(data, "Packages.db") if isinstance(fact, Package)}


def test_packages() -> None:
    assert packages(SAMPLE) == rpm_samples.EXPECTED
    assert examine_bytes(SAMPLE, "Packages.db")[0].formats == ["rpm-ndb"]
    assert findings_of(SAMPLE, "Packages.db") == []


def test_a_wrong_checksum_is_said_though_rpm_reads_on() -> None:
    data = SAMPLE.replace(b"word word", b"lord word", 1)
    (examination,) = examine_bytes(data, "Packages.db")
    assert examination.state == "partial" and "checksum" in examination.reason
    assert packages(data) == rpm_samples.EXPECTED


def test_a_truncated_database_keeps_what_came_before() -> None:
    (examination,) = examine_bytes(SAMPLE[:-200], "Packages.db")
    assert examination.state == "partial"
    assert ("bash", "5.1.8-9.el9") in packages(SAMPLE[:-200])


def test_more_slots_than_the_file_holds_are_malformed() -> None:
    data = bytearray(SAMPLE)
    data[12:16] = (0x01000010).to_bytes(4, "little")
    assert examine_bytes(bytes(data), "Packages.db")[0].state == "partial"


@given(data=damaged(SAMPLE))
def test_damage_never_raises(data: bytes) -> None:
    assert_no_failure(data, "Packages.db")
