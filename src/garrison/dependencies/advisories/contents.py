"""Says from its bytes what a file of advisories is: an export of OSV in any wrapping, EPSS scores, or CISA's catalogue.

Sources: the OSV schema's exports (`all.zip`, one JSON file for each advisory); the header of EPSS files
(https://www.first.org/epss/data_stats); CISA's schema of the known exploited vulnerabilities.
"""

import datetime
import os
import re
from collections.abc import Iterator
from typing import IO, Literal

import msgspec

from garrison.core.errors import ExaminationError
from garrison.core.limits import Limits
from garrison.dependencies.advisories.osv import BrokenEntry, date_of
from garrison.dependencies.advisories.reading import (
    ENTRIES_LIMIT,
    ENTRY_LIMIT,
    TOTAL_LIMIT,
    Entry,
    SourceError,
    entries_of_zip,
    is_entry,
)
from garrison.dependencies.advisories.storage import cve_number
from garrison.sources.containers.streams import decompressor
from garrison.sources.reader import FileReader, Reader
from garrison.sources.source import Context, Source

_DOCUMENT_LIMIT = 256 << 20
"""Zstandard may unpack a few bytes to 128 KiB, and gives all that its input holds at once."""
_WRAPPINGS = 2
_SCORE_DATE = re.compile(rb"score_date:([0-9T:+-]{10,30})")
_LIMITS = Limits(
    seconds=7200.0, members=ENTRIES_LIMIT, unpacked=TOTAL_LIMIT, ratio=2000, ratio_floor=1 << 30, buffer=1 << 20
)


class Advisories(msgspec.Struct, frozen=True):
    entries: Iterator[Entry]


class Ranks(msgspec.Struct, frozen=True):
    """What is known of CVEs: their EPSS score, or that they are exploited."""

    kind: Literal["epss", "kev"]
    date: datetime.datetime
    scores: dict[int, float]
    """By `cve_number`; 1 for each that is exploited."""


def contents(file: IO[bytes]) -> Advisories | Ranks:
    """What an open file holds. Raises `SourceError`, as its entries do, where that cannot be used."""
    size = os.fstat(file.fileno()).st_size
    if not size:
        raise SourceError("it is empty")
    reader: Reader = FileReader(file.fileno(), size)
    if reader.pread(0, 4) in (b"PK\x03\x04", b"PK\x05\x06"):
        return Advisories(entries_of_zip(file))
    context = Context(_LIMITS, size)
    try:
        for _ in range(_WRAPPINGS):
            unpacking = decompressor(reader)
            if unpacking is None:
                break
            reader = context.decompressing(unpacking)
        return _recognised(reader, context)
    except ExaminationError as error:
        raise SourceError(str(error)) from None


def _recognised(reader: Reader, context: Context) -> Advisories | Ranks:
    from garrison.sources.containers import tar

    head = reader.pread(0, 4096)
    if tar.sniff(Source("", reader)):
        return Advisories(_guarded(reader, _of_tar(reader, context)))
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if text.startswith((b"#model_version", b"cve,epss")):
        return _epss(reader)
    if text[:1] in (b"{", b"["):
        first = _first_line(reader)
        if first is not None:
            return Advisories(_guarded(reader, _of_lines(reader)))
        return _of_document(_whole(reader))
    if re.search(rb"(?m)^id:", head) or b"\nid:" in _whole(reader):
        return Advisories(iter([Entry("advisory.yaml", _whole(reader))]))
    raise SourceError("it is no export of OSV (zip, tar, JSON, YAML), no EPSS scores and no KEV catalogue")


def _guarded(reader: Reader, entries: Iterator[Entry]) -> Iterator[Entry]:
    """A stream that breaks off is no shorter list."""
    try:
        yield from entries
        _check_end(reader)
    except ExaminationError as error:
        raise SourceError(str(error)) from None


def _check_end(reader: Reader) -> None:
    _ = reader.size
    error = getattr(reader, "error", None)
    if error is not None:
        raise SourceError(f"the compressed data are damaged: {error}")


def _whole(reader: Reader) -> bytes:
    data = reader.whole(_DOCUMENT_LIMIT)
    _check_end(reader)
    return data


def _of_tar(reader: Reader, context: Context) -> Iterator[Entry]:
    from garrison.sources.containers import tar

    for found in tar.extract(Source("", reader), context):
        if isinstance(found, Source) and is_entry(name := found.subject.partition("!/")[2]):
            data = found.reader.pread(0, ENTRY_LIMIT + 1)
            problem = f"larger than {ENTRY_LIMIT} bytes" if len(data) > ENTRY_LIMIT else ""
            if len(data) < found.reader.size:
                problem = problem or "the archive ends within it"
            yield Entry(name, b"" if problem else data, problem)
    if reader.pread(reader.size - 512, 512) != bytes(512):
        raise SourceError("the tar archive breaks off: its end mark is missing")


def _first_line(reader: Reader) -> bytes | None:
    """The first line, if it is a whole JSON document and another one follows."""
    file = reader.file()
    line = file.readline(ENTRY_LIMIT).removeprefix(b"\xef\xbb\xbf")
    try:
        msgspec.json.decode(line, type=dict[str, msgspec.Raw])
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None
    return line if file.read(4096).strip() else None


def _of_lines(reader: Reader) -> Iterator[Entry]:
    file = reader.file()
    number = 0
    while line := file.readline(ENTRY_LIMIT + 1):
        number += 1
        name = f"line {number}"
        if len(line) > ENTRY_LIMIT:
            yield Entry(name, b"", f"larger than {ENTRY_LIMIT} bytes")
            while line and not line.endswith(b"\n"):
                line = file.readline(ENTRY_LIMIT)
        elif line := line.removeprefix(b"\xef\xbb\xbf").strip():
            yield Entry(name, line)


def _of_document(data: bytes) -> Advisories | Ranks:
    data = data.removeprefix(b"\xef\xbb\xbf")
    try:
        document = msgspec.json.decode(data, type=dict[str, msgspec.Raw] | list[msgspec.Raw])
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise SourceError(f"not valid JSON: {error}") from None
    if isinstance(document, dict) and "vulnerabilities" in document:
        return _kev(data)
    if isinstance(document, dict) and "vulns" in document:  # an answer of OSV's interface
        return _of_document(bytes(document["vulns"]))
    entries = [bytes(one) for one in document] if isinstance(document, list) else [data]
    return Advisories(Entry(f"entry {number}", one) for number, one in enumerate(entries, 1))


def _epss(reader: Reader) -> Ranks:
    scores: dict[int, float] = {}
    date: datetime.datetime | None = None
    file = reader.file()
    while line := file.readline(1 << 16):
        if line.startswith(b"#"):
            found = _SCORE_DATE.search(line)
            date = _date(found[1].decode()) if found else None
        elif not line.startswith(b"cve,"):
            name, _, rest = line.decode("ascii", "replace").partition(",")
            number = cve_number(name)
            try:
                score = float(rest.partition(",")[0])
            except ValueError:
                score = -1.0
            if number is None or not 0 <= score <= 1:
                raise SourceError(f"not an EPSS score: {line[:100].decode('ascii', 'replace')!r}")
            scores[number] = score
    _check_end(reader)
    if date is None:
        raise SourceError("the EPSS scores do not say of which day they are (score_date)")
    if not scores:
        raise SourceError("it holds no EPSS scores")
    return Ranks("epss", date, scores)


class _Exploited(msgspec.Struct):
    cveID: str


class _Catalogue(msgspec.Struct):
    dateReleased: str
    vulnerabilities: list[_Exploited]
    count: int | None = None


def _kev(data: bytes) -> Ranks:
    try:
        catalogue = msgspec.json.decode(data, type=_Catalogue)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise SourceError(f"not a catalogue of known exploited vulnerabilities: {error}") from None
    numbers = [cve_number(one.cveID) for one in catalogue.vulnerabilities]
    known = {number: 1.0 for number in numbers if number is not None}
    if len(numbers) != (len(numbers) if catalogue.count is None else catalogue.count) or not known or None in numbers:
        raise SourceError("the catalogue of known exploited vulnerabilities is not complete")
    return Ranks("kev", _date(catalogue.dateReleased), known)


def _date(text: str) -> datetime.datetime:
    try:
        return date_of(text)
    except BrokenEntry as error:
        raise SourceError(str(error)) from None
