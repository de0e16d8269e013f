"""Programs are known by their bytes, and what they need is read without running them."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from garrison.core.facts import Native
from tests.artifacts.natives import elf, fat, mach_o, pe
from tests.support import examine_bytes

ALONE = [
    elf(),
    elf(wide=False, order=">", kind=2),
    pe(),
    mach_o(),
    fat(mach_o(), mach_o()),
    b"\0asm\x01\0\0\0",
    b"\x50\xed\x55\xba" + bytes(60),
    b"dex\n035\0" + bytes(60),
    b"\xca\xfe\xba\xbe\0\0\0\x34" + bytes(30),
    b"#!/bin/sh\necho\n",
    b"@echo off\r\ndel *.*\r\n",
    b"MZqFpD='\n" + bytes(64),
    bytes.fromhex("4c0000000114020000000000c000000000000046") + bytes(60),
]


def native(data: bytes, name: str = "subject") -> Native:
    facts = [fact for fact in examine_bytes(data, name)[-1].facts if isinstance(fact, Native)]
    assert len(facts) == 1, facts
    return facts[0]


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("order", ["<", ">"])
def test_libraries_that_an_elf_needs(wide: bool, order: str) -> None:
    fact = native(elf(wide=wide, order=order, needed=("libcuda.so.1", "libc.so.6")))
    assert fact.form == "ELF"
    assert fact.details == f"{'x86-64' if wide else 'x86'} shared object, needs libcuda.so.1, libc.so.6"


def test_libraries_that_a_windows_program_imports() -> None:
    assert (
        native(pe(needed=("KERNEL32.dll", "WS2_32.dll"))).details == "x86-64 executable, needs KERNEL32.dll, WS2_32.dll"
    )
    assert native(pe(library=True)).details.startswith("x86-64 library")


def test_libraries_that_a_mach_o_loads() -> None:
    expected = "AArch64 shared library, needs /usr/lib/libSystem.B.dylib"
    assert native(mach_o()).details == expected
    assert native(fat(mach_o(), mach_o())).details == expected.replace("AArch64", "AArch64 and AArch64")


def test_a_java_class_is_no_fat_mach_o() -> None:
    """Both begin with the same four bytes."""
    assert native(b"\xca\xfe\xba\xbe\0\0\0\x34" + bytes(30)).form == "Java class"
    assert native(fat(mach_o())).form == "Mach-O"


@pytest.mark.parametrize(
    ("data", "interpreter"),
    [
        (b"#!/bin/bash\nrm x\n", "bash"),
        (b"#! /usr/bin/env -S node --x\nfoo()\n", "node"),
        (b"#!/usr/bin/perl -w\n", "perl"),
        (b"#!/usr/bin/env ruby2.7\n", "ruby"),
        (b"#!/bin/sh\n" + bytes(5000), "sh"),
        (b"\xef\xbb\xbf@echo off\r\nstart calc\r\n", "batch"),
        (b":: set up\r\n@ECHO OFF\r\n", "batch"),
        (b"param([string]$x)\n$ErrorActionPreference = 'Stop'\n", "PowerShell"),
        (b'Set s = CreateObject("WScript.Shell")\ns.Run "calc"\n', "Windows Script Host"),
    ],
)
def test_scripts_are_known_by_what_they_hold(data: bytes, interpreter: str) -> None:
    fact = native(data)
    assert (fact.form, fact.details) == ("script", f"run by {interpreter}")


def test_python_scripts_stay_python() -> None:
    assert examine_bytes(b"#!/usr/bin/env python3\nimport os\nos.listdir()\n")[-1].formats == ["python"]
    text = b'import win32com.client\nwin32com.client.CreateObject("WScript.Shell")\n'
    assert examine_bytes(text)[-1].formats == ["python"]


@pytest.mark.parametrize(
    "data",
    [
        b"MZ is how DOS programs begin, said Mark Zbikowski.\n",
        b"MZ" + bytes(200),
        b"#!important: a comment of its own\n",
        b"# Write-Host is a cmdlet of PowerShell\n",
        b"The @echo off line silences batch files.\n",
        b"\xca\xfe\xba\xbe\0\0\0\x01\x12\x34\x56\x78" + bytes(30),
    ],
)
def test_what_only_resembles_a_program_is_none(data: bytes) -> None:
    assert not any(isinstance(fact, Native) for fact in examine_bytes(data)[-1].facts)


def test_a_shortcut_says_what_it_starts() -> None:
    def text(value: str) -> bytes:
        return struct.pack("<H", len(value)) + value.encode("utf-16-le")

    head = bytes.fromhex("4c0000000114020000000000c000000000000046") + struct.pack("<L", 0x80 | 8 | 32) + bytes(52)
    assert native(head + text("..\\cmd.exe") + text("/c calc")).details == "..\\cmd.exe /c calc"


@pytest.mark.parametrize("data", ALONE, ids=range(len(ALONE)))
def test_truncated_programs_never_fail(data: bytes) -> None:
    for length in range(len(data)):
        for examination in examine_bytes(data[:length]):
            assert examination.state != "failed", examination.reason


@given(st.sampled_from(ALONE), st.lists(st.tuples(st.integers(8, 300), st.integers(0, 255)), max_size=12))
def test_damaged_programs_never_fail(data: bytes, changes: list[tuple[int, int]]) -> None:
    damaged = bytearray(data)
    for place, value in changes:
        damaged[place % len(damaged)] = value
    for examination in examine_bytes(bytes(damaged)):
        assert examination.state != "failed", examination.reason
