"""Files within bounds: how much is read of one, and the digest that says which it was."""

import gzip
import hashlib
import os
import zlib
from collections.abc import Sequence

from garrison.core.errors import UsageError
from garrison.core.files import regular_file

MOST = 4 << 30
"""Bytes of inputs that are held at once, as float32."""
MOST_TEXT = 1 << 28
"""Bytes of a text file, unpacked."""


def content(path: str, most: int = MOST) -> bytes:
    """All bytes of a regular file, unpacked if it is gzipped. Raises `UsageError`, also for more than `most`."""
    with regular_file(path) as file:
        packed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        try:
            with gzip.open(file) if packed else os.fdopen(os.dup(file.fileno()), "rb") as stream:
                data = stream.read(most + 1)
        except (OSError, EOFError, zlib.error) as error:
            raise UsageError(f"{path}: {error}") from None
    if len(data) > most:
        raise UsageError(f"{path}: more than {most >> 20:,} MiB")
    return data


def digest(paths: Sequence[str]) -> str:
    """SHA-256 of a file in hexadecimal; of several files, of the list of them that `sha256sum` writes."""
    each = []
    for path in paths:
        found = hashlib.sha256()
        with regular_file(path) as file:
            while chunk := file.read(1 << 20):
                found.update(chunk)
        each.append(found.hexdigest())
    if len(each) == 1:
        return each[0]
    common = os.path.commonpath([os.path.abspath(path) for path in paths])
    lines = [f"{one}  {os.path.relpath(path, common)}\n" for one, path in zip(each, paths, strict=True)]
    return hashlib.sha256("".join(lines).encode("utf-8", "surrogateescape")).hexdigest()
