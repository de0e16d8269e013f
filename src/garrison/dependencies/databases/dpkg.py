"""Packages in the paragraphs that dpkg keeps of what is installed.

Source: deb-control(5); dpkg's `lib/dpkg/parse.c` and its list of states in `lib/dpkg/pkg.c`; Debian Policy 5.6.1.
"""

import re
from collections.abc import Iterator

from garrison.core.facts import Package
from garrison.dependencies.purl import purl

_FIELDS = frozenset(("package", "status", "version", "architecture", "source", "depends", "pre-depends"))
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9+.\-_]*").fullmatch
_SOURCE = re.compile(r"(\S+)(?:\s+\(([^()\s]+)\))?").fullmatch
_DEPENDENCY = re.compile(r"\s*([^\s(\[<:|,]+)").match
_WITHOUT_FILES = frozenset(("not-installed", "config-files"))


def paragraphs(text: str) -> Iterator[tuple[int, dict[str, str]]]:
    """Each paragraph with the number of its first line: the fields that tell about versions, names in lower case."""
    fields: dict[str, str] = {}
    first = current = 0
    name = ""
    for current, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            if fields:
                yield first, fields
                fields = {}
            name = ""
        elif line[0] in " \t":
            if name in fields:
                fields[name] += line
        else:
            name, colon, value = line.partition(":")
            name = name.lower()
            if not fields:
                first = current
            if colon and name in _FIELDS:
                fields[name] = value.strip()
    if fields:
        yield first, fields


def package(fields: dict[str, str], place: str, distribution: str = "") -> Package | None:
    """The package of a paragraph; `None` where it names none or no version. `distribution` is `debian:12` or so."""
    name, version = fields.get("package", ""), fields.get("version", "")
    if not _NAME(name) or not version or " " in version:
        return None
    source = _SOURCE(fields.get("source", ""))
    vendor = distribution.partition(":")[0]
    qualifiers = {"arch": fields.get("architecture", ""), "distro": distribution.replace(":", "-")}
    return Package(
        purl=purl("deb", name, version, vendor, qualifiers),
        ecosystem="deb",
        name=name,
        version=version,
        state="installed",
        distribution=distribution,
        source_name=source[1] if source and source[1] != name else "",
        source_version=(source[2] or "") if source and source[2] != version else "",
        dependencies=tuple(_dependencies(fields)),
        place=place,
    )


def _dependencies(fields: dict[str, str]) -> dict[str, None]:
    """Names of what it asks for, of alternatives the first."""
    text = ",".join(fields.get(field, "") for field in ("pre-depends", "depends"))
    return {found[1]: None for part in text.split(",") if (found := _DEPENDENCY(part))}


def has_files(fields: dict[str, str]) -> bool:
    """Whether its files are on the disk, wholly or in part; a paragraph without a status is of a distroless image."""
    words = fields.get("status", "install ok installed").split()
    return len(words) == 3 and words[2] not in _WITHOUT_FILES
