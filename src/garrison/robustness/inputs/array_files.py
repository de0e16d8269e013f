"""NumPy's files. Arrays of Python objects are refused, never unpickled."""

import contextlib
import math
import os
import warnings
import zipfile
import zlib
from collections.abc import Iterable
from typing import IO, Any

import numpy as np
from numpy.lib import format
from numpy.typing import NDArray

from garrison.core.errors import UsageError, first_line
from garrison.core.files import regular_file
from garrison.robustness.data import Data
from garrison.robustness.inputs.assembled import from_arrays
from garrison.robustness.inputs.files import MOST, digest
from garrison.robustness.inputs.reading import Reading
from garrison.robustness.inputs.texts import from_texts

_INPUTS = ("x_test", "test_images", "test_x", "x", "inputs", "images", "data", "features", "texts", "x_train")
_LABELS = ("y_test", "test_labels", "test_y", "y", "labels", "label", "targets", "target", "y_train")
"""What arrays are called, the best first; without regard to case."""
_HEADER = 1 << 16


def read(path: str, how: Reading) -> Data:
    """An `.npy` of inputs and one of labels. Raises `UsageError`."""
    if how.labels is None:
        raise UsageError(f"{path}: an .npy has no labels: name their file with --labels")
    inputs = _array_file(path)
    return _data(inputs, _array_file(how.labels), path, how, digest([path, how.labels]))


def read_archive(path: str, how: Reading) -> Data:
    """An `.npz` of inputs and labels. Raises `UsageError`."""
    with regular_file(path) as file:
        try:
            archive = zipfile.ZipFile(file)
        except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
            raise UsageError(f"{path}: {error}") from None
        with archive:
            members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
            inputs = _named(members, _INPUTS, path, "inputs")
            labels = None
            if how.labels is None:
                labels = _named(members, (how.label,) if how.label else _LABELS, path, "labels")
            arrays = [_member(archive, members[name], path) for name in (inputs, labels) if name is not None]
    if how.labels is not None:
        return _data(arrays[0], _array_file(how.labels), path, how, digest([path, how.labels]))
    return _data(arrays[0], arrays[1], path, how, digest([path]))


def _data(inputs: NDArray[Any], labels: NDArray[Any], path: str, how: Reading, sha256: str) -> Data:
    if inputs.dtype.kind == "U" and inputs.ndim == 1:
        return from_texts([str(text) for text in inputs], labels, path, sha256)
    return from_arrays(inputs, labels, path, sha256=sha256, kind=how.kind, channels=how.channels)


def _named(members: Iterable[str], wanted: Iterable[str], path: str, what: str) -> str:
    by_lower = {name.lower(): name for name in members}
    for name in wanted:
        if name.lower() in by_lower:
            return by_lower[name.lower()]
    raise UsageError(f"{path}: no array of {what} among {', '.join(sorted(by_lower.values())[:8]) or 'none'}")


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: str) -> NDArray[Any]:
    with _failing_as(f"{path}: {info.filename}"), archive.open(info) as file:
        return array(file, info.file_size, f"{path}: {info.filename}")


def _array_file(path: str) -> NDArray[Any]:
    with regular_file(path) as file, _failing_as(path):
        return array(file, os.fstat(file.fileno()).st_size, path)


class _failing_as(contextlib.AbstractContextManager[None]):
    """Turns what readers raise for damaged files into a `UsageError`."""

    def __init__(self, source: str) -> None:
        self._source = source

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        expected = ValueError, OSError, EOFError, RuntimeError, NotImplementedError, zipfile.BadZipFile, zlib.error
        if isinstance(error, expected):
            raise UsageError(f"{self._source}: {first_line(error)}") from None


def _header(file: "IO[bytes]", source: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = format.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        raise UsageError(f"{source}: version {version} of the format is not read here")
    reader = format.read_array_header_1_0 if version == (1, 0) else format.read_array_header_2_0
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of headers that Python 2 wrote
            shape, fortran, dtype = reader(file, max_header_size=_HEADER)
    except Exception as error:  # NumPy parses it as Python, with all that this raises
        raise UsageError(f"{source}: its header cannot be read: {first_line(error)}") from None
    if any(size < 0 for size in shape):
        raise UsageError(f"{source}: its header says a shape of {shape}")
    return shape, fortran, dtype


def array(file: "IO[bytes]", size: int, source: str) -> NDArray[Any]:
    """One array of a stream of `size` bytes, no more than the stream has. Raises `UsageError` and `ValueError`."""
    shape, fortran, dtype = _header(file, source)
    if dtype.hasobject:
        raise UsageError(f"{source}: it holds Python objects, which would have to be unpickled: save numbers or texts")
    if dtype.kind not in "biufUS":
        raise UsageError(f"{source}: values of type {dtype} are neither numbers nor texts")
    count = math.prod(shape)
    needed = count * dtype.itemsize
    if needed > MOST:
        raise UsageError(f"{source}: more than {MOST >> 20:,} MiB")
    if needed > size:
        raise UsageError(f"{source}: it says {needed:,} bytes of values and has {size:,}")
    data = file.read(needed)
    if len(data) != needed:
        raise UsageError(f"{source}: it ends too early")
    values = np.frombuffer(data, dtype=dtype, count=count) if dtype.itemsize else np.zeros(count, dtype)
    if fortran:
        return values.reshape(shape[::-1]).transpose()
    return values.reshape(shape)
