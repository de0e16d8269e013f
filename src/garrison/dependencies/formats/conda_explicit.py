"""Explicit lists of conda packages: an address a line after `@EXPLICIT`.

Source: conda "Managing environments", "Building identical conda environments"; `conda list --explicit`.
"""

import re

from garrison.dependencies import conda_addresses
from garrison.dependencies.locked import DEFAULT, Locked, Origin
from garrison.dependencies.plain_documents import text_of
from garrison.sources.source import Context, Extracted, Source

_MARK = re.compile(rb"^@EXPLICIT\s*$", re.MULTILINE)
_BEFORE = re.compile(rb"\s*(?:#.*|@EXPLICIT\s*)?")
_HEAD = 1 << 14
_PLATFORM = re.compile(r"#\s*platform:\s*(\S+)")
_PIP = re.compile(r"#\s*pip\s+([\w.\-]+)\s+@\s+(\S+)")


def sniff(source: Source) -> bool:
    """The mark, with nothing but remarks before it."""
    head = source.reader.pread(0, _HEAD)
    mark = _MARK.search(head)
    return bool(mark and all(_BEFORE.fullmatch(line) for line in head[: mark.start()].splitlines()))


def extract(source: Source, context: Context) -> Extracted:
    """The packages that it fixes; pip's are in remarks that conda-lock reads."""
    found = Locked("conda-explicit")
    after = False
    for number, line in enumerate(text_of(source, context).splitlines(), 1):
        if number % 4096 == 0:
            context.check_time()
        line = line.strip()
        if platform := _PLATFORM.match(line):
            found.details["platform"] = platform[1][:40]
        if pip := _PIP.match(line):
            _add_pip(found, pip[1], pip[2], f"line {number}")
        elif line == "@EXPLICIT":
            after = True
        elif after and line and not line.startswith("#"):
            _add(found, line, f"line {number}")
    yield from found.facts()


def _add(found: Locked, line: str, place: str) -> None:
    file = conda_addresses.read(line)
    if file is None:
        found.incomplete(f"{place} ({line[:60]})")
        return
    found.add(
        "conda",
        file.name,
        file.version,
        place=place,
        origin=file.origin,
        hashes=file.hashes,
        qualifiers=file.qualifiers,
    )


def _add_pip(found: Locked, name: str, address: str, place: str) -> None:
    url, _, digest = address.partition("#")
    version = re.match(r"[^/]*?-(\d[^\-/]*?)(?:-|\.tar\.|\.zip|$)", url.rpartition("/")[2])
    hashes = (digest.replace("sha256=", "sha256:"),) if digest else ()
    found.add("pypi", name, version[1] if version else "", place=place, origin=_pip_origin(url), hashes=hashes)


def _pip_origin(url: str) -> Origin:
    return DEFAULT if url.startswith("https://files.pythonhosted.org/") else Origin("url", url)
