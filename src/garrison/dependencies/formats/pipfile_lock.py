"""Pipenv's lock files.

Source: pypa/pipenv `utils/locking.py`, pipfile specification 6.
"""

import re
from typing import Any

from garrison.core.facts import Reference
from garrison.dependencies.locked import Locked, Origin, index, public, version_control
from garrison.dependencies.plain_documents import duplicates, json, mapping, table, tables, text_of, word, words
from garrison.sources.source import Context, Extracted, Source

_META = re.compile(rb'"_meta"\s*:\s*\{')
_HEAD = 1 << 16


def sniff(source: Source) -> bool:
    """Its name, by which Pipenv goes, or an object that holds what Pipenv says of the Pipfile."""
    if source.name.lower() == "pipfile.lock":
        return True
    head = source.reader.pread(0, _HEAD)
    return head.startswith(b"{") and bool(_META.search(head) and b'"pipfile-spec"' in head)


def extract(source: Source, context: Context) -> Extracted:
    """The packages that it fixes, each in its category."""
    repeated: list[str] = []
    document = mapping(json(text_of(source, context), repeated), "default", "develop", "_meta")
    yield from duplicates(repeated)
    meta = table(document.get("_meta"))
    indexes = {word(one.get("name")): word(one.get("url")) for one in tables(meta.get("sources"))}
    for number, one in enumerate(tables(meta.get("sources"))):
        if one.get("verify_ssl") is False and (url := word(one.get("url"))):
            place = f"_meta.sources[{number}]"
            yield Reference(target=public(url), role="package-index", detail="--trusted-host", place=place)
    found = Locked("pipfile-lock")
    found.details["specification"] = str(meta.get("pipfile-spec", ""))[:20]
    for category, packages in document.items():
        context.check_time()
        if category != "_meta":
            _add(found, category, table(packages), indexes)
    yield from found.facts()


def _add(found: Locked, category: str, packages: dict[str, Any], indexes: dict[str, str]) -> None:
    for name, entry in packages.items():
        package = table(entry)
        version = word(package.get("version")).strip().lstrip("=").strip()
        found.add(
            "pypi",
            name,
            "" if version == "*" else version,
            place=f"{category}.{name}",
            origin=_origin(package, indexes),
            hashes=words(package.get("hashes")),
            group="" if category == "default" else category,
            marker=word(package.get("markers")),
        )


def _origin(package: dict[str, Any], indexes: dict[str, str]) -> Origin:
    for kind in ("git", "hg", "svn", "bzr"):
        if url := word(package.get(kind)):
            return version_control(kind, url, word(package.get("ref")))
    if file := word(package.get("file")):
        return Origin("url" if "://" in file else "path", file)
    if path := word(package.get("path")):
        return Origin("path", path)
    name = word(package.get("index"))
    return index(indexes.get(name, name if "://" in name else ""))
