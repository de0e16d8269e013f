"""What a guard finds of its log when it starts: where the chain ends, and what of the end cannot be read.

A crash leaves a line half written, and a loss of power leaves blocks of anything behind what reached the disk. That is
put aside. A line that can be read and does not follow is neither: somebody changed the log, and it is not continued.
"""

import hashlib
import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

import msgspec

from garrison.core.errors import UsageError
from garrison.core.files import regular_file
from garrison.serving.record import lines, segments
from garrison.serving.record.entries import FORMAT, SegmentEntry
from garrison.serving.record.lines import Broken, Position


@dataclass(frozen=True)
class End:
    """Where a log ends."""

    path: str
    segment: SegmentEntry
    position: Position
    size: int
    """Of what can be read of the segment, in bytes."""
    unsigned: int
    """Lines behind the last checkpoint."""
    torn: int
    """Bytes behind `size`."""


def end(directory: str) -> End | None:
    """`None` where there is no log yet. Raises `UsageError` for one that cannot be continued."""
    found = segments.listed(directory)
    if not found:
        return None
    number, path = found[-1]
    with regular_file(path) as raw, open(raw.fileno(), "rb", closefd=False) as file:
        segment, position, size, unsigned = None, Position(0, b""), 0, 0
        try:
            for line, whole in lines.read(file):
                if not whole:
                    break
                if segment is None:
                    segment, position = _first(path, number, line)
                else:
                    said, position = lines.follow(position, line)
                    unsigned = 0 if said.kind == b"checkpoint" else unsigned + 1
                size += len(line) + 1
        except Broken as error:
            if segment is None or _goes_on(file, size):
                raise UsageError(
                    f"{path}: the audit log does not verify behind record {position.n}: {error}; keep it for whoever "
                    "finds out why, and give the guard an empty directory"
                ) from None
        if segment is None:
            raise UsageError(f"{path}: a segment of an audit log without a first line")
        return End(path, segment, position, size, unsigned, os.fstat(file.fileno()).st_size - size)


def _first(path: str, number: int, line: bytes) -> tuple[SegmentEntry, Position]:
    said = lines.head(line)
    try:
        segment = msgspec.json.decode(line, type=SegmentEntry)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Broken("its first line is not that of a segment") from None
    if segment.format != FORMAT or segment.segment != number:
        raise Broken(f"its first line is that of segment {segment.segment} of {segment.format}")
    return segment, lines.after(Position(said.n - 1, said.previous), line)


def _goes_on(file: IO[bytes], size: int) -> bool:
    """Whether any line behind `size` can be read as one of a log."""
    file.seek(size)
    try:
        for line, _ in lines.read(file):
            try:
                lines.head(line)
            except Broken:
                continue
            return True
    except Broken:
        pass
    return False


def put_aside(directory: str, found: End) -> tuple[str, str]:
    """Keep the torn end in a file of its own, and cut it off the segment: the file's name, and the SHA-256 of what is
    in it. Raises `OSError`."""
    digest = hashlib.sha256()
    name = next(one for one in _names(found) if not os.path.lexists(os.path.join(directory, one)))
    target = os.open(os.path.join(directory, name), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(found.path, "r+b") as file, open(target, "wb") as aside:
        file.seek(found.size)
        while data := file.read(1 << 16):
            digest.update(data)
            aside.write(data)
        aside.flush()
        os.fsync(aside.fileno())
        file.truncate(found.size)
        os.fsync(file.fileno())
    return name, digest.hexdigest()


def _names(found: End) -> Iterator[str]:
    for count in itertools.count(1):
        yield f"torn-{found.segment.segment:06d}-{found.position.n}-{count}.bin"
