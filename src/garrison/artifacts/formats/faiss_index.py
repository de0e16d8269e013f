"""FAISS indexes: what the header says, and the vectors of flat ones.

Source: `faiss/impl/index_read.cpp` (`read_index_header`, `read_index`).
"""

import struct

from garrison.core.errors import Malformed
from garrison.core.facts import Anomaly, Artifact
from garrison.sources.source import Context, Extracted, Source

_HEADER = struct.Struct("<4siqqq?i")
_FLAT = (b"IxF2", b"IxFI", b"IxFl")
_METRICS = {0: "inner product", 1: "L2"}


def sniff(source: Source) -> bool:
    """Two words that every writer sets to 2^20 stand behind a code of letters and digits."""
    code = source.reader.pread(0, 4)
    return code[:1] == b"I" and code.isalnum() and len(source.reader.pread(0, _HEADER.size)) == _HEADER.size


def extract(source: Source, context: Context) -> Extracted:
    """The kind of index, and sizes that do not fit. Raises `Malformed`."""
    reader = source.reader
    code, dimension, vectors, _, _, trained, metric = _HEADER.unpack(reader.exactly(0, _HEADER.size))
    details: dict[str, str | int | float | bool] = {
        "framework": "faiss",
        "kind": code.decode("ascii"),
        "dimension": dimension,
        "vectors": vectors,
        "trained": trained,
        "metric": _METRICS.get(metric, f"metric {metric}"),
    }
    yield Artifact(format="faiss", details=details)
    if dimension < 0 or vectors < 0:
        raise Malformed(f"an index of {vectors} vectors of {dimension} numbers")
    if code not in _FLAT:
        return
    position = _HEADER.size + (4 if metric > 1 else 0)
    count = struct.unpack("<Q", reader.exactly(position, 8))[0]
    if count != vectors * dimension:
        raise Malformed(f"{vectors} vectors of {dimension} numbers are said to be {count} numbers")
    end = position + 8 + 4 * count
    if count and not reader.pread(end - 1, 1):
        raise Malformed(f"{count} numbers are more than the file holds")
    if reader.pread(end, 1):
        yield Anomaly(what="trailing-data", detail="bytes follow the index", place=f"@ {end:#x}")
        yield source.member("(trailing data)", reader.window(end, 1 << 60))
