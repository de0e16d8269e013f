"""The record of an installed package: which of the files in its own folders are data."""

from hypothesis import given

from garrison.core.facts import PackageData
from tests.support import assert_no_failure, damaged, facts_of

RECORD = (
    b"pkg/__init__.py,sha256=x,1\npkg/data/a.dat,,\npkg/code.so,,\n../../bin/tool,,\npkg/../up.dat,,\n"
    b'loose/b.dat,,\npkg-1.dist-info/METADATA,,\n"pkg/with,comma.dat",,\n'
)


def stated(name: str) -> list[PackageData]:
    return [fact for fact in facts_of(RECORD, name) if isinstance(fact, PackageData)]


def test_only_data_in_folders_with_code_of_its_own_is_stated() -> None:
    (fact,) = stated("site/pkg-1.dist-info/RECORD")
    assert fact.modules == ("pkg",)
    assert fact.files == ("pkg/data/a.dat", "pkg/with,comma.dat")


def test_a_record_elsewhere_is_none() -> None:
    assert not stated("site/RECORD") and not stated("RECORD") and not stated("site/pkg-1.dist-info/record.txt")


@given(damaged(RECORD))
def test_damage_is_no_failure(data: bytes) -> None:
    assert_no_failure(data, "pkg-1.dist-info/RECORD")
