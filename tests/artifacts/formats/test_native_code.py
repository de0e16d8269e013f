"""Programs are known by their bytes, and what they need is read without running them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from garrison.core.facts import Native
from tests.artifacts.natives import elf, fat, mach_o, native, pe
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
