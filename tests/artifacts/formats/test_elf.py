"""ELF: what it needs is read without running it."""

import pytest
from hypothesis import given

from tests.artifacts.natives import elf, native
from tests.support import assert_no_failure, damaged


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("order", ["<", ">"])
def test_libraries_that_an_elf_needs(wide: bool, order: str) -> None:
    fact = native(elf(wide=wide, order=order, needed=("libcuda.so.1", "libc.so.6")))
    assert fact.form == "ELF"
    assert fact.details == f"{'x86-64' if wide else 'x86'} shared object, needs libcuda.so.1, libc.so.6"


@given(damaged(elf(), elf(wide=False, order=">", kind=2)))
def test_broken_files_do_not_fail(data: bytes) -> None:
    assert_no_failure(data)
