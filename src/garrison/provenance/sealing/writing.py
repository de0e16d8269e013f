"""Writes to what may take less than it is given, as files without a buffer and pipes do."""

from typing import BinaryIO


def write_all(target: BinaryIO, data: "bytes | memoryview") -> None:
    left = memoryview(data)
    while left:
        left = left[target.write(left) :]
