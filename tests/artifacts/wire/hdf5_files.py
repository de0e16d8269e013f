"""HDF5 files as h5py 3.16 writes them, in every layout that the reader has to follow.

Each model holds the same configuration of `CONFIGURATION_SIZE` bytes, so that a test can put its own in its place.
"""

import base64
import json
import zlib
from pathlib import Path

CONFIGURATION_SIZE = 900
_MARK = b'{"class_name": "Sequential"'
_PACKED: dict[str, str] = json.loads((Path(__file__).parent / "hdf5_samples.json").read_text())
FILES = {name: zlib.decompress(base64.b85decode(packed)) for name, packed in _PACKED.items()}
MODELS = [name for name, data in FILES.items() if _MARK in data]


def with_configuration(name: str, document: object) -> bytes:
    """The sample with another configuration."""
    data = FILES[name]
    at = data.index(_MARK)
    text = (document if isinstance(document, str) else json.dumps(document)).ljust(CONFIGURATION_SIZE).encode()
    assert len(text) == CONFIGURATION_SIZE
    return data[:at] + text + data[at + CONFIGURATION_SIZE :]
