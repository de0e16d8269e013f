"""Container images in a tar archive: `docker save`, `podman save`, OCI layouts.

The archive's own index is read first, then each layer as a stream, the top one first.

Sources: OCI image specification 1.1; Docker's image specification 1.2.
"""

import re

from garrison.core.facts import Anomaly
from garrison.dependencies.images.places import LAYOUT, SAVED
from garrison.sources.containers.tar import Entries, Entry
from garrison.sources.containers.tar import sniff as is_tar_archive
from garrison.sources.reader import Reader
from garrison.sources.source import Context, Extracted, Source

_TYPICAL = re.compile(
    r"(?:\./)?(?:blobs/|oci-layout$|index\.json$|manifest\.json$|repositories$|(?:sha256:)?[0-9a-f]{64}(?:\.|/|$))"
)
_LOOKED_AT = 8
"""Entries whose names tell whether it is worth to go on looking."""
_ENTRIES = 4096
_LINKS = 4
_STEP = 1 << 20


def sniff(source: Source) -> bool:
    """A tar archive with names that images have, and one of the documents that list them."""
    if not is_tar_archive(source):
        return False
    from garrison.core.limits import Limits

    typical = False
    context = Context(Limits(seconds=5.0), 0)
    for number, entry in enumerate(Entries(source.reader, context, _ENTRIES)):
        name = entry.name.removeprefix("./")
        typical = typical or _TYPICAL.match(entry.name) is not None
        if number >= _LOOKED_AT and not typical:
            return False
        if name == SAVED:
            return b'"Layers"' in source.reader.pread(entry.data, min(entry.size, 1 << 20))
        if name == LAYOUT:
            return b'"manifests"' in source.reader.pread(entry.data, min(entry.size, 1 << 20))
    return False


def extract(source: Source, context: Context) -> Extracted:
    """The images in the archive, and what a container of each would have."""
    from garrison.dependencies.images.archive import Archive
    from garrison.dependencies.images.members import normal

    entries: dict[str, Entry] = {}
    for entry in Entries(source.reader, context, context.limits.members, engine=True):
        path = normal(entry.name)
        if path is None:
            detail = f"{entry.name[:200]!r} leaves the folder it is unpacked to"
            yield Anomaly(what="path-traversal", detail=detail, place=f"member {entry.name[:200]}")
        elif entry.kind != b"5" and not entry.name.endswith("/"):
            if path in entries and not _same(entries[path], entry, source.reader, context):
                detail = f"{path!r} is there twice: Docker takes the later one, and Podman the earlier"
                yield Anomaly(what="duplicate-member", detail=detail, place=f"member {path}")
                yield source.member(path, source.reader.window(entries[path].data, entries[path].size))
            entries[path] = entry
    yield from Archive(_Files(entries, source.reader), source, context).extract()


def _same(one: Entry, other: Entry, reader: Reader, context: Context) -> bool:
    """Whether two entries are the same file."""
    if (one.size, one.kind, one.link) != (other.size, other.kind, other.link):
        return False
    for start in range(0, one.size, _STEP):
        context.check_time()
        length = min(_STEP, one.size - start)
        if reader.pread(one.data + start, length) != reader.pread(other.data + start, length):
            return False
    return True


class _Files(dict[str, Reader]):
    """The files of the archive; links between them lead to one."""

    def __init__(self, entries: dict[str, Entry], reader: Reader) -> None:
        from garrison.dependencies.images.members import normal

        super().__init__()
        for path, entry in entries.items():
            found: Entry | None = entry
            for _ in range(_LINKS):
                if found is None or found.kind not in (b"1", b"2"):
                    break
                start = "" if found.kind == b"1" else f"{(normal(found.name) or '').rpartition('/')[0]}/"
                found = entries.get(normal(start + found.link) or "")
            if found is not None and found.kind in (b"0", b"\0", b"7", b"S"):
                self[path] = reader.window(found.data, found.size)
