"""What Python packages say of themselves: `METADATA` of wheels and installed packages, `PKG-INFO` of sdists and eggs.

Source: the packaging user guide, "Core metadata specifications" 1.0 to 2.5; CPython `Lib/email/feedparser.py`, by which
installers read it.
"""

import re
from collections.abc import Iterable, Iterator

from garrison.core.errors import LimitExceeded, Malformed, NotUnderstood
from garrison.core.facts import Artifact, Package
from garrison.dependencies.package_places import folders, python_package
from garrison.dependencies.purl import InvalidPackageURL, normalise_name, purl
from garrison.sources.source import Context, Extracted, Source

_STEP = 1 << 16
_LONGEST = 1 << 22
"""Of the headers; the text below them is not read."""
_END = re.compile(rb"(?:\r\n|\r(?!\n)|\n){2}")
_NAMED = re.compile(rb"^(?:metadata-version|name)[ \t]*:", re.IGNORECASE | re.MULTILINE)
_FIRST = 1 << 13
_HEADER = re.compile(r"([!-9;-~]+)[ \t]*:[ \t]*(.*)")
_REQUIRED = re.compile(r"\s*([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)")
_OPTIONAL = re.compile(r";.*\bextra\s*==")
_LICENCE = 200


def sniff(source: Source) -> bool:
    """The name is one that tools read, whatever the order of the headers; elsewhere the first one has to tell."""
    above = folders(source.subject)
    if source.name not in ("METADATA", "PKG-INFO") and not (source.name.endswith(".egg-info") and above):
        return False
    head = source.reader.pread(0, _FIRST)
    installed = bool(above) and above[-1].lower().endswith((".dist-info", ".egg-info", "egg-info"))
    return head.startswith(b"Metadata-Version:") or (installed and bool(_NAMED.search(head.replace(b"\r", b"\n"))))


def extract(source: Source, context: Context) -> Extracted:
    """The package with its licences and the names of what it needs."""
    headers = list(_headers(_head(source)))
    name, version = _first(headers, "name"), _first(headers, "version")
    details: dict[str, str | int | float | bool] = {"name": name, "version": version}
    yield Artifact(format="python-metadata", details={key: value for key, value in details.items() if value})
    if not name or not version:
        raise NotUnderstood(f"names no {'version of the package' if name else 'package'}")
    state, carrier = python_package(source.subject)
    try:
        address = purl("pypi", name, version)
    except InvalidPackageURL as error:
        raise Malformed(str(error)) from None
    yield Package(
        purl=address,
        ecosystem="pypi",
        name=normalise_name("pypi", name),
        version=version,
        state=state,
        group=f"carried by {carrier}" if carrier else "",
        licences=tuple(licences(headers)),
        dependencies=tuple(_required(value for key, value in headers if key == "requires-dist")),
    )


def _head(source: Source) -> str:
    data = b""
    while not (found := _END.search(data)):
        step = source.reader.pread(len(data), _STEP)
        if not step:
            return data.decode("utf-8", "replace")
        data += step
        if len(data) > _LONGEST:
            raise LimitExceeded("buffer", f"headers of more than {_LONGEST} bytes")
    return data[: found.start()].decode("utf-8", "replace")


def _headers(text: str) -> Iterator[tuple[str, str]]:
    """Names in lower case with their values; lines that go on are joined by line breaks."""
    name, value = "", ""
    for line in re.split(r"\r\n|\r|\n", text.lstrip("\ufeff")):
        if line[:1] in (" ", "\t"):
            value += "\n" + line.strip()
        elif found := _HEADER.match(line):
            if name:
                yield name, value
            name, value = found[1].lower(), found[2].strip()
    if name:
        yield name, value


def _first(headers: Iterable[tuple[str, str]], name: str) -> str:
    return next((value.strip().partition("\n")[0].strip()[:_LICENCE] for key, value in headers if key == name), "")


def licences(headers: Iterable[tuple[str, str]]) -> Iterator[str]:
    """As stated: the expression, which replaces all else; or the field and the classifiers."""
    headers = list(headers)
    expression = _first(headers, "license-expression")
    if expression:
        yield expression
        return
    said = next((value for key, value in headers if key == "license"), "")
    # Some put the whole text of their licence there: its first line is its title.
    title = next((line.strip() for line in said.split("\n") if line.strip()), "")
    if title and title != "UNKNOWN":
        yield title[:_LICENCE]
    for key, value in headers:
        if key == "classifier" and value.startswith("License ::"):
            yield value[:_LICENCE]


def _required(values: Iterable[str]) -> dict[str, None]:
    """Names of what is always needed, or needed under a condition; what only extras ask for is left out."""
    names: dict[str, None] = {}
    for value in values:
        found = _REQUIRED.match(value)
        if found and not _OPTIONAL.search(value):
            names[normalise_name("pypi", found[1])] = None
    return names
