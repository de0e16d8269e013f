"""Mach-O: the libraries that it loads, and what begins alike."""

from hypothesis import given

from tests.artifacts.natives import fat, mach_o, native
from tests.support import assert_no_failure, damaged


def test_libraries_that_a_mach_o_loads() -> None:
    expected = "AArch64 shared library, needs /usr/lib/libSystem.B.dylib"
    assert native(mach_o()).details == expected
    assert native(fat(mach_o(), mach_o())).details == expected.replace("AArch64", "AArch64 and AArch64")


def test_a_java_class_is_no_fat_mach_o() -> None:
    """Both begin with the same four bytes."""
    assert native(b"\xca\xfe\xba\xbe\0\0\0\x34" + bytes(30)).form == "Java class"
    assert native(fat(mach_o())).form == "Mach-O"


@given(damaged(mach_o(), fat(mach_o(), mach_o())))
def test_broken_files_do_not_fail(data: bytes) -> None:
    assert_no_failure(data)
