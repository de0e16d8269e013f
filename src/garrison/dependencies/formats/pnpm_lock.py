"""pnpm's lock files, versions 5 to 9.

Source: pnpm/spec `lockfile`; pnpm/pnpm `lockfile/types` and `packages/dependency-path`.
"""

import re
from typing import Any

from garrison.core.errors import NotUnderstood
from garrison.dependencies import npm_addresses
from garrison.dependencies.file_names import of_npm
from garrison.dependencies.locked import DEFAULT, Locked, Origin, public
from garrison.dependencies.plain_documents import duplicates, mapping, table, text_of, word, yaml
from garrison.sources.source import Context, Extracted, Source

_VERSION = re.compile(rb"^lockfileVersion\s*:", re.MULTILINE)
_HEAD = 1 << 12
_PEERS = re.compile(r"\(.*$")
_PROD = ("dependencies", "optionalDependencies")
_VERSIONS = re.compile(r"'?[56789](?:\.\d+)?(?:-[\w.\-]+)?'?")


def sniff(source: Source) -> bool:
    """Its name, by which pnpm goes, or the version of the lock near its beginning."""
    if source.name.lower() == "pnpm-lock.yaml":
        return True
    return source.name.lower().endswith((".yaml", ".yml")) and bool(_VERSION.search(source.reader.pread(0, _HEAD)))


def extract(source: Source, context: Context) -> Extracted:
    """The packages that it fixes."""
    repeated: list[str] = []
    document = mapping(yaml(text_of(source, context), context, repeated), "lockfileVersion")
    yield from duplicates(repeated)
    version = word(document.get("lockfileVersion"))
    if not _VERSIONS.fullmatch(version):
        raise NotUnderstood(f"version {version[:20]!r} of pnpm's locks")
    found = Locked("pnpm-lock")
    found.details["lock version"] = version
    importers = table(document.get("importers")) or {".": document}
    asked = _asked(importers, (*_PROD, "devDependencies"))
    snapshots = table(document.get("snapshots"))
    needed = _reached(_asked(importers, _PROD), snapshots, context) if snapshots else None
    for number, (key, value) in enumerate(table(document.get("packages")).items()):
        if number % 1024 == 0:
            context.check_time()
        name, number_, plain = _identity(key, table(value), old=version.startswith("5"))
        dev = table(value).get("dev") == "true" if needed is None else plain not in needed
        _add(found, key, table(value), name, number_, group="dev" if dev else "", direct=(name, number_) in asked)
    yield from found.facts()


def _add(found: Locked, key: str, entry: dict[str, Any], name: str, version: str, *, group: str, direct: bool) -> None:
    resolution = table(entry.get("resolution"))
    tarball = word(resolution.get("tarball"))
    origin = _origin(resolution, tarball)
    if tarball and not of_npm(tarball, name, version):
        found.misnamed(f"{name} {version} ({public(tarball)})")
    found.add(
        "npm",
        name,
        version,
        place=f"packages.{key[:200]}",
        origin=origin,
        hashes=npm_addresses.integrity(word(resolution.get("integrity"))),
        group=group or ("optional" if entry.get("optional") == "true" else ""),
        dependencies=[*table(entry.get("dependencies")), *table(entry.get("optionalDependencies"))],
        direct=direct,
    )


def _origin(resolution: dict[str, Any], tarball: str) -> Origin:
    if repository := word(resolution.get("repo")):
        plain = repository if repository.startswith(("git+", "git@")) else f"git+{repository}"
        return Origin("vcs", f"{plain}#{word(resolution.get('commit'))}")
    if directory := word(resolution.get("directory")):
        return Origin("path", directory)
    return npm_addresses.origin(tarball) if tarball else DEFAULT


def _identity(key: str, entry: dict[str, Any], *, old: bool) -> tuple[str, str, str]:
    """Name, version, and the key without peers. What is of no registry names itself in the entry."""
    plain = _PEERS.sub("", key).removeprefix("/")
    if old:
        path, _, version = plain.rpartition("/")
        version = version.partition("_")[0]
    else:
        at = plain.find("@", 1)
        path, version = (plain[:at], plain[at + 1 :]) if at > 0 else (plain, "")
    if old and not key.startswith("/") and "name" not in entry:
        # Of another registry: its host comes first.
        path = path.partition("/")[2]
    if ":" in version or "/" in version:
        version = ""
    return word(entry.get("name")) or path, word(entry.get("version")) or version, plain


def _asked(importers: dict[str, Any], kinds: tuple[str, ...]) -> set[tuple[str, str]]:
    """Names and versions that the projects ask for, with the real name behind an alias."""
    asked: set[tuple[str, str]] = set()
    for project in importers.values():
        for kind in kinds:
            for name, value in table(table(project).get(kind)).items():
                asked.add(_resolved(name, word(value) or word(table(value).get("version"))))
    return asked


def _resolved(name: str, version: str) -> tuple[str, str]:
    """`1.0.0(peer@2)`, or `real@1.0.0` and `/real/1.0.0` where the name is an alias."""
    plain = _PEERS.sub("", version).removeprefix("/").partition("_")[0]
    at = plain.find("@", 1)
    if at > 0 and "://" not in plain:
        return plain[:at], plain[at + 1 :]
    slash = plain.rfind("/")
    if slash > 0 and ":" not in plain:
        return plain[:slash], plain[slash + 1 :]
    return name, plain


def _reached(start: set[tuple[str, str]], snapshots: dict[str, Any], context: Context) -> set[str]:
    """Keys without peers of all that is needed outside development."""
    by_plain: dict[str, list[dict[str, Any]]] = {}
    for key, value in snapshots.items():
        by_plain.setdefault(_PEERS.sub("", key), []).append(table(value))
    pending = [f"{name}@{version}" for name, version in start]
    seen: set[str] = set()
    while pending:
        key = pending.pop()
        if key in seen:
            continue
        seen.add(key)
        if len(seen) % 4096 == 0:
            context.check_time()
        for entry in by_plain.get(key, ()):
            for kind in _PROD:
                for name, version in table(entry.get(kind)).items():
                    pending.append("@".join(_resolved(name, word(version))))
    return seen
