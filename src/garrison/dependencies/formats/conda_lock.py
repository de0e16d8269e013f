"""conda-lock's unified lock files: `conda-lock.yml`.

Source: conda/conda-lock `lockfile/v1/models.py`.
"""

import re
from typing import Any

from garrison.core.errors import NotUnderstood
from garrison.dependencies import conda_addresses
from garrison.dependencies.file_names import of_conda, of_python
from garrison.dependencies.locked import DEFAULT, Locked, Origin, public
from garrison.dependencies.plain_documents import duplicates, mapping, table, tables, text_of, word, yaml
from garrison.sources.source import Context, Extracted, Source

_PACKAGE = re.compile(rb"^[\"']?package[\"']?\s*:", re.MULTILINE)
_START = re.compile(rb"(?:\xef\xbb\xbf)?(?:[ \t]*(?:#[^\n]*)?\r?\n)*(?:---|[\"']?[\w-]+[\"']?\s*:)")
"""A document of keys, and no program that quotes one."""
_METADATA = re.compile(rb"^[\"']?metadata[\"']?\s*:", re.MULTILINE)
_HEAD = 1 << 16
_PYPI = "https://files.pythonhosted.org/"


def sniff(source: Source) -> bool:
    """Its usual name, or what it says of itself; and packages that are managed by conda or pip."""
    if source.name.lower().endswith(("conda-lock.yml", "conda-lock.yaml")):
        return True
    head = source.reader.pread(0, _HEAD)
    return (
        bool(_START.match(head) and _METADATA.search(head) and _PACKAGE.search(head))
        and b"content_hash" in head
        and b"manager:" in head
    )


def extract(source: Source, context: Context) -> Extracted:
    """The packages that it fixes, those of several platforms as one."""
    repeated: list[str] = []
    document = yaml(text_of(source, context), context, repeated)
    document = mapping(document, "package", "metadata")
    yield from duplicates(repeated)
    version = word(document.get("version"))
    if version not in ("", "1"):
        raise NotUnderstood(f"version {version[:20]} of conda-lock's files")
    found = Locked("conda-lock")
    platforms = table(document.get("metadata")).get("platforms")
    if isinstance(platforms, list):
        found.details["platforms"] = ", ".join(map(str, platforms[:20]))[:400]
    merged: dict[tuple[str, str, str, str], list[tuple[str, dict[str, Any]]]] = {}
    for number, package in enumerate(tables(document.get("package")), 1):
        if number % 1024 == 0:
            context.check_time()
        key = (
            word(package.get("manager")) or "conda",
            word(package.get("name")),
            word(package.get("version")),
            word(package.get("category")) or "main",
        )
        merged.setdefault(key, []).append((f"package {number}", package))
    for (manager, name, version, category), packages in merged.items():
        _add(found, manager, name, version, "" if category == "main" else category, packages)
    yield from found.facts()


def _add(
    found: Locked, manager: str, name: str, version: str, group: str, packages: list[tuple[str, dict[str, Any]]]
) -> None:
    hashes: list[str] = []
    origin = DEFAULT
    files: list[conda_addresses.CondaFile] = []
    conda = manager == "conda"
    for _, package in packages:
        url = word(package.get("url"))
        own = [f"{kind}:{one}" for kind, one in table(package.get("hash")).items() if isinstance(one, str)]
        hashes += own
        if not (of_conda if conda else of_python)(url, name, version):
            found.misnamed(f"{name} {version} ({public(url).rpartition('/')[2]})")
        elif conda and (file := conda_addresses.read(url)):
            files.append(file)
            origin = file.origin if origin is DEFAULT else origin
        elif url and not url.startswith(_PYPI):
            origin = Origin("url", url)
    shared = {key: value for key, value in files[0].qualifiers.items() if _all_have(files, key, value)} if files else {}
    found.add(
        "conda" if conda else "pypi",
        name,
        version,
        place=packages[0][0],
        origin=origin,
        hashes=hashes,
        group=group,
        dependencies=list(table(packages[0][1].get("dependencies"))),
        qualifiers=shared,
    )


def _all_have(files: list[conda_addresses.CondaFile], key: str, value: str) -> bool:
    return all(file.qualifiers.get(key) == value for file in files)
