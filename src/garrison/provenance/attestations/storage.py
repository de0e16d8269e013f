"""Where attestations lie: beside the model, each in a file of its own, in the directory `MODEL.attestations`.

Beside and not inside, so that what is said about a model leaves it as it is. A file is named after its kind and its
contents, so that two that are written at once never take each other's place, and the same one is there once. Others
write several into one file, one a line (`claims.jsonl`), which is read too.
"""

import hashlib
import os
import stat
from collections.abc import Iterator
from typing import IO

import msgspec

from garrison.core.errors import UsageError
from garrison.core.files import replacing
from garrison.provenance.bundles.reading import BUNDLE_BYTES
from garrison.provenance.trust import Refused

SUFFIX = ".attestations"
_ENDING = ".sigstore.json"
_LINES = ".jsonl"
_MOST = 10_000
"""Files of one directory, or lines of one file."""
_MOST_BYTES = 2 << 30
"""Of all that is read of one path."""


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """One attestation as it lies there; nothing of it has been checked."""

    place: str
    """The file, followed by `:LINE` in one of several lines."""
    data: bytes = b""
    problem: str = ""
    """Why there are no data."""


def directory_of(model: str) -> str:
    """Where the attestations of a model lie."""
    return f"{os.path.abspath(model)}{SUFFIX}"


def store(bundle: bytes, kind: str, directory: str) -> str:
    """Put a bundle into a directory, which is made if it is not there; returns the file's path.

    The file is there whole or not at all. Raises `UsageError` if it cannot be written.
    """
    path = os.path.join(directory, f"{kind}-{hashlib.sha256(bundle).hexdigest()[:16]}{_ENDING}")
    try:
        os.makedirs(directory, exist_ok=True)
        with replacing(path) as file:
            file.write(bundle)
    except OSError as error:
        raise UsageError(f"{error.filename or path}: cannot be written: {error.strerror}") from None
    return path


def stored(path: str) -> Iterator[Stored]:
    """What lies in a directory, or in a file: each `*.json`, and each line of each `*.jsonl`, in the order of names.

    Raises `UsageError` for a path that is not there or cannot be read, and `Refused` for more than anybody needs, since
    an attacker must not choose which of them are read.
    """
    total = 0
    for one in _all(path):
        total += len(one.data)
        if total > _MOST_BYTES:
            raise Refused(f"{path}: attestations of more than {_MOST_BYTES:,} bytes")
        yield one


def _all(path: str) -> Iterator[Stored]:
    if not os.path.isdir(path):
        if not os.path.lexists(path):
            raise UsageError(f"{path}: no such file or directory")
        yield from _in_file(path)
        return
    try:
        names = sorted(name for name in os.listdir(path) if name.endswith((".json", _LINES)) and name[0] != ".")
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from None
    if len(names) > _MOST:
        raise Refused(f"{path}: more than {_MOST:,} attestations")
    for name in names:
        yield from _in_file(os.path.join(path, name))


def _in_file(path: str) -> Iterator[Stored]:
    try:
        # Without waiting for whoever would write into a pipe.
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                yield Stored(place=path, problem="not a regular file")
            elif path.endswith(_LINES):
                yield from _lines(path, file)
            else:
                yield _stored(path, file.read(BUNDLE_BYTES + 1))
    except OSError as error:
        yield Stored(place=path, problem=f"cannot be read: {error.strerror}")


def _lines(path: str, file: IO[bytes]) -> Iterator[Stored]:
    number = 0
    while line := file.readline(BUNDLE_BYTES + 1):
        number += 1
        one = _stored(f"{path}:{number}", line.strip())
        if one.data or one.problem:
            yield one
        if one.problem or number == _MOST:
            # What follows cannot be told apart any more, or is more than anybody needs.
            if file.read(1):
                yield Stored(place=path, problem=f"not read any further than line {number:,}")
            return


def _stored(place: str, data: bytes) -> Stored:
    if len(data) > BUNDLE_BYTES:
        return Stored(place=place, problem=f"larger than {BUNDLE_BYTES:,} bytes")
    return Stored(place=place, data=data)
