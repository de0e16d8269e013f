"""Portable executables: programs and libraries for Windows, and shortcuts that start them.

Sources: Microsoft, "PE Format"; [MS-SHLLINK] for shortcuts.
"""

import struct
from collections.abc import Iterator

from garrison.core.facts import Artifact, Native
from garrison.sources.reader import Reader
from garrison.sources.source import Context, Extracted, Source

_MACHINES = {0x14C: "x86", 0x8664: "x86-64", 0x1C0: "ARM", 0x1C4: "ARM", 0xAA64: "AArch64", 0xEBC: "EFI byte code"}
_LIBRARY = 0x2000
_SECTIONS = 96
_IMPORTS = 64


def sniff(source: Source) -> bool:
    """An `MZ` whose pointer leads to a PE header."""
    return _header(source.reader) > 0


def _header(reader: Reader) -> int:
    pointer = reader.pread(0x3C, 4)
    place = int.from_bytes(pointer, "little")
    return place if len(pointer) == 4 and 4 <= place < 1 << 24 and reader.pread(place, 4) == b"PE\0\0" else 0


def extract(source: Source, context: Context) -> Extracted:
    """What it is, for which machine, and the libraries that it imports."""
    place = _header(source.reader)
    head = source.reader.exactly(place, 24)
    machine, sections, size, flags = struct.unpack_from("<HH12xHH", head, 4)
    kind = "library" if flags & _LIBRARY else "executable"
    architecture = _MACHINES.get(machine, f"machine {machine:#x}")
    imports = list(_imports(source.reader, place + 24, size, sections))
    details: dict[str, str | int | float | bool] = {"kind": kind, "architecture": architecture}
    if imports:
        details["needs"] = ", ".join(imports)
    yield Artifact(format="pe", details=details)
    text = f"{architecture} {kind}" + (", needs " + ", ".join(imports[:8]) if imports else "")
    yield Native(form="PE", details=text)


def _imports(reader: Reader, optional: int, size: int, count: int) -> Iterator[str]:
    """Names of the libraries in the import directory."""
    head = reader.pread(optional, size)
    directories = {0x10B: 96, 0x20B: 112}.get(int.from_bytes(head[:2], "little"), 0)
    if not directories or len(head) < directories + 16:
        return
    (address,) = struct.unpack_from("<L", head, directories + 8)
    table = reader.pread(optional + size, min(count, _SECTIONS) * 40)
    sections = [struct.unpack_from("<8xLLLL", table, place) for place in range(0, len(table) - 39, 40)]

    def offset(virtual: int) -> int:
        for length, start, packed, raw in sections:
            if start <= virtual < start + max(length, packed):
                return int(raw + virtual - start)
        return -1

    place = offset(address) if address else -1
    for number in range(_IMPORTS):
        entry = reader.pread(place + 20 * number, 20) if place >= 0 else b""
        if len(entry) < 20 or not entry.strip(b"\0"):
            return
        name = offset(int.from_bytes(entry[12:16], "little"))
        text = reader.pread(name, 256).split(b"\0")[0] if name >= 0 else b""
        if not text or not text.isascii():
            return
        yield text.decode("ascii")


def extract_portable(source: Source, context: Context) -> Extracted:
    """A cosmopolitan program, as llamafiles are."""
    yield Artifact(format="ape", details={"kind": "executable"})
    yield Native(form="Actually Portable Executable", details="runs on Windows, Linux, macOS and BSD alike")


def extract_shortcut(source: Source, context: Context) -> Extracted:
    """A shortcut starts a program, with any arguments, when it is opened."""
    yield Artifact(format="lnk")
    yield Native(form="Windows shortcut", details=_command(source.reader))


def _command(reader: Reader) -> str:
    """The strings behind the header: a description, a relative path, a folder, arguments, an icon."""
    flags = int.from_bytes(reader.pread(20, 4), "little")
    place = 76
    if flags & 1:
        place += 2 + int.from_bytes(reader.pread(place, 2), "little")
    if flags & 2:
        place += max(int.from_bytes(reader.pread(place, 4), "little"), 4)
    found = {}
    for bit, name in ((4, "description"), (8, "path"), (16, "folder"), (32, "arguments")):
        if flags & bit:
            length = int.from_bytes(reader.pread(place, 2), "little") * (2 if flags & 128 else 1)
            raw = reader.pread(place + 2, length)
            found[name] = raw.decode("utf-16-le" if flags & 128 else "latin-1", "replace")
            place += 2 + length
    return f"{found.get('path', '')} {found.get('arguments', '')}".strip()[:300]
