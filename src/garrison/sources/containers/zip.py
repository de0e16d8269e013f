"""Zip archives as their different loaders would see them.

Python's `zipfile` and PyTorch's miniz trust the central directory, streaming readers trust the local headers; an
archive on which they disagree shows each its own contents. So both views are read and every disagreement is stated.

Source: PKWARE APPNOTE 6.3.10 (4.3.7 local header, 4.3.12 central directory, 4.3.14 zip64, 4.3.16 end record).
"""

import bz2
import functools
import lzma
import re
import struct
import zlib
from collections.abc import Callable, Iterator

import msgspec

from garrison.core.errors import LimitExceeded, Malformed
from garrison.core.facts import Anomaly, Artifact
from garrison.sources.containers.names import name_anomalies
from garrison.sources.reader import Decompressor, Reader
from garrison.sources.source import Context, Extracted, Source

_END = b"PK\x05\x06"
_CENTRAL = b"PK\x01\x02"
_LOCAL = b"PK\x03\x04"
_DESCRIPTOR = b"PK\x07\x08"
_END_SEARCH = 22 + 0xFFFF
_CENTRAL_LIMIT = 256 << 20
_STORED, _DEFLATED, _BZIP2, _LZMA, _ZSTANDARD = 0, 8, 12, 14, 93
_METHODS = {_STORED: "stored", _DEFLATED: "deflate", _BZIP2: "bzip2", _LZMA: "LZMA", _ZSTANDARD: "zstd"}
_UNIX = (3, 19)
"""Systems whose members have Unix modes: Unix and macOS."""
_ENCRYPTED = 0x1
_HAS_DESCRIPTOR = 0x8
_UTF8 = 0x800
_HIDDEN_SEARCH = 64 << 20
"""Bytes outside all members in which local headers are looked for."""
_EXPANDED = 64 << 20
_EXPANSION = 500
"""Beyond this many times its packed size a large member is worth a word; deflate ends at about 1030."""
_PICKLES = frozenset({"data.pkl", "constants.pkl", "bytecode.pkl"})
"""Members that PyTorch hands to its unpickler whatever they look like; its reader disregards case."""
_TORCH_MARKS = ("data.pkl", "archive_format", "model.json", ".data/extern_modules")
_WEIGHTS = re.compile(
    r"(data|constants|tensors)/\d+|data/weights/weight_\d+|data/constants/tensor_\d+|\.data/\d+\.storage"
).fullmatch
"""Members that PyTorch takes for the bytes of a tensor, below the archive's folder."""


class Member(msgspec.Struct, frozen=True):
    """One entry of the central directory, with what its local header says."""

    name: str
    method: int
    flags: int
    crc: int
    packed: int
    size: int
    offset: int
    """Of the local header, in the reader."""
    data: int
    """Of the packed data, in the reader; -1 where there is no local header."""
    mode: int
    """The Unix mode, 0 where the archive gives none."""
    local_name: str
    local_method: int
    local_flags: int


class Directory(msgspec.Struct, frozen=True):
    """The members, and where the archive begins and ends in its reader."""

    members: tuple[Member, ...]
    start: int
    """Bytes before the archive: a prefix, as in self-extracting archives."""
    central: int
    """Offset of the central directory."""
    end: int
    """Offset after the end record and its comment."""
    comment: bytes
    declared: int
    """How many members the end record promises."""
    others: tuple[Member, ...] = ()
    """Members of another central directory, to which the end record's offset leads."""


def sniff(source: Source) -> bool:
    """Whether an end record stands near the end, or a local header at the start."""
    return _looks_like_zip(source.reader, source.depth == 0)


@functools.lru_cache(maxsize=1)
def _looks_like_zip(reader: Reader, outermost: bool) -> bool:
    """Kept for the next who asks: several formats are zips with certain members."""
    if reader.pread(0, 4) in (_LOCAL, _END):
        return True
    size = reader.size if outermost or not _streamed(reader) else 0
    if size < 22:
        return False
    tail = reader.pread(max(0, size - _END_SEARCH), _END_SEARCH)
    position = tail.rfind(_END)
    if position < 0 or len(tail) - position < 22:
        return False
    entries, length, offset, comment = struct.unpack_from("<HLLH", tail, position + 10)
    if len(tail) - position - 22 < comment:
        return False
    end = max(0, size - _END_SEARCH) + position
    return bool(entries) and length + 22 <= size and (offset == 0xFFFFFFFF or reader.pread(end - length, 4) == _CENTRAL)


def _streamed(reader: Reader) -> bool:
    from garrison.sources.reader import DecompressingReader

    return isinstance(reader, DecompressingReader)


@functools.lru_cache(maxsize=1)
def member_names(source: Source) -> frozenset[str]:
    """The last parts of the members' names in lower case; none where the subject is no zip.

    Raises `Malformed` as `directory` does.
    """
    if not sniff(source):
        return frozenset()
    return frozenset(member.name.rpartition("/")[2].lower() for member in directory(source.reader).members)


def directory(reader: Reader) -> Directory:
    """The central directory, kept for the next who asks: several formats are zips with certain members.

    Raises `Malformed` where there is none that a loader could follow.
    """
    size = reader.size
    base = max(0, size - _END_SEARCH)
    tail = reader.pread(base, _END_SEARCH)
    position = tail.rfind(_END)
    while position >= 0 and len(tail) - position < 22:
        position = tail.rfind(_END, 0, position)
    if position < 0:
        raise Malformed("no end record: not a zip archive, or a truncated one")
    end = base + position
    declared, length, offset, comment = struct.unpack_from("<HLLH", tail, position + 10)
    directory_end = end
    named = offset
    for place in _zip64_records(reader, end):
        # zipfile takes the record that stands before its locator, miniz the one that the locator names.
        found = struct.unpack_from("<QQQ", reader.pread(place, 56), 32)
        if directory_end == end:
            directory_end = place
            declared, length, offset = found
        named = found[2]
    central = directory_end - length
    if central < 0:
        raise Malformed("the central directory is larger than the file")
    if length > _CENTRAL_LIMIT:
        raise Malformed(f"a central directory of {length} bytes")
    # As zipfile does: the directory ends at the end record, and what it is off by shifts every member.
    start = central - offset if offset != 0xFFFFFFFF else 0
    members = tuple(_members(reader, reader.pread(central, length), start))
    others: tuple[Member, ...] = ()
    appended = start > 0 and reader.pread(start - 22, 4) == _END
    if named != central and not appended and reader.pread(named, 4) == _CENTRAL:
        # As miniz does: the directory is where the end record says, and nothing is shifted. Behind another whole
        # archive it is an archive of its own, whose offsets may by chance be those of the first.
        others = tuple(_members(reader, reader.pread(named, min(max(central - named, length), _CENTRAL_LIMIT)), 0))
    stop = min(end + 22 + comment, size)
    note = tail[position + 22 : position + 22 + comment]
    return Directory(members, max(start, 0), central, stop, note, declared, others)


def _zip64_records(reader: Reader, end: int) -> list[int]:
    """Where zip64 end records are, the one before the locator first."""
    locator = reader.pread(end - 20, 20)
    if not locator.startswith(b"PK\x06\x07"):
        return []
    (named,) = struct.unpack_from("<Q", locator, 8)
    places = [place for place in (end - 76, named) if reader.pread(place, 56)[:4] == b"PK\x06\x06"]
    return [place for place in dict.fromkeys(places) if len(reader.pread(place, 56)) == 56]


def _members(reader: Reader, data: bytes, start: int) -> Iterator[Member]:
    position = 0
    while position + 46 <= len(data):
        if data[position : position + 4] != _CENTRAL:
            return
        (flags, method, crc, packed, size, name_length, extra_length, comment_length, _, external, offset) = (
            struct.unpack_from("<HH4xLLLHHHxxHLL", data, position + 8)
        )
        made_by = data[position + 5]
        name = data[position + 46 : position + 46 + name_length]
        extra = data[position + 46 + name_length : position + 46 + name_length + extra_length]
        size, packed, offset = _zip64(extra, size, packed, offset)
        offset += start
        header = reader.pread(offset, 30)
        local_name, local_method, local_flags, where = b"", -1, 0, -1
        if len(header) == 30 and header.startswith(_LOCAL):
            local_flags, local_method = struct.unpack_from("<HH", header, 6)
            local_length, local_extra = struct.unpack_from("<HH", header, 26)
            local_name = reader.pread(offset + 30, local_length)
            where = offset + 30 + local_length + local_extra
        yield Member(
            name=_text(name, flags),
            method=method,
            flags=flags,
            crc=crc,
            packed=packed,
            size=size,
            offset=offset,
            data=where,
            mode=external >> 16 if made_by in _UNIX else 0,
            local_name=_text(local_name, local_flags),
            local_method=local_method,
            local_flags=local_flags,
        )
        position += 46 + name_length + extra_length + comment_length


def _zip64(extra: bytes, size: int, packed: int, offset: int) -> tuple[int, int, int]:
    position = 0
    while position + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, position)
        if kind == 1:
            values = list(struct.unpack_from(f"<{min(length, len(extra) - position - 4) // 8}Q", extra, position + 4))
            if size == 0xFFFFFFFF and values:
                size = values.pop(0)
            if packed == 0xFFFFFFFF and values:
                packed = values.pop(0)
            if offset == 0xFFFFFFFF and values:
                offset = values.pop(0)
        position += 4 + length
    return size, packed, offset


def _text(name: bytes, flags: int) -> str:
    if flags & _UTF8:
        return name.decode("utf-8", "backslashreplace")
    try:
        return name.decode("utf-8")
    except UnicodeDecodeError:
        return name.decode("cp437")


def extract(source: Source, context: Context) -> Extracted:
    """The members as sources, and where the loaders' views of the archive differ."""
    yield Artifact(format="zip")
    reader = source.reader
    try:
        found = directory(reader)
    except Malformed as error:
        yield from _without_directory(source, context, str(error))
        return
    yield from _around(source, context, found)
    limits = context.limits
    if found.declared != len(found.members):
        detail = f"the end record promises {found.declared} members, the central directory has {len(found.members)}"
        yield Anomaly(what="archive-header-mismatch", detail=detail)
    if found.others:
        detail = "there are two central directories: zipfile takes the one at the end, miniz the one that is named"
        yield Anomaly(what="archive-header-mismatch", detail=detail, place=f"@ {found.others[0].offset:#x}")
    yield from _duplicates(found.members)
    roots = {root for member in found.members if (root := _torch_root(member.name)) is not None}
    seen: set[tuple[int, str]] = set()
    for number, member in enumerate(found.members + found.others):
        context.check_time()
        if number >= limits.members:
            break
        yield from name_anomalies(member.name)
        yield from _header_differences(member)
        if member.name.endswith("/") and member.packed == 0:
            continue
        if (member.mode & 0o170000) == 0o120000:
            yield from _link(source, member, context)
            continue
        if member.data < 0:
            yield Anomaly(
                what="malformed", detail=f"member {member.name!r} has no local header", place=f"@ {member.offset:#x}"
            )
            continue
        if (member.offset, member.name) in seen:
            continue
        seen.add((member.offset, member.name))
        root, _, inside = member.name.partition("/") if "" not in roots else ("", "", member.name)
        raw = root in roots and _WEIGHTS(inside) is not None
        if not raw:
            yield from _expansion(member)
        yield from _content(source, context, member, raw)
    yield from _overlaps(found.members)
    yield from _hidden(source, context, found)
    if len(found.members + found.others) > limits.members:
        raise LimitExceeded("members", f"more than {limits.members} members")


def _torch_root(name: str) -> str | None:
    """The folder of the archive, where a member's name marks it as one of PyTorch's; else `None`."""
    below = f"/{name}".lower()
    mark = next((mark for mark in _TORCH_MARKS if below.endswith(f"/{mark}")), None)
    return None if mark is None else name[: -len(mark)].removesuffix("/")


def _content(source: Source, context: Context, member: Member, raw: bool) -> Extracted:
    name = member.name or "(no name)"
    packed = source.reader.window(member.data, member.packed)
    basename = name.rpartition("/")[2]
    loaded_as = ("pickle",) if basename.lower() in _PICKLES else ("tensor-data",) if raw else ()
    for method in dict.fromkeys((member.method, member.local_method)):
        if (member.flags | member.local_flags) & _ENCRYPTED and not _readable(packed, method, context):
            yield Anomaly(
                what="encrypted-member", detail=f"{name!r} is encrypted and cannot be examined", place=f"member {name}"
            )
            return
    opened = open_member(packed, member.method, context)
    if opened is None and member.local_method != member.method:
        opened = open_member(packed, member.local_method, context)
    if opened is None:
        yield Anomaly(
            what="unsupported-compression", detail=f"{name!r} is packed with method {member.method}", place=name
        )
        return
    if member.method == _STORED and member.size != member.packed:
        yield Anomaly(
            what="archive-header-mismatch",
            detail=f"{name!r} is stored as {member.packed} bytes but said to be {member.size}",
        )
    yield source.member(name, opened, loaded_as=loaded_as)


def _readable(packed: Reader, method: int, context: Context) -> bool:
    """Whether a member that is flagged as encrypted is in fact in the clear: the flag was tampered with."""
    if method == _DEFLATED:
        try:
            return bool(zlib.decompressobj(-15).decompress(packed.pread(0, 4096), 4096)) or packed.size < 3
        except zlib.error:
            return False
    head = packed.pread(0, 512)
    return method == _STORED and _structured(head)


def _structured(head: bytes) -> bool:
    """Whether bytes are too orderly to be ciphertext: text, or a common beginning."""
    if head.startswith(
        (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05", b"PK\x03\x04", b"\x93NUMPY", b"\x7fELF", b"MZ")
    ):
        return True
    return bool(head) and all(9 <= byte < 127 for byte in head[:64])


def open_member(packed: Reader, method: int, context: Context) -> Reader | None:
    """A reader over the unpacked bytes; `None` for a method that garrison does not have."""
    if method == _STORED:
        return packed
    starts: dict[int, Callable[[], Decompressor]] = {
        _DEFLATED: lambda: _Inflating(packed),
        _BZIP2: lambda: bz2.BZ2File(packed.file()),
        _LZMA: lambda: _LzmaMember(packed),
        _ZSTANDARD: lambda: _zstandard(packed),
    }
    return context.decompressing(starts[method]) if method in starts else None


class _Inflating:
    """Raw deflate, read forward."""

    def __init__(self, packed: Reader) -> None:
        self._packed = packed
        self._position = 0
        self._object = zlib.decompressobj(-15)

    def read(self, size: int, /) -> bytes:
        while not self._object.eof:
            data = self._object.unconsumed_tail
            if not data:
                data = self._packed.pread(self._position, 1 << 16)
                self._position += len(data)
            if not data:
                return self._object.flush()
            if out := self._object.decompress(data, size):
                return out
        return b""


class _LzmaMember:
    """APPNOTE 5.8.8: version, the length of the properties, the properties, raw LZMA.

    The properties are looked at when the member is read, so that bad ones break it alone.
    """

    def __init__(self, packed: Reader) -> None:
        self._packed = packed
        self._stream: lzma.LZMAFile | None = None

    def read(self, size: int, /) -> bytes:
        if self._stream is None:
            self._stream = self._opened()
        return self._stream.read(size)

    def _opened(self) -> lzma.LZMAFile:
        head = self._packed.exactly(0, 9)
        properties, dictionary = head[4], int.from_bytes(head[5:9], "little")
        filters = [
            {
                "id": lzma.FILTER_LZMA1,
                "lc": properties % 9,
                "lp": properties // 9 % 5,
                "pb": properties // 45,
                "dict_size": min(dictionary, 64 << 20),
            }
        ]
        contents = self._packed.window(9, self._packed.size - 9)
        return lzma.LZMAFile(contents.file(), format=lzma.FORMAT_RAW, filters=filters)


def _zstandard(packed: Reader) -> Decompressor:
    import zstandard

    return zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(packed.file())


def _around(source: Source, context: Context, found: Directory) -> Extracted:
    """What stands before and after the archive."""
    size = source.reader.size
    first = min((member.offset for member in found.members), default=found.central)
    earlier = _archives_before(source, context, found) if first > 0 else []
    yield from earlier
    if first > 0 and not earlier:
        head = source.reader.pread(0, min(first, 64))
        if head.strip(b"\0"):
            yield Anomaly(what="prefixed-data", detail=f"{first} bytes stand before the archive")
            if head.startswith(_LOCAL):
                yield source.member("(data before the archive)", source.reader.window(0, first))
    if found.end < size and source.reader.pread(found.end, min(size - found.end, 4096)).strip(b"\0"):
        yield Anomaly(what="trailing-data", detail=f"{size - found.end} bytes follow the archive")
        yield source.member("(trailing data)", source.reader.window(found.end, size - found.end))


def _archives_before(source: Source, context: Context, found: Directory) -> list[Source]:
    """The archives of PyTorch that fill the bytes before: a distributed checkpoint is one archive after another."""
    archives: list[Source] = []
    position = found.start
    while position > 0 and found.members and len(archives) < context.limits.members:
        context.check_time()
        try:
            before = directory(source.reader.window(0, position))
        except Malformed:
            return []
        if before.end != position or not any(member.name.endswith("/data.pkl") for member in before.members):
            return []
        window = source.reader.window(before.start, position - before.start)
        archives.append(source.member(f"archive@{before.start:#x}", window))
        position = before.start
    return archives


def _header_differences(member: Member) -> Iterator[Anomaly]:
    if member.data < 0:
        return
    place = f"member {member.name}"
    if member.local_name != member.name:
        detail = f"the central directory calls it {member.name!r}, its local header {member.local_name!r}"
        yield Anomaly(what="archive-header-mismatch", detail=detail, place=place)
    if member.local_method != member.method:
        methods = [_METHODS.get(m, f"method {m}") for m in (member.method, member.local_method)]
        detail = f"{member.name!r} is {methods[0]} in the central directory, {methods[1]} in its local header"
        yield Anomaly(what="archive-header-mismatch", detail=detail, place=place)
    if (member.flags ^ member.local_flags) & _ENCRYPTED:
        detail = f"only one of the headers of {member.name!r} says that it is encrypted"
        yield Anomaly(what="archive-header-mismatch", detail=detail, place=place)


def _duplicates(members: tuple[Member, ...]) -> Iterator[Anomaly]:
    by_name: dict[str, Member] = {}
    folded: dict[str, str] = {}
    for member in members:
        other = folded.setdefault(member.name.lower(), member.name)
        if other != member.name and not member.name.endswith("/"):
            pickled = member.name.rpartition("/")[2].lower() in _PICKLES
            detail = f"{member.name!r} and {other!r} differ in case only, which some readers do not tell apart"
            what = "duplicate-member" if pickled else "duplicate-member-same"
            yield Anomaly(what=what, detail=detail, place=f"member {member.name}")
        first = by_name.setdefault(member.name, member)
        if first is not member and not member.name.endswith("/"):
            same = (first.crc, first.size) == (member.crc, member.size)
            kind = "with the same contents" if same else "with different contents: loaders take either"
            what = "duplicate-member-same" if same else "duplicate-member"
            yield Anomaly(what=what, detail=f"{member.name!r} is there twice, {kind}", place=f"member {member.name}")


def _link(source: Source, member: Member, context: Context) -> Iterator[Anomaly]:
    from garrison.sources.containers.names import link_anomalies

    opened = None
    if member.data >= 0:
        opened = open_member(source.reader.window(member.data, member.packed), member.method, context)
    if opened is not None:
        yield from link_anomalies(member.name, opened.pread(0, 4096).decode("utf-8", "backslashreplace"))


def _expansion(member: Member) -> Iterator[Anomaly]:
    """What the directory says of the unpacked size; PyTorch's storages are judged together by their own reader."""
    if member.size > _EXPANDED and member.size > _EXPANSION * max(member.packed, 1):
        detail = f"{member.name!r} unpacks from {member.packed:,} to {member.size:,} bytes"
        yield Anomaly(what="high-compression", detail=detail, place=f"member {member.name}")


def _overlaps(members: tuple[Member, ...]) -> Iterator[Anomaly]:
    """Members whose packed bytes overlap: the same kilobytes unpack many times (Fifield, WOOT 2019)."""
    spans = sorted((m.offset, m.data + m.packed, m.name) for m in members if m.data >= 0)
    reached = 0
    previous = ""
    for begin, end, name in spans:
        if begin < reached:
            detail = f"{name!r} overlaps {previous!r}: the same bytes are unpacked more than once"
            yield Anomaly(what="overlapping-members", detail=detail)
            return
        if end > reached:
            reached, previous = end, name


def _hidden(source: Source, context: Context, found: Directory) -> Extracted:
    """Members that stand in the gaps and that only a reader of local headers sees."""
    known = {member.offset for member in found.members}
    spans = sorted((m.offset, max(m.data + m.packed, m.offset)) for m in found.members if m.data >= 0)
    position = found.start
    budget = _HIDDEN_SEARCH
    for begin, end in [*spans, (found.central, found.central)]:
        if begin > position:
            gap = source.reader.pread(position, min(begin - position, budget))
            budget -= len(gap)
            place = gap.find(_LOCAL)
            while place >= 0:
                member = _local_member(source.reader, position + place)
                if member is not None and position + place not in known:
                    detail = f"{member.name!r} has a local header but is not in the central directory"
                    yield Anomaly(what="hidden-member", detail=detail, place=f"@ {position + place:#x}")
                    opened = open_member(source.reader.window(member.data, member.packed), member.method, context)
                    if opened is not None:
                        yield source.member(member.name, opened)
                place = gap.find(_LOCAL, place + 4)
        position = max(position, end)


def _local_member(reader: Reader, offset: int) -> Member | None:
    header = reader.pread(offset, 30)
    if len(header) < 30 or not header.startswith(_LOCAL):
        return None
    flags, method, crc, packed, size, name_length, extra_length = struct.unpack_from("<HH4xLLLHH", header, 6)
    if method not in _METHODS or not 0 < name_length < 1024:
        return None
    name = _text(reader.pread(offset + 30, name_length), flags)
    data = offset + 30 + name_length + extra_length
    if flags & _HAS_DESCRIPTOR and not packed:
        packed = _until_descriptor(reader, data)
    return Member(name, method, flags, crc, packed, size, offset, data, 0, name, method, flags)


def _until_descriptor(reader: Reader, data: int) -> int:
    """The packed length of a member whose header leaves it to a data descriptor."""
    chunk = reader.pread(data, _HIDDEN_SEARCH)
    ends = [place for mark in (_DESCRIPTOR, _LOCAL, _CENTRAL) if (place := chunk.find(mark)) >= 0]
    return min(ends, default=len(chunk))


def _without_directory(source: Source, context: Context, reason: str) -> Extracted:
    """A truncated archive still shows its members to a streaming reader."""
    if source.reader.pread(0, 4) != _LOCAL:
        raise Malformed(reason)
    offset = 0
    for _ in range(context.limits.members):
        context.check_time()
        member = _local_member(source.reader, offset)
        if member is None:
            break
        yield from name_anomalies(member.name)
        opened = open_member(source.reader.window(member.data, member.packed), member.method, context)
        if opened is not None and not member.name.endswith("/"):
            loaded_as = ("pickle",) if member.name.rpartition("/")[2].lower() in _PICKLES else ()
            yield source.member(member.name, opened, loaded_as=loaded_as)
        offset = member.data + member.packed
        if member.flags & _HAS_DESCRIPTOR:
            tail = source.reader.pread(offset, 28)
            offset += max(tail.find(_LOCAL), 0)
    raise Malformed(reason)
