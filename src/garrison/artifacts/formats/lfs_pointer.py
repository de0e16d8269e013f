"""Pointers of Git LFS: a text of three lines that stands where the file itself should be.

Source: git-lfs `docs/spec.md`, "The Pointer".
"""

import re

from garrison.core.facts import Anomaly, Artifact
from garrison.sources.source import Context, Extracted, Source

_LONGEST = 1024
_FIELDS = re.compile(rb"^(oid|size) ([^\r\n]{1,100})\r?$", re.MULTILINE)


def extract(source: Source, context: Context) -> Extracted:
    """What it points at; the model itself is not here."""
    fields = {
        match[1].decode(): match[2].decode("ascii", "replace")
        for match in _FIELDS.finditer(source.reader.pread(0, _LONGEST))
    }
    size = int(fields["size"]) if fields.get("size", "").isdecimal() else -1
    yield Artifact(format="lfs-pointer", details={"oid": fields.get("oid", "")[:80], "size": size})
    detail = f"a pointer to {size} bytes ({fields.get('oid', 'no digest')[:24]}…): the file itself was not fetched"
    yield Anomaly(what="lfs-pointer", detail=detail)
    if source.reader.size > _LONGEST:
        yield Anomaly(what="trailing-data", detail="bytes follow the pointer, which Git LFS would not take for one")
