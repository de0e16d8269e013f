"""TensorRT engines: machine code for one kind of GPU behind a short header, sometimes behind JSON that exporters put
before it.

The inner structure is not published. What can be told is stated: the header, and the metadata before it.

Source: the headers that TensorRT 5 to 10 write, and `ultralytics/engine/exporter.py` for the metadata.
"""

from garrison.core.facts import Artifact
from garrison.sources.source import Context, Extracted, Source

_MARKS = (b"ptrt", b"ftrt")
_HEADER = 24
_METADATA = 1 << 20


def _start(source: Source) -> int:
    """Where the engine's own header is, after metadata with its length before it; -1 where there is none."""
    head = source.reader.pread(0, _HEADER)
    if head[:4] in _MARKS and len(head) == _HEADER:
        return 0
    length = int.from_bytes(head[:4], "little")
    if head[4:5] == b"{" and length <= _METADATA and source.reader.pread(4 + length, 4) in _MARKS:
        return 4 + length
    return -1


def sniff(source: Source) -> bool:
    """The mark at the start, or after JSON whose length stands before it."""
    return _start(source) >= 0


def extract(source: Source, context: Context) -> Extracted:
    """The header's version, and the metadata as a document of its own."""
    start = _start(source)
    header = source.reader.exactly(start, _HEADER)
    version = int.from_bytes(header[4:8], "little")
    yield Artifact(format="tensorrt", details={"mark": header[:4].decode(), "serialisation_version": version})
    if start:
        yield source.member("metadata.json", source.reader.window(4, start - 4), loaded_as=("json",))
