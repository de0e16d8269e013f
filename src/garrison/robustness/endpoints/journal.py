"""What an endpoint was asked and what it answered, on the disk before it is used.

A journal is lines of JSON. The first names what was asked; each later one is `{"asking": n}`, written before n
inputs are sent, or `{"input": DIGEST, "answer": ROW}`. A last line that is not whole was being written when the
process died, and is cut off. What was on its way then counts as asked, and has no answer.
"""

import fcntl
import hashlib
import json
import os
import stat
from collections import defaultdict, deque
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from garrison.core.errors import GarrisonError, UsageError

_FORMAT = "garrison-journal"
_VERSION = 1

Row = tuple[float, ...]
"""The scores of one input, or its decision alone."""


def digest(row: NDArray[np.float32]) -> str:
    """Of one input, in hexadecimal."""
    return hashlib.blake2b(np.ascontiguousarray(row).tobytes(), digest_size=16).hexdigest()


class Journal:
    """Answers by input. One run at a time may have it open.

    An input that was asked about three times has three answers, which are given out in their order: a run that is
    repeated gets what it got, also from a model that answers differently each time.
    """

    def __init__(self, path: str, of: dict[str, str]) -> None:
        """Open or begin the journal of what `of` describes.

        Raises `UsageError` for a journal of something else, for what is no journal, and for one that is in use.
        """
        self._path = path
        self.asked = 0
        """Inputs that were sent, in this run and all before."""
        self._answers: defaultdict[str, deque[Row]] = defaultdict(deque)
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY, 0o600)
        except (OSError, ValueError) as error:
            raise UsageError(f"{path}: {getattr(error, 'strerror', None) or error}") from None
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise UsageError(f"{path}: not a regular file")
        self._file = os.fdopen(descriptor, "r+b")
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise UsageError(f"{path}: another run is writing this journal") from None
            self._read(of)
        except BaseException:
            self._file.close()
            raise

    def close(self) -> None:
        self._file.close()

    def take(self, key: str) -> Row | None:
        """The next answer to an input that is known from before; each is given out once."""
        answers = self._answers.get(key)
        return answers.popleft() if answers else None

    def asking(self, count: int) -> None:
        """Note that inputs are about to be sent."""
        self.asked += count
        self._write(_line({"asking": count}))

    def answered(self, keys: Sequence[str], rows: Sequence[Row]) -> None:
        """Note the answers, in the order of the inputs."""
        lines = [_line({"input": key, "answer": row}) for key, row in zip(keys, rows, strict=True)]
        self._write(b"".join(lines))

    def _write(self, lines: bytes) -> None:
        try:
            self._file.write(lines)
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise GarrisonError(f"{self._path}: {error.strerror}") from None

    def _read(self, of: dict[str, str]) -> None:
        header = _line({_FORMAT: _VERSION, **of})
        whole = 0
        for number, line in enumerate(self._file):
            if not line.endswith(b"\n"):
                if number == 0 and not header.startswith(line):
                    raise UsageError(f"{self._path}: no journal")
                break
            try:
                record = json.loads(line)
                if number == 0:
                    self._compare(record, of)
                elif "asking" in record:
                    self.asked += int(record["asking"])
                else:
                    self._answers[str(record["input"])].append(tuple(float(score) for score in record["answer"]))
            except (ValueError, TypeError, KeyError, RecursionError):
                raise UsageError(f"{self._path}: line {number + 1} is none of a journal") from None
            whole += len(line)
        self._file.seek(whole)
        self._file.truncate()
        if whole == 0:
            self._write(header)

    def _compare(self, header: Any, of: dict[str, str]) -> None:
        if not isinstance(header, dict) or _FORMAT not in header:
            raise ValueError
        if header[_FORMAT] != _VERSION:
            raise UsageError(f"{self._path}: a journal of version {header[_FORMAT]}, which this garrison does not read")
        for name, value in of.items():
            if header.get(name) != value:
                theirs = ascii(header.get(name))[:100]
                raise UsageError(
                    f"{self._path}: the journal of another {name} ({theirs}, not {value!r}); name a new file"
                )


def _line(record: dict[str, Any]) -> bytes:
    return json.dumps(record).encode() + b"\n"
