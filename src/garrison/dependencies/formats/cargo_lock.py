"""Cargo's lock files, versions 1 to 4.

Source: rust-lang/cargo `src/cargo/core/resolver/encode.rs`; the Cargo book, "Cargo.toml vs Cargo.lock".
"""

import re
from typing import Any

from garrison.dependencies.locked import DEFAULT, Locked, Origin
from garrison.dependencies.plain_documents import header_lines, table, tables, text_of, toml, word, words
from garrison.sources.source import Context, Extracted, Source

_REGISTRIES = frozenset({"https://github.com/rust-lang/crates.io-index", "https://index.crates.io"})


def sniff(source: Source) -> bool:
    """Its name, by which Cargo goes."""
    return source.name.lower() == "cargo.lock"


def extract(source: Source, context: Context) -> Extracted:
    """The packages that it fixes. Those without a source are the workspace's own."""
    text = text_of(source, context)
    document = toml(text, context, "package", "root", "version", "metadata")
    packages = tables(document.get("package"))
    checksums = table(document.get("metadata"))
    found = Locked("cargo-lock")
    found.details["lock version"] = str(document.get("version", "1 or 2"))[:20]
    own = [*tables([document.get("root")]), *(one for one in packages if not word(one.get("source")))]
    asked = {name for package in own for name in _names(package)}
    found.details["workspace packages"] = len(own)
    lines = header_lines(text, "[[package]]")
    for number, package in enumerate(packages):
        if number % 256 == 0:
            context.check_time()
        where = word(package.get("source"))
        if where or not word(package.get("name")):
            place = f"line {lines[number]}" if len(lines) == len(packages) else f"package {number + 1}"
            _add(found, package, where, checksums, asked, place)
    yield from found.facts()


def _add(
    found: Locked, package: dict[str, Any], where: str, checksums: dict[str, Any], asked: set[str], place: str
) -> None:
    name, version = word(package.get("name")), word(package.get("version"))
    digest = word(package.get("checksum")) or word(checksums.get(f"checksum {name} {version} ({where})"))
    found.add(
        "cargo",
        name,
        version,
        place=place,
        origin=_origin(where),
        hashes=[f"sha256:{digest}"] if re.fullmatch(r"[0-9a-f]{64}", digest) else [],
        dependencies=_names(package),
        direct=name in asked if asked else None,
    )


def _names(package: dict[str, Any]) -> list[str]:
    """`name`, `name version` or `name version (source)`."""
    return [one.partition(" ")[0] for one in words(package.get("dependencies"))]


def _origin(where: str) -> Origin:
    kind, _, address = where.partition("+")
    if kind in ("registry", "sparse") and address.rstrip("/") in _REGISTRIES:
        return DEFAULT
    if kind == "git":
        url, _, commit = address.partition("#")
        return Origin("vcs", f"git+{url.partition('?')[0]}@{commit}" if commit else f"git+{url}")
    if kind in ("registry", "sparse", "local-registry", "directory"):
        return Origin("index" if "://" in address else "path", address)
    return Origin("path", address or where)
