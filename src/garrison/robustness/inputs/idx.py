"""IDX, the format of MNIST: a type, the sizes, and the numbers, big-endian.

Source: the description at the end of "The MNIST database of handwritten digits", LeCun, Cortes and Burges.
"""

import math
import os
import re
import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from garrison.core.errors import UsageError
from garrison.core.files import regular_file
from garrison.robustness.data import Data
from garrison.robustness.inputs.assembled import from_arrays
from garrison.robustness.inputs.files import content, digest
from garrison.robustness.inputs.reading import Reading

_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_IMAGES = re.compile(r"images?[-.]idx3").search
_LABELS = re.compile(r"labels?[-.]idx1").search


def is_idx(path: str) -> bool:
    """Whether a file, gzipped or not, is called or begins as IDX does."""
    name = os.path.basename(path)
    if _IMAGES(name) or _LABELS(name) or ".idx" in name:
        return True
    with regular_file(path) as file:
        head = file.read(4)
    return len(head) == 4 and head[:2] == b"\0\0" and head[2] in _TYPES and 1 <= head[3] <= 4


def has_pair(folder: str) -> bool:
    """Whether a folder has images and labels as IDX."""
    names = os.listdir(folder)
    return any(map(_IMAGES, names)) and any(map(_LABELS, names))


def read_folder(folder: str, how: Reading) -> Data:
    """The images and labels of a folder; where it has a training and a test part, the test part."""
    names = sorted(filter(_IMAGES, os.listdir(folder)), key=lambda name: ("train" in name, name))
    return read(os.path.join(folder, names[0]), how)


def read(path: str, how: Reading) -> Data:
    """A file of images, with that of the labels, which is called alike if it is not named. Raises `UsageError`."""
    labels = how.labels or _beside(path)
    return from_arrays(
        values(path), values(labels), path, sha256=digest([path, labels]), kind=how.kind, channels=how.channels
    )


def _beside(path: str) -> str:
    folder, name = os.path.split(path)
    called = name.replace("images", "labels").replace("image", "label").replace("idx3", "idx1")
    for candidate in (called, f"{called}.gz", called.removesuffix(".gz")):
        found = os.path.join(folder, candidate)
        if candidate != name and os.path.exists(found):
            return found
    raise UsageError(f"{path}: no file of labels beside it: name it with --labels")


def values(path: str) -> NDArray[Any]:
    """The numbers of a file. Raises `UsageError`."""
    data = content(path)
    if len(data) < 4 or data[:2] != b"\0\0" or data[2] not in _TYPES or len(data) < 4 + 4 * data[3]:
        raise UsageError(f"{path}: not IDX")
    shape = struct.unpack_from(f">{data[3]}I", data, 4)
    start = 4 + 4 * data[3]
    dtype = np.dtype(_TYPES[data[2]])
    if math.prod(shape) * dtype.itemsize != len(data) - start:
        raise UsageError(
            f"{path}: it says {'×'.join(map(str, shape))} values and has {len(data) - start:,} bytes of them"
        )
    found = np.frombuffer(data, dtype, offset=start).reshape(shape)
    return found.astype(dtype.newbyteorder("="))
