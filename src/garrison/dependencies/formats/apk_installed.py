"""What apk has installed: `lib/apk/db/installed` of Alpine and its kin.

Source: Alpine wiki, "Apk spec"; apk-tools `src/database.c`.
"""

from garrison.core.errors import Malformed
from garrison.core.facts import Artifact
from garrison.dependencies.databases import apk
from garrison.sources.source import Context, Extracted, Source

_NAME = "installed"


def sniff(source: Source) -> bool:
    """Its name, which apk goes by, and a checksum first, then a name and a version."""
    if source.name != _NAME:
        return False
    head = source.reader.pread(0, 4096)
    return head.startswith((b"C:Q", b"P:")) and b"P:" in head and b"\nV:" in head


def extract(source: Source, context: Context) -> Extracted:
    """One package for each record."""
    text = source.reader.whole(context.limits.buffer).decode("utf-8", "replace")
    packages = broken = 0
    for line, fields in apk.records(text):
        context.check_time()
        package = apk.package(fields, f"line {line}")
        if package is None:
            broken += 1
            continue
        packages += 1
        yield package
    yield Artifact(format="apk-installed", details={"packages": packages})
    if broken:
        raise Malformed(f"{broken} of {packages + broken} records have no name or no version")
