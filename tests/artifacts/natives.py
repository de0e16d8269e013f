"""Small programs, byte by byte."""

import io
import struct
import zipfile

from garrison.core.facts import Native
from tests.support import examine_bytes


def elf(*, wide: bool = True, order: str = "<", kind: int = 3, needed: tuple[str, ...] = ("libc.so.6",)) -> bytes:
    """A shared object with one segment for all of it and a dynamic one that names libraries."""
    size, header = (56, 64) if wide else (32, 52)
    strings = b"\0" + b"".join(name.encode() + b"\0" for name in needed)
    word = f"{order}{'QQ' if wide else 'LL'}"
    base, place = 0x1000, 1
    dynamic = b""
    start = header + 2 * size
    for name in needed:
        dynamic += struct.pack(word, 1, place)
        place += len(name) + 1
    length = len(dynamic) + 2 * struct.calcsize(word)
    dynamic += struct.pack(word, 5, base + start + length) + struct.pack(word, 0, 0)
    total = start + length + len(strings)

    def segment(what: int, offset: int, length: int) -> bytes:
        if wide:
            return struct.pack(f"{order}LLQQQQQQ", what, 4, offset, base + offset, 0, length, length, 8)
        return struct.pack(f"{order}LLLLLLLL", what, offset, base + offset, 0, length, length, 4, 4)

    ident = b"\x7fELF" + bytes([2 if wide else 1, 1 if order == "<" else 2, 1]) + bytes(9)
    rest = f"{order}HHL{'QQQ' if wide else 'LLL'}LHHHHHH"
    head = ident + struct.pack(rest, kind, 62 if wide else 3, 1, 0, header, 0, 0, header, size, 2, 0, 0, 0)
    return head + segment(1, 0, total) + segment(2, start, length) + dynamic + strings


def pe(*, library: bool = False, needed: tuple[str, ...] = ("KERNEL32.dll",)) -> bytes:
    """A program for Windows with one section that holds its import directory."""
    table = 0x1000
    names, entries = b"", b""
    for name in needed:
        entries += struct.pack("<LLLLL", 1, 0, 0, table + 20 * (len(needed) + 1) + len(names), 1)
        names += name.encode() + b"\0"
    section = entries + bytes(20) + names
    optional = struct.pack("<H", 0x20B) + bytes(110) + struct.pack("<LLLL", 0, 0, table, len(section)) + bytes(112)
    head = struct.pack("<HHLLLHH", 0x8664, 1, 0, 0, 0, len(optional), 0x2022 if library else 0x22)
    raw = 64 + 24 + len(optional) + 40
    header = b".idata\0\0" + struct.pack("<LLLL", len(section), table, len(section), raw) + bytes(16)
    return b"MZ" + bytes(58) + struct.pack("<L", 64) + b"PE\0\0" + head + optional + header + section


def mach_o(*, needed: tuple[str, ...] = ("/usr/lib/libSystem.B.dylib",)) -> bytes:
    """A 64-bit library for Apple's processors."""
    commands = b""
    for name in needed:
        text = name.encode() + b"\0"
        text += bytes(-len(text) % 8)
        commands += struct.pack("<LLLLLL", 0xC, 24 + len(text), 24, 0, 0, 0) + text
    return struct.pack("<LLLLLLLL", 0xFEEDFACF, 0x0100000C, 0, 6, len(needed), len(commands), 0, 0) + commands


def fat(*images: bytes) -> bytes:
    """Images for several processors in one file."""
    offset = 8 + 20 * len(images)
    table, body = b"", b""
    for image in images:
        table += struct.pack(">LLLLL", 0x0100000C, 0, offset + len(body), len(image), 3)
        body += image
    return struct.pack(">LL", 0xCAFEBABE, len(images)) + table + body


def zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def native(data: bytes, name: str = "subject") -> Native:
    """The one program that these bytes are."""
    facts = [fact for fact in examine_bytes(data, name)[-1].facts if isinstance(fact, Native)]
    assert len(facts) == 1, facts
    return facts[0]
