"""Containers that are recognised and not read: what they hold was not examined, and the report says so."""

from garrison.core.errors import NotUnderstood
from garrison.core.facts import Artifact
from garrison.core.registry import formats
from garrison.sources.source import Context, Extracted, Source


def sniff_disk_image(source: Source) -> bool:
    """The `koly` block at the end of an Apple disk image."""
    from garrison.sources.reader import DecompressingReader

    reader = source.reader
    if isinstance(reader, DecompressingReader) or reader.size < 512:
        return False
    return reader.pread(reader.size - 512, 8) == b"koly\0\0\0\x04"


def extract_rar(source: Source, context: Context) -> Extracted:
    """RAR's compression is not public."""
    return _unread("rar")


def extract_disk_image(source: Source, context: Context) -> Extracted:
    """An Apple disk image."""
    return _unread("dmg")


def extract_cabinet(source: Source, context: Context) -> Extracted:
    """A Windows cabinet."""
    return _unread("cab")


def _unread(name: str) -> Extracted:
    yield Artifact(format=name)
    raise NotUnderstood(f"the contents of {formats()[name].title} are not read")
