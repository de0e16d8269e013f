"""Mach-O: programs and libraries for macOS and iOS, for one processor or for several (fat).

Source: `mach-o/loader.h` and `mach-o/fat.h` of XNU. Java classes begin like fat files; their version tells them apart.
"""

import struct

from garrison.core.facts import Artifact, Native
from garrison.sources.reader import Reader
from garrison.sources.source import Context, Extracted, Source

_PROCESSORS = {
    7: "x86",
    0x01000007: "x86-64",
    12: "ARM",
    0x0100000C: "AArch64",
    18: "PowerPC",
    0x01000012: "PowerPC 64",
}
_KINDS = {
    1: "object file",
    2: "executable",
    6: "shared library",
    7: "dynamic linker",
    8: "bundle",
    11: "kernel extension",
}
_LOAD_LIBRARY = (0xC, 0x80000018, 0x8000001F)
_COMMANDS = 1024
_LIBRARIES = 64
_FIRST_JAVA = 45


def sniff_fat(source: Source) -> bool:
    """A few slices, the first for a processor that exists."""
    head = source.reader.pread(0, 12)
    return (
        len(head) == 12
        and 0 < int.from_bytes(head[4:8], "big") < _FIRST_JAVA - 1
        and int.from_bytes(head[8:12], "big") in _PROCESSORS
    )


def sniff_class(source: Source) -> bool:
    """A class file of a Java that was released: a major version from 45, where a fat file counts its slices."""
    head = source.reader.pread(0, 10)
    return len(head) == 10 and _FIRST_JAVA <= int.from_bytes(head[6:8], "big") < 200 and not sniff_fat(source)


def extract(source: Source, context: Context) -> Extracted:
    """What it is, for which processor, and the libraries that it loads."""
    architecture, kind, needed = _image(source.reader)
    yield from _facts(architecture, kind, needed)


def extract_fat(source: Source, context: Context) -> Extracted:
    """All slices of a fat file as one."""
    reader = source.reader
    head = reader.exactly(0, 8)
    wide = head[3] == 0xBF
    count = int.from_bytes(head[4:8], "big")
    form = ">L4xQQ8x" if wide else ">L4xLL4x"
    size = struct.calcsize(form)
    images = []
    for number in range(min(count, _FIRST_JAVA)):
        _, offset, length = struct.unpack(form, reader.exactly(8 + number * size, size))
        images.append(_image(reader.window(offset, length)))
    libraries = tuple(dict.fromkeys(name for image in images for name in image[2]))
    yield from _facts(" and ".join(image[0] for image in images), images[0][1] if images else "", libraries)


def extract_class(source: Source, context: Context) -> Extracted:
    """Compiled Java."""
    major = int.from_bytes(source.reader.pread(6, 2), "big")
    yield Artifact(format="java-class", details={"java": major - 44})
    yield Native(form="Java class", details=f"for Java {major - 44}")


def _facts(architecture: str, kind: str, needed: tuple[str, ...]) -> Extracted:
    details: dict[str, str | int | float | bool] = {"kind": kind, "architecture": architecture}
    if needed:
        details["needs"] = ", ".join(needed)
    yield Artifact(format="mach-o", details=details)
    text = f"{architecture} {kind}" + (", needs " + ", ".join(needed[:8]) if needed else "")
    yield Native(form="Mach-O", details=text)


def _image(reader: Reader) -> tuple[str, str, tuple[str, ...]]:
    head = reader.pread(0, 32)
    if len(head) < 28:
        return "unknown", "image", ()
    order = ">" if head[:1] == b"\xfe" else "<"
    start = 32 if 0xCF in (head[0], head[3]) else 28
    processor, kind, count = struct.unpack_from(f"{order}L4xLL", head, 4)
    needed: list[str] = []
    for _ in range(min(count, _COMMANDS)):
        command = reader.pread(start, 8)
        if len(command) < 8:
            break
        what, size = struct.unpack(f"{order}LL", command)
        if size < 8:
            break
        if what in _LOAD_LIBRARY and len(needed) < _LIBRARIES:
            data = reader.pread(start, min(size, 1024))
            name = data[int.from_bytes(data[8:12], "big" if order == ">" else "little") :].split(b"\0")[0]
            if name.isascii() and name:
                needed.append(name.decode("ascii"))
        start += size
    return _PROCESSORS.get(processor, f"processor {processor:#x}"), _KINDS.get(kind, f"type {kind}"), tuple(needed)
