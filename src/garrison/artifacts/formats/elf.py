"""ELF: programs, shared libraries and device code (cubin) for Unix-like systems.

Source: System V ABI, chapters 4 and 5; machine numbers of the ELF registry.
"""

import struct
from collections.abc import Iterator

from garrison.core.facts import Artifact, Native
from garrison.sources.reader import Reader
from garrison.sources.source import Context, Extracted, Source

_MACHINES = {
    2: "SPARC", 3: "x86", 8: "MIPS", 20: "PowerPC", 21: "PowerPC 64", 22: "S/390", 40: "ARM", 62: "x86-64",
    183: "AArch64", 190: "NVIDIA CUDA", 224: "AMD GPU", 243: "RISC-V", 247: "BPF", 258: "LoongArch",
}  # fmt: skip
_KINDS = {1: "object file", 2: "executable", 3: "shared object", 4: "core dump"}
_LOAD, _DYNAMIC, _INTERPRETER = 1, 2, 3
_NEEDED, _STRINGS, _NAME = 1, 5, 14
_SEGMENTS = 256
_ENTRIES = 4096
_LIBRARIES = 64


def extract(source: Source, context: Context) -> Extracted:
    """What it is, for which machine, and the libraries that it needs."""
    head = source.reader.pread(0, 64)
    wide = head[4:5] != b"\x01"
    order = ">" if head[5:6] == b"\x02" else "<"
    kind, machine = struct.unpack_from(f"{order}HH", head, 16) if len(head) >= 20 else (0, 0)
    what = _KINDS.get(kind, f"type {kind}")
    segments = list(_segments(source.reader, head, wide, order))
    if kind == 3 and any(segment[0] == _INTERPRETER for segment in segments):
        what = "executable"
    architecture = _MACHINES.get(machine, f"machine {machine}")
    needed = list(_needed(source.reader, segments, wide, order))
    image = head[8:10] == b"AI" and head[10:11] in (b"\x01", b"\x02")
    details: dict[str, str | int | float | bool] = {"kind": what, "architecture": architecture}
    if needed:
        details["needs"] = ", ".join(needed)
    yield Artifact(format="elf", details=details)
    text = f"{architecture} {what}" + (", needs " + ", ".join(needed[:8]) if needed else "")
    yield Native(form="AppImage" if image else "ELF", details=text)


def _segments(reader: Reader, head: bytes, wide: bool, order: str) -> Iterator[tuple[int, int, int, int]]:
    """Type, offset, address and length in the file of each segment."""
    if len(head) < (64 if wide else 52):
        return
    (table,) = struct.unpack_from(f"{order}{'Q' if wide else 'L'}", head, 32 if wide else 28)
    size, count = struct.unpack_from(f"{order}HH", head, 54 if wide else 42)
    if size < (56 if wide else 32):
        return
    for number in range(min(count, _SEGMENTS)):
        entry = reader.pread(table + number * size, size)
        if len(entry) < size:
            return
        if wide:
            kind, offset, address, length = struct.unpack_from(f"{order}L4xQQ8xQ", entry)
        else:
            kind, offset, address, length = struct.unpack_from(f"{order}LLL4xL", entry)
        yield kind, offset, address, length


def _needed(reader: Reader, segments: list[tuple[int, int, int, int]], wide: bool, order: str) -> Iterator[str]:
    form = f"{order}{'QQ' if wide else 'LL'}"
    size = struct.calcsize(form)
    names: list[int] = []
    strings = -1
    for kind, offset, _, length in segments:
        if kind != _DYNAMIC:
            continue
        data = reader.pread(offset, min(length, _ENTRIES * size))
        for tag, value in struct.iter_unpack(form, data[: len(data) // size * size]):
            if tag == 0:
                break
            if tag == _NEEDED and len(names) < _LIBRARIES:
                names.append(value)
            elif tag == _STRINGS:
                strings = value
    for kind, offset, address, length in segments:
        if kind == _LOAD and address <= strings < address + length:
            for name in names:
                text = reader.pread(offset + strings - address + name, 256).split(b"\0")[0]
                if text and text.isascii():
                    yield text.decode("ascii")
            return
