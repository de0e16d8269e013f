"""Which distribution a root file system is: `/etc/os-release`, or `/usr/lib/os-release`, which it links to.

Source: os-release(5).
"""

import re

from garrison.core.facts import Artifact, OperatingSystem
from garrison.sources.source import Context, Extracted, Source

_LARGEST = 1 << 16
_LINE = re.compile(r"\s*([A-Z][A-Z0-9_]*)=(.*?)\s*")
_IDENTIFIER = re.compile(rb"^ID=", re.MULTILINE)


def sniff(source: Source) -> bool:
    """Its name, and an identifier."""
    return source.name == "os-release" and bool(_IDENTIFIER.search(source.reader.pread(0, _LARGEST)))


def values(text: str) -> dict[str, str]:
    """The assignments, without quotes and the backslashes of a shell."""
    found = {}
    for line in text.splitlines():
        if match := _LINE.fullmatch(line):
            value = match[2]
            if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
                value = value[1:-1]
            found[match[1]] = re.sub(r"\\([\"$`\\'])", r"\1", value)
    return found


def operating_system(text: str) -> OperatingSystem:
    """The distribution; one that has no version (a rolling one, or Debian before its release) has its codename."""
    found = values(text)
    version = found.get("VERSION_ID") or found.get("VERSION_CODENAME") or ""
    return OperatingSystem(id=found.get("ID", "").lower(), version=version, name=found.get("PRETTY_NAME", ""))


def extract(source: Source, context: Context) -> Extracted:
    """The distribution."""
    system = operating_system(source.reader.whole(_LARGEST).decode("utf-8", "replace"))
    yield Artifact(format="os-release", details={"id": system.id, "version": system.version})
    yield system
