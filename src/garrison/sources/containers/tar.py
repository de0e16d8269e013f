"""Tar archives: ustar, GNU and pax.

A reader of headers of our own, so that members are windows of the archive and nothing is unpacked.

Source: POSIX.1-2017 `pax`, "ustar Interchange Format"; GNU tar manual, "Basic Tar Format".
"""

import re
from collections.abc import Iterator

import msgspec

from garrison.core.errors import LimitExceeded, Malformed
from garrison.core.facts import Anomaly, Artifact
from garrison.sources.containers.names import link_anomalies, name_anomalies
from garrison.sources.reader import Reader
from garrison.sources.source import Context, Extracted, Source

_BLOCK = 512
_REST = 1 << 20
_HEADER_LIMIT = 1 << 20
_KINDS = {b"3": "a character device", b"4": "a block device", b"6": "a named pipe"}
_PAX = re.compile(rb"(\d{1,7}) ([^=]{1,256})=")


def sniff(source: Source) -> bool:
    """A first header whose checksum holds."""
    return is_tar(source.reader.pread(0, _BLOCK))


def is_tar(header: bytes) -> bool:
    """Whether a block is a header."""
    return len(header) == _BLOCK and header[0] != 0 and _checksum_holds(header)


def _checksum_holds(header: bytes) -> bool:
    try:
        wanted = _number(header[148:156])
    except Malformed:
        return False
    if not header[148:156].strip(b"\0 "):
        return False
    blank = header[:148] + b" " * 8 + header[156:]
    return wanted == sum(blank) or wanted == sum(byte - 256 if byte > 127 else byte for byte in blank)


def _number(field: bytes) -> int:
    if field[:1] in (b"\x80", b"\xff"):
        return int.from_bytes(field[1:], "big") if field[0] == 0x80 else -1
    if field[:1] == b"\0" and field.strip(b"\0 "):
        # Go reads the number behind the zeros, Python reads none: an archive that says two things.
        raise Malformed(f"a number field holds {field!r}")
    digits = field.split(b"\0")[0].strip()
    try:
        # As tarfile does, which takes signs, underscores and 0o.
        return int(digits or b"0", 8)
    except ValueError:
        raise Malformed(f"a number field holds {digits!r}") from None


class Entry(msgspec.Struct):
    """One header, with what long names and pax records before it say."""

    name: str
    link: str
    kind: bytes
    """The type flag: `0` or NUL a file, `1` a hard link, `2` a symbolic link, `5` a folder, ..."""
    data: int
    """Where its contents start."""
    size: int
    mode: int
    owner: int
    group: int
    holes: bool = False
    """It is stored without runs of zeros, so that its contents here are not those that it has when unpacked."""


class Entries:
    """The entries of an archive in order, read forward; `end` is where the archive's end mark stands, if it has one.

    Where readers differ it is read as by Python, or with `engine` as by Go, in which container engines are written:
    global records count for nothing, those before a file replace each other, and a GNU name goes before a pax one.

    Raises `Malformed` for a header that is none, and `LimitExceeded` past `limit` headers.
    """

    def __init__(self, reader: Reader, context: Context, limit: int, *, engine: bool = False) -> None:
        self._engine = engine
        self._reader = reader
        self._context = context
        self._limit = limit
        self.end = -1

    def __iter__(self) -> Iterator[Entry]:
        reader = self._reader
        offset = 0
        long_name: str | None = None
        long_link: str | None = None
        general: dict[str, str] = {}
        own: dict[str, str] = {}
        for _ in range(self._limit):
            self._context.check_time()
            header = reader.pread(offset, _BLOCK)
            if len(header) < _BLOCK:
                if header.strip(b"\0"):
                    raise Malformed("the archive ends within a header")
                return
            if not header.strip(b"\0"):
                self.end = offset
                return
            if not _checksum_holds(header):
                raise Malformed(f"the header at {offset:#x} has a wrong checksum")
            size = _number(header[124:136])
            if size < 0:
                raise Malformed(f"the header at {offset:#x} has a negative size")
            kind = header[156:157]
            data = offset + _BLOCK
            if kind in b"LK" and kind:
                text = reader.pread(data, min(size, _HEADER_LIMIT)).split(b"\0")[0].decode("utf-8", "backslashreplace")
                long_name, long_link = (text, long_link) if kind == b"L" else (long_name, text)
            elif kind in b"xgX" and kind:
                records = general if kind == b"g" else own
                if self._engine:
                    own.clear()
                    records = {} if kind == b"g" else own
                records.update(_pax(reader.pread(data, min(size, _HEADER_LIMIT))))
            else:
                pax = {**general, **own} if general or own else own
                name = pax.get("GNU.sparse.name") or pax.get("path") or long_name or _name(header)
                link = pax.get("linkpath") or long_link or _text(header[157:257])
                if self._engine:
                    name, link = long_name or name, long_link or link
                if pax.get("size", "").isdecimal():
                    size = int(pax["size"])
                holes = kind == b"S" or any(key.startswith("GNU.sparse.") for key in pax)
                if kind == b"S":
                    data = _behind_the_map(reader, header, data)
                elif pax.get("GNU.sparse.major") == "1":
                    mapped = _map_size(reader.pread(data, min(size, _HEADER_LIMIT)))
                    data, size = data + mapped, max(size - mapped, 0)
                if kind in b"123456" and kind:
                    # As tarfile, which goes on at once behind what has no contents of its own.
                    size = 0
                mode, owner, group = (_lenient(header[start : start + 8]) for start in (100, 108, 116))
                yield Entry(name, link, kind, data, size, mode & 0o7777, owner, group, holes)
                long_name = long_link = None
                own = {}
            offset = data + -(-size // _BLOCK) * _BLOCK
        raise LimitExceeded("members", f"more than {self._limit} members")


def _lenient(field: bytes) -> int:
    try:
        return _number(field)
    except Malformed:
        return 0


def extract(source: Source, context: Context) -> Extracted:
    """The members as sources, and names and links that leave."""
    yield Artifact(format="tar")
    seen: set[str] = set()
    entries = Entries(source.reader, context, context.limits.members)
    for entry in entries:
        yield from _member(source, entry, seen)
    if entries.end >= 0:
        yield from _after_the_end(source, context, entries.end)


def _behind_the_map(reader: Reader, header: bytes, data: int) -> int:
    """Where the contents of an old GNU sparse file start: its map may go on in further blocks."""
    more = header[482:483]
    while more not in (b"", b"\0"):
        more = reader.pread(data, _BLOCK)[504:505]
        data += _BLOCK
    return data


def _map_size(head: bytes) -> int:
    """Bytes of the map before the contents of a sparse file of pax format 1.0: decimal lines, filled up to blocks."""
    lines = head.split(b"\n", 1)
    if not lines[0].isdigit() or len(lines[0]) > 7:
        raise Malformed("the map of a sparse file does not begin with the number of its parts")
    position = 0
    for _ in range(2 * int(lines[0]) + 1):
        position = head.find(b"\n", position) + 1
        if not position:
            raise Malformed("the map of a sparse file ends too early")
    return -(-position // _BLOCK) * _BLOCK


def holes_anomaly(name: str, place: str) -> Anomaly:
    """Says that a file was examined without its holes."""
    detail = f"{name!r} is stored with holes, and was examined without the zeros that unpacking puts into them"
    return Anomaly(what="file-with-holes", detail=detail, place=place)


def _member(source: Source, entry: Entry, seen: set[str]) -> Extracted:
    name, link, kind = entry.name, entry.link, entry.kind
    yield from name_anomalies(name)
    if kind in (b"1", b"2"):
        yield from link_anomalies(name, link, hard=kind == b"1")
    elif kind in _KINDS:
        yield Anomaly(what="special-file", detail=f"{name!r} is {_KINDS[kind]}", place=f"member {name}")
    elif kind != b"5" and not name.endswith("/"):
        if name in seen:
            detail = f"{name!r} is there twice: the later one replaces the earlier when unpacked"
            yield Anomaly(what="duplicate-member-same", detail=detail, place=f"member {name}")
        seen.add(name)
        if entry.holes:
            yield holes_anomaly(name, f"member {name}")
        loaded_as = ("pickle",) if name.rpartition("/")[2] == "data.pkl" else ()
        yield source.member(name or "(no name)", source.reader.window(entry.data, entry.size), loaded_as=loaded_as)


def _name(header: bytes) -> str:
    name = _text(header[:100])
    prefix = _text(header[345:500]) if header[257:263] == b"ustar\0" else ""
    return f"{prefix}/{name}" if prefix else name


def _text(field: bytes) -> str:
    return field.split(b"\0")[0].decode("utf-8", "backslashreplace")


def _pax(data: bytes) -> Iterator[tuple[str, str]]:
    position = 0
    while match := _PAX.match(data, position):
        end = position + int(match[1])
        if end <= match.end():
            return
        yield (
            match[2].decode("utf-8", "backslashreplace"),
            data[match.end() : end - 1].decode("utf-8", "backslashreplace"),
        )
        position = end


def _after_the_end(source: Source, context: Context, offset: int) -> Extracted:
    """Tar readers stop at two empty blocks; what follows them is seen by nobody, or by `tar --ignore-zeros`.

    Raises `LimitExceeded` where zeros go on for longer than is read at once.
    """
    reader = source.reader
    end = offset + context.limits.buffer
    while offset < end:
        context.check_time()
        rest = reader.pread(offset, _REST)
        if len(rest) < _REST or rest.strip(b"\0"):
            break
        offset += _REST
    else:
        raise LimitExceeded("buffer", f"zeros fill more than {context.limits.buffer} bytes behind the archive's end")
    if rest.strip(b"\0"):
        start = offset + len(rest) - len(rest.lstrip(b"\0"))
        start -= start % _BLOCK
        yield Anomaly(what="trailing-data", detail="bytes follow the end of the archive", place=f"@ {start:#x}")
        yield source.member("(trailing data)", reader.window(start, max(reader.size - start, 0)))
