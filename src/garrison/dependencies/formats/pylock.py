"""Standard lock files of Python: `pylock.toml`, `pylock.NAME.toml`.

Source: PEP 751 and PyPA's "pylock.toml specification", lock version 1.0.
"""

import re
from typing import Any

from garrison.dependencies.file_names import of_python
from garrison.dependencies.formats.uv_lock import PYPI
from garrison.dependencies.locked import DEFAULT, Locked, Origin, index, public, version_control
from garrison.dependencies.plain_documents import header_lines, table, tables, text_of, toml, word
from garrison.sources.source import Context, Extracted, Source

_NAME = re.compile(r"pylock(?:\.[^.]+)?\.toml")
_VERSION = re.compile(rb"^lock-version\s*=", re.MULTILINE)
_PACKAGES = re.compile(rb"^(?:\[\[packages\]\]|packages\s*=)", re.MULTILINE)
_CONDITION = re.compile(r"[\"']([\w.\-]+)[\"'] in (?:extras|dependency_groups)")
_HEAD = 1 << 16


def sniff(source: Source) -> bool:
    """Its name, which the standard reserves, or the version of the lock and its maker before the packages."""
    if _NAME.fullmatch(source.name.lower()):
        return True
    head = source.reader.pread(0, _HEAD)
    return bool(_VERSION.search(head) and _PACKAGES.search(head) and b"created-by" in head)


def extract(source: Source, context: Context) -> Extracted:
    """The packages that it fixes."""
    text = text_of(source, context)
    document = toml(text, context, "packages", "lock-version")
    found = Locked("pylock")
    found.details["lock version"] = word(document.get("lock-version"))
    found.details["created by"] = word(document.get("created-by"))[:100]
    packages = tables(document.get("packages"))
    lines = header_lines(text, "[[packages]]")
    for number, package in enumerate(packages):
        if number % 256 == 0:
            context.check_time()
        _add(found, package, f"line {lines[number]}" if len(lines) == len(packages) else f"packages {number + 1}")
    yield from found.facts()


def _add(found: Locked, package: dict[str, Any], place: str) -> None:
    name, version = word(package.get("name")), word(package.get("version"))
    archive = table(package.get("archive"))
    files = [*tables([package.get("sdist")]), *tables(package.get("wheels"))]
    origin = _origin(package, archive)
    for file in files:
        address = word(file.get("url")) or word(file.get("path")) or word(file.get("name"))
        if not of_python(address, name, version):
            found.misnamed(f"{name} {version} ({public(address).rpartition('/')[2]})")
        elif origin is DEFAULT and package.get("index") and "://" in address and not PYPI.match(address):
            found.foreign(f"{name} {version} ({public(address)})")
    marker = word(package.get("marker"))
    found.add(
        "pypi",
        name,
        version,
        place=place,
        origin=origin,
        hashes=[digest for file in [archive, *files] for digest in _hashes(file)],
        group=_group(marker),
        marker=marker,
        dependencies=[word(one.get("name")) for one in tables(package.get("dependencies"))],
    )


def _hashes(file: dict[str, Any]) -> list[str]:
    return [f"{kind}:{digest}" for kind, digest in table(file.get("hashes")).items() if isinstance(digest, str)]


def _group(marker: str) -> str:
    """What brings it in, where its marker is only of extras and groups; the default group is no other one."""
    names = dict.fromkeys(_CONDITION.findall(marker))
    return "" if not names or "default" in names else ", ".join(names)


def _origin(package: dict[str, Any], archive: dict[str, Any]) -> Origin:
    vcs = table(package.get("vcs"))
    if vcs:
        place = word(vcs.get("url")) or word(vcs.get("path"))
        return version_control(word(vcs.get("type")) or "git", place, word(vcs.get("commit-id")))
    if directory := table(package.get("directory")):
        return Origin("path", word(directory.get("path")) or ".")
    if archive:
        url = word(archive.get("url"))
        return Origin("url", url) if url else Origin("path", word(archive.get("path")))
    return index(word(package.get("index")))
