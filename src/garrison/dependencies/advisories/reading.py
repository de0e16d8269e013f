"""Finds the advisories in what somebody has: an archive, a directory, a file, whatever it is named.

All of it may be hostile: entries and totals are bounded, checksums hold or the entry is broken, names lead nowhere.
"""

import datetime
import os
import zlib
from collections.abc import Iterator
from typing import IO

import msgspec

from garrison.core.errors import ExaminationError, GarrisonError
from garrison.dependencies.advisories import osv
from garrison.dependencies.advisories.advisory import Advisory, Affected
from garrison.dependencies.advisories.osv import BrokenEntry

ENTRY_LIMIT = 64 << 20
"""The largest entry; those of distributions' kernels have some megabytes."""
TOTAL_LIMIT = 64 << 30
ENTRIES_LIMIT = 5_000_000
_RATIO = 200
_RATIO_FLOOR = 1 << 30
_STORED, _DEFLATED = 0, 8
_ENDINGS = (".json", ".yaml", ".yml")


class SourceError(GarrisonError):
    """A source of advisories cannot be used; says which and why."""


class Entry(msgspec.Struct, frozen=True):
    """One document, or why it could not be had."""

    name: str
    data: bytes
    problem: str = ""

    @property
    def yaml(self) -> bool:
        return self.name.lower().endswith((".yaml", ".yml"))

    def head(self) -> tuple[str, datetime.datetime] | None:
        """Id and date of modification, where they can be told without reading it all. Raises `BrokenEntry`."""
        if self.problem:
            raise BrokenEntry(self.problem)
        return osv.yaml_head(self.data) if self.yaml else osv.head(self.data)

    def advisory(self) -> tuple[Advisory, tuple[Affected, ...]]:
        """Raises `BrokenEntry`."""
        if self.problem:
            raise BrokenEntry(self.problem)
        if self.yaml:
            from garrison.dependencies.advisories.yaml_values import yaml_value

            return osv.from_value(yaml_value(self.data))
        return osv.from_json(self.data)

    @property
    def stem(self) -> str:
        """What its id would be by its name."""
        return os.path.splitext(self.name.rpartition("/")[2])[0]


def is_entry(name: str) -> bool:
    """Whether a file or member of this name is taken for an advisory."""
    return name.lower().endswith(_ENDINGS)


def entries_of_directory(path: str) -> Iterator[Entry]:
    """The JSON and YAML files at any depth below a directory; links are not followed."""
    pending = [path]
    count = 0
    while pending:
        directory = pending.pop()
        try:
            found = sorted(os.scandir(directory), key=lambda one: one.name)
        except OSError as error:
            raise SourceError(f"{directory}: cannot be read: {error.strerror}") from None
        for one in found:
            if one.is_dir(follow_symlinks=False):
                if not one.name.startswith("."):
                    pending.append(one.path)
            elif is_entry(one.name) and one.is_file(follow_symlinks=False):
                count += 1
                if count > ENTRIES_LIMIT:
                    raise SourceError(f"{path}: holds more than {ENTRIES_LIMIT:,} files")
                yield _file_entry(one.path)


def _file_entry(path: str) -> Entry:
    try:
        with open(path, "rb") as file:
            data = file.read(ENTRY_LIMIT + 1)
    except OSError as error:
        return Entry(path, b"", f"cannot be read: {error.strerror}")
    problem = f"larger than {ENTRY_LIMIT} bytes" if len(data) > ENTRY_LIMIT else ""
    return Entry(path, b"" if problem else data, problem)


def entries_of_zip(file: IO[bytes]) -> Iterator[Entry]:
    """The JSON and YAML members of a zip archive."""
    from garrison.sources.containers.zip import directory
    from garrison.sources.reader import FileReader

    reader = FileReader(file.fileno(), os.fstat(file.fileno()).st_size)
    try:
        found = directory(reader)
    except ExaminationError as error:
        raise SourceError(str(error)) from None
    if len(found.members) != found.declared and found.declared != 0xFFFF:
        raise SourceError(f"the archive declares {found.declared:,} members and lists {len(found.members):,}")
    packed = sum(member.packed for member in found.members)
    unpacked = sum(member.size for member in found.members)
    if packed > reader.size:
        raise SourceError("members of the archive overlap")
    if unpacked > min(TOTAL_LIMIT, max(_RATIO_FLOOR, _RATIO * reader.size)):
        raise SourceError(f"it unpacks to {unpacked >> 20:,} MiB, which is too much for its size")
    for member in found.members:
        name = member.name
        if not is_entry(name):
            continue
        if member.size > ENTRY_LIMIT or member.packed > ENTRY_LIMIT:
            yield Entry(name, b"", f"larger than {ENTRY_LIMIT} bytes")
        elif member.data < 0 or member.flags & 1 or member.method not in (_STORED, _DEFLATED):
            yield Entry(name, b"", "is encrypted, or packed in a way that is not read")
        else:
            yield _member(name, reader.pread(member.data, member.packed), member.method, member.size, member.crc)


def _member(name: str, packed: bytes, method: int, size: int, crc: int) -> Entry:
    data = packed
    if method == _DEFLATED:
        inflater = zlib.decompressobj(-15)
        try:
            data = inflater.decompress(packed, size + 1)
        except zlib.error:
            data = b""
    if len(data) != size or zlib.crc32(data) != crc:
        return Entry(name, b"", "is damaged: its size or its checksum does not hold")
    return Entry(name, data)
