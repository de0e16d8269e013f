"""NumPy's arrays, and the zips of them; arrays of objects through the restricted unpickler."""

import zipfile
from typing import IO, Any

from garrison.artifacts.loading.admission import Admitted, Options
from garrison.artifacts.loading.restricted import Names, Unpickler
from garrison.sources.private_copy import PrivateCopy


def load(copy: PrivateCopy, admitted: Admitted, options: Options) -> object:
    """The first array of the file, as `numpy.load` gives it."""
    with copy.open() as file:
        return _array(file, admitted.names("pickle"))


def load_archive(copy: PrivateCopy, admitted: Admitted, options: Options) -> dict[str, Any]:
    """All arrays by name."""
    names = admitted.names("pickle")
    with copy.open() as packed, zipfile.ZipFile(packed) as archive:
        arrays = {}
        for name in archive.namelist():
            with archive.open(name) as file:
                arrays[name.removesuffix(".npy")] = _array(file, names)
        return arrays


def _array(file: "IO[bytes]", names: Names) -> Any:
    from numpy.lib import format

    start = file.tell()
    version = format.read_magic(file)
    reader = format.read_array_header_1_0 if version == (1, 0) else format.read_array_header_2_0
    if version in ((1, 0), (2, 0)) and reader(file)[2].hasobject:
        return Unpickler(file, names).load()
    file.seek(start)
    return format.read_array(file, allow_pickle=False)
