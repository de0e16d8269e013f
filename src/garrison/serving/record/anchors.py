"""Checkpoints kept elsewhere: what tells that a log was cut off at its end, or that an older one was put in its place.

An anchor is a file of the log's own signed lines, one a line, in their order.
"""

import errno
import os
from collections.abc import Iterator

from garrison.core.errors import UsageError
from garrison.core.files import regular_file
from garrison.serving.record import lines
from garrison.serving.record.lines import Broken

_MEMBER = b'"log":"%b"'


class Anchor:
    def __init__(self, path: str) -> None:
        """Raises `UsageError` for a file that cannot be written."""
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        try:
            self._file = os.open(path, flags, 0o600)
        except OSError as error:
            raise UsageError(f"{path}: the anchor of the audit log cannot be written: {error.strerror}") from None

        size = os.fstat(self._file).st_size
        self._torn = size > 0 and os.pread(self._file, 1, size - 1) != b"\n"

    def put(self, line: bytes) -> None:
        """Raises `OSError`; what is left of the line then is no line of the anchor's."""
        data = b"\n" + line + b"\n" if self._torn else line + b"\n"
        self._torn = True
        if os.write(self._file, data) != len(data):
            raise OSError(errno.ENOSPC, "the anchor of the audit log took a part of a checkpoint")
        self._torn = False

    def close(self) -> None:
        os.close(self._file)


def of(path: str, log: str) -> Iterator[tuple[int, bytes]]:
    """The lines that an anchor holds of a log, by number. What cannot be read, as after a crash, is passed over.

    Raises `UsageError` for a file that cannot be read.
    """
    member = _MEMBER % log.encode()
    with regular_file(path) as raw, open(raw.fileno(), "rb", closefd=False) as file:
        try:
            for line, whole in lines.read(file):
                if whole and member in line:
                    try:
                        yield lines.head(line).n, line
                    except Broken:
                        continue
        except Broken as error:
            raise UsageError(f"{path}: {error}") from None


def check(path: str, log: str, n: int) -> None:
    """Raise `UsageError` where the anchor has seen more of a log than its `n` lines."""
    seen = max((number for number, _ in of(path, log)), default=0)
    if seen > n:
        raise UsageError(
            f"{path}: has seen record {seen:,} of the audit log, which ends at {n:,}: its end was cut off, and it is "
            "not continued"
        )
