"""What dpkg has installed: `/var/lib/dpkg/status`, and a file for each package in `status.d` of distroless images.

Source: dpkg(1), "FILES"; GoogleContainerTools/distroless, "Debian packages".
"""

import re

from garrison.core.errors import Malformed
from garrison.core.facts import Artifact
from garrison.dependencies.databases import dpkg
from garrison.sources.source import Context, Extracted, Source

_FIRST = re.compile(rb"Package: [^\n]+\n(?:[^\n]+\n)*?Status: \w+ \w+ [\w-]+\n").match
_NAME = "status"


def sniff(source: Source) -> bool:
    """Its name, which dpkg goes by, and a first paragraph that tells a package's status; or it lies in `status.d`."""
    many = source.name == _NAME
    if not many and "/status.d/" not in f"/{source.subject}":
        return False
    head = source.reader.pread(0, 4096)
    return bool(_FIRST(head)) if many else head.startswith(b"Package: ")


def extract(source: Source, context: Context) -> Extracted:
    """One package for each paragraph whose files are there."""
    text = source.reader.whole(context.limits.buffer).decode("utf-8", "replace")
    packages = without = broken = 0
    for line, fields in dpkg.paragraphs(text):
        context.check_time()
        if not dpkg.has_files(fields):
            without += 1
            continue
        package = dpkg.package(fields, f"line {line}")
        if package is None:
            broken += 1
            continue
        packages += 1
        yield package
    yield Artifact(format="dpkg-status", details={"packages": packages, "removed": without})
    if broken:
        raise Malformed(f"{broken} of {packages + broken} paragraphs have no name or no version")
