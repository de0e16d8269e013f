"""MXNet parameters: a list of arrays and their names. The graph beside them is JSON (`engine_documents`).

Source: `src/ndarray/ndarray.cc` of MXNet (`NDArray::Save`, `NDArray::Load`, `LegacyLoad`).
"""

from garrison.core.errors import LimitExceeded, Malformed
from garrison.core.facts import Anomaly, Artifact
from garrison.sources.source import Context, Extracted, Source

_V1, _V2, _V3 = 0xF993FAC8, 0xF993FAC9, 0xF993FACA
_WIDTHS = {0: 4, 1: 8, 2: 2, 3: 1, 4: 4, 5: 1, 6: 8, 7: 1, 8: 2, 9: 2, 10: 4, 11: 8, 12: 2}
"""Bytes an element, by `mshadow::TypeFlag`."""
_AUXILIARY = {0: 0, 1: 1, 2: 2}
"""Index arrays of the dense, row-sparse and compressed kinds."""
_DIMENSIONS = 32
_ARRAYS = 1_000_000
_NAME = 1 << 16


def extract(source: Source, context: Context) -> Extracted:
    """All arrays by their headers, and all names; bytes beyond are stated."""
    reading = _Reading(source)
    details: dict[str, str | int | float | bool] = {}
    yield Artifact(format="mxnet-parameters", details=details)
    reading.position = 16
    count = reading.number(8)
    if count > _ARRAYS:
        raise LimitExceeded("members", f"{count} arrays in one file")
    parameters = 0
    for index in range(count):
        if index % 256 == 0:
            context.check_time()
        parameters += reading.array()
    details |= {"tensors": count, "parameters": parameters}
    names = reading.number(8)
    if names not in (0, count):
        raise Malformed(f"{names} names for {count} arrays")
    for _ in range(names):
        length = reading.number(8)
        if length > _NAME:
            raise Malformed(f"a name of {length} bytes at {reading.position:#x}")
        reading.skip(length)
    left = source.reader.size - reading.position
    if left:
        yield Anomaly(what="trailing-data", detail=f"{left} bytes follow the names", place=f"@ {reading.position:#x}")


class _Reading:
    """A place in the file."""

    def __init__(self, source: Source) -> None:
        self._reader = source.reader
        self._size = source.reader.size
        self.position = 0

    def number(self, width: int) -> int:
        value = int.from_bytes(self._reader.exactly(self.position, width), "little")
        self.position += width
        return value

    def skip(self, length: int) -> None:
        if length > self._size - self.position:
            raise Malformed(f"{length} bytes at {self.position:#x} are more than the file has")
        self.position += length

    def array(self) -> int:
        """Pass over one array; the number of its elements."""
        magic = self.number(4)
        auxiliary = 0
        if magic in (_V2, _V3):
            kind = self.number(4)
            if kind not in _AUXILIARY:
                raise Malformed(f"an array of storage kind {kind} at {self.position:#x}")
            auxiliary = _AUXILIARY[kind]
        stored = self._shape(8, self.number(4)) if auxiliary else None
        if magic in (_V1, _V2, _V3):
            dimensions = self.number(4)
            if magic == _V3 and dimensions == 0xFFFFFFFF:
                return 0
            shape = self._shape(8, dimensions)
        else:
            dimensions = magic
            shape = self._shape(4, dimensions)
        if not dimensions and magic != _V3:
            return 0
        self.skip(8)
        width = self._width()
        indices = []
        for _ in range(auxiliary):
            index_width = self._width()
            indices.append(self._shape(8, self.number(4)) * index_width)
        self.skip((shape if stored is None else stored) * width)
        for length in indices:
            self.skip(length)
        return shape

    def _width(self) -> int:
        flag = self.number(4)
        if flag not in _WIDTHS:
            raise Malformed(f"an array of data type {flag} at {self.position:#x}")
        return _WIDTHS[flag]

    def _shape(self, width: int, dimensions: int) -> int:
        """The number of elements of a shape."""
        if dimensions > _DIMENSIONS:
            raise Malformed(f"an array of {dimensions} dimensions at {self.position:#x}")
        elements = 1
        for _ in range(dimensions):
            elements *= self.number(width)
        if elements >= 1 << 63:
            raise Malformed(f"an array of {elements} elements at {self.position:#x}")
        return elements
