"""Programs for Windows, and shortcuts: what they need and start."""

import struct

from hypothesis import given

from tests.artifacts.natives import native, pe
from tests.support import assert_no_failure, damaged

SHORTCUT = bytes.fromhex("4c0000000114020000000000c000000000000046")


def test_libraries_that_a_windows_program_imports() -> None:
    assert (
        native(pe(needed=("KERNEL32.dll", "WS2_32.dll"))).details == "x86-64 executable, needs KERNEL32.dll, WS2_32.dll"
    )
    assert native(pe(library=True)).details.startswith("x86-64 library")


def test_a_shortcut_says_what_it_starts() -> None:
    def text(value: str) -> bytes:
        return struct.pack("<H", len(value)) + value.encode("utf-16-le")

    head = SHORTCUT + struct.pack("<L", 0x80 | 8 | 32) + bytes(52)
    assert native(head + text("..\\cmd.exe") + text("/c calc")).details == "..\\cmd.exe /c calc"


@given(damaged(pe(), SHORTCUT + bytes(60)))
def test_broken_files_do_not_fail(data: bytes) -> None:
    assert_no_failure(data)
