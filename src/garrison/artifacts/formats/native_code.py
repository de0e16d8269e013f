"""Code in small headers: WebAssembly, CUDA fat binaries, Dalvik, Windows installers, and scripts.

Sources: WebAssembly core specification 5.5; `fatbinary_section.h` of the CUDA toolkit; "Dalvik Executable format";
[MS-CFB] for installers. Scripts are told by their first line, or by statements that no other language has.
"""

import re

from garrison.core.facts import Artifact, Native
from garrison.sources.source import Context, Extracted, Source

_INTERPRETER = re.compile(rb"#![ \t]*(/[\x21-\x7e]{1,200})((?:[ \t]+[\x21-\x7e]+)*)[ \t]*\r?(?:\n|$)")
_BATCH = re.compile(rb"(?:\xef\xbb\xbf)?(?:::[^\n]*\r?\n|rem [^\n]*\r?\n|\s)*@echo off\b", re.IGNORECASE)
_POWERSHELL = (
    re.compile(rb"^\s*param\s*\(", re.IGNORECASE | re.MULTILINE),
    re.compile(rb"^\s*\$[A-Za-z_]\w*\s*=\s*(?:New-Object|Get-\w+|\[System\.|Invoke-)", re.IGNORECASE | re.MULTILINE),
    re.compile(rb"^\s*\$ErrorActionPreference\s*=", re.IGNORECASE | re.MULTILINE),
    re.compile(
        rb"^\s*(?:Invoke-(?:Expression|WebRequest|Command)|IEX|Start-Process|Set-ExecutionPolicy|Write-Host)\b",
        re.IGNORECASE | re.MULTILINE,
    ),
)
_SCRIPT_HOST = re.compile(
    rb"\bCreateObject\s*\(\s*\"(?:WScript\.Shell|Shell\.Application|Scripting\.FileSystemObject|MSXML2?\.)"
    rb"|\bnew ActiveXObject\s*\(",
    re.IGNORECASE,
)
_INSTALLER = bytes.fromhex("84100c0000000000c000000000000046")


def interpreter(head: bytes) -> str:
    """The program that a `#!` line names, without folders and versions; empty without such a line."""
    match = _INTERPRETER.match(head)
    if match is None:
        return ""
    words: list[bytes] = [match[1].rpartition(b"/")[2], *match[2].split()]
    if words[0] == b"env":
        words = [word for word in words[1:] if not word.startswith(b"-") and b"=" not in word] or words
    return words[0].rpartition(b"/")[2].decode("ascii", "replace").rstrip("0123456789.")


def sniff_script(source: Source) -> bool:
    """A `#!` line, except Python's, which has a reader of its own."""
    name = interpreter(source.reader.pread(0, 512))
    return bool(name) and not name.startswith(("python", "pypy"))


def sniff_windows_script(source: Source) -> bool:
    """Batch files, PowerShell, and what Windows Script Host runs."""
    return bool(_windows_language(source.reader.pread(0, 4096)))


def _windows_language(head: bytes) -> str:
    if _BATCH.match(head):
        return "batch"
    if sum(bool(pattern.search(head)) for pattern in _POWERSHELL) >= 2:
        return "PowerShell"
    return "Windows Script Host" if _SCRIPT_HOST.search(head) else ""


def extract_script(source: Source, context: Context) -> Extracted:
    """Which interpreter runs it."""
    head = source.reader.pread(0, 4096)
    language = interpreter(head) or _windows_language(head)
    yield Artifact(format="script", details={"interpreter": language})
    yield Native(form="script", details=f"run by {language}")


def extract_wasm(source: Source, context: Context) -> Extracted:
    """A WebAssembly module or component."""
    component = source.reader.pread(6, 2) == b"\x01\0"
    yield Artifact(format="wasm", details={"kind": "component" if component else "module"})
    yield Native(form="WebAssembly")


def extract_fat_binary(source: Source, context: Context) -> Extracted:
    """Kernels for NVIDIA's processors."""
    yield Artifact(format="cuda-fatbin")
    yield Native(form="CUDA fat binary")


def extract_dalvik(source: Source, context: Context) -> Extracted:
    """Compiled Java or Kotlin for Android."""
    yield Artifact(format="dex", details={"version": source.reader.pread(4, 3).decode("latin-1")})
    yield Native(form="Dalvik executable")


def sniff_installer(source: Source) -> bool:
    """A compound file whose root storage has the class of an installer package."""
    reader = source.reader
    head = reader.pread(0, 512)
    if len(head) < 512:
        return False
    shift, first = int.from_bytes(head[30:32], "little"), int.from_bytes(head[48:52], "little")
    return shift in (9, 12) and reader.pread(((first + 1) << shift) + 80, 16) == _INSTALLER


def extract_installer(source: Source, context: Context) -> Extracted:
    """A package that Windows installs."""
    yield Artifact(format="msi")
    yield Native(form="Windows installer")
