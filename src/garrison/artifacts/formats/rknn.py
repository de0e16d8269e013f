"""Rockchip RKNN models: a header, a compiled network, and JSON that describes it.

Source: the files that rknn-toolkit and rknn-toolkit2 write; `source/rknn.js` of Netron documents their layout.
"""

import json

from garrison.core.facts import Artifact
from garrison.sources.source import Context, Extracted, Source

_HEADER = 64
_DESCRIPTION = 8 << 20
_TOLD = ("name", "version", "ori_network_platform", "network_platform", "target_platform", "compiler", "generator")


def extract(source: Source, context: Context) -> Extracted:
    """What the description at the end says, where the header leads to one."""
    reader = source.reader
    details: dict[str, str | int | float | bool] = {}
    header = reader.pread(0, _HEADER)
    version = int.from_bytes(header[8:16], "little")
    if version < 1 << 16:
        details["container_version"] = version
    length = int.from_bytes(header[16:24], "little")
    place = _HEADER + length
    size = int.from_bytes(reader.pread(place, 8), "little") if place + 8 <= reader.size else 0
    if 0 < size <= min(_DESCRIPTION, reader.size - place - 8):
        try:
            description = json.loads(reader.pread(place + 8, size).rstrip(b"\0"))
        except (ValueError, RecursionError):
            description = None
        for key in _TOLD:
            if isinstance(description, dict) and isinstance(description.get(key), str | list):
                details[key] = str(description[key])[:200]
    yield Artifact(format="rknn", details=details)
