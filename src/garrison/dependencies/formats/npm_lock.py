"""npm's lock files: `package-lock.json` and `npm-shrinkwrap.json`, versions 1 to 3.

Source: npm documentation, "package-lock.json"; npm/cli `@npmcli/arborist` `lib/shrinkwrap.js`.
"""

import re
from collections.abc import Iterator
from typing import Any

from garrison.dependencies import npm_addresses
from garrison.dependencies.file_names import of_npm
from garrison.dependencies.locked import Locked, public
from garrison.dependencies.plain_documents import duplicates, json, mapping, table, text_of, word
from garrison.sources.source import Context, Extracted, Source

_NAMES = ("package-lock.json", "npm-shrinkwrap.json", ".package-lock.json")
_VERSION = re.compile(rb'"lockfileVersion"\s*:\s*\d')
_HEAD = 1 << 14
_ASKING = ("dependencies", "devDependencies", "optionalDependencies", "peerDependencies")
_DEPTH = 200


def sniff(source: Source) -> bool:
    """Its name, by which npm goes, or an object that begins with the version of the lock."""
    if source.name.lower() in _NAMES:
        return True
    head = source.reader.pread(0, _HEAD)
    return head.startswith(b"{") and bool(_VERSION.search(head)) and b"node_modules" in head


def extract(source: Source, context: Context) -> Extracted:
    """The packages that it fixes. Where it has both layouts, newer npm reads `packages`, older `dependencies`."""
    repeated: list[str] = []
    document = mapping(json(text_of(source, context), repeated), "packages", "dependencies", "lockfileVersion")
    yield from duplicates(repeated)
    found = Locked("npm-lock")
    found.details["lock version"] = str(document.get("lockfileVersion", ""))[:20]
    packages, dependencies = table(document.get("packages")), table(document.get("dependencies"))
    if packages:
        _packages(found, packages, context)
        _compare(found, packages, dependencies)
    else:
        for place, name, entry in _nested(dependencies, context):
            _dependency(found, place, name, entry)
    yield from found.facts()


def _packages(found: Locked, packages: dict[str, Any], context: Context) -> None:
    projects = {path: table(entry) for path, entry in packages.items() if "node_modules/" not in f"{path}/"}
    asked = {
        place
        for path, project in projects.items()
        for kind in _ASKING
        for name in table(project.get(kind))
        for place in (f"{path}/node_modules/{name}".lstrip("/"), f"node_modules/{name}")
    }
    aliases = {
        (name, npm_addresses.alias(specifier) or specifier[4:])
        for entry in packages.values()
        for kind in _ASKING
        for name, specifier in table(table(entry).get(kind)).items()
        if isinstance(specifier, str) and specifier.startswith("npm:")
    }
    scripts = 0
    for number, (path, value) in enumerate(packages.items()):
        if number % 1024 == 0:
            context.check_time()
        entry = table(value)
        if path in projects or entry.get("link") is True:
            continue
        folder = path.rpartition("node_modules/")[2]
        name = word(entry.get("name")) or folder
        scripts += entry.get("hasInstallScript") is True
        resolved, version = word(entry.get("resolved")), word(entry.get("version"))
        origin = npm_addresses.origin(resolved)
        renamed = name != folder and (folder, name) not in aliases and origin.kind in ("", "index")
        if renamed or not of_npm(resolved, name, version):
            found.misnamed(f"{folder} {version} ({public(resolved or name)})")
        found.add(
            "npm",
            name,
            version,
            place=f"packages.{path}",
            origin=origin,
            hashes=npm_addresses.integrity(word(entry.get("integrity"))),
            hashable=entry.get("inBundle") is not True,
            group=_group(entry),
            licences=_licences(entry.get("license")),
            dependencies=[*table(entry.get("dependencies")), *table(entry.get("optionalDependencies"))],
            direct=path in asked,
        )
    if scripts:
        found.details["with install scripts"] = scripts


def _group(entry: dict[str, Any]) -> str:
    for kind in ("dev", "optional"):
        if entry.get(kind) is True:
            return kind
    return "optional" if entry.get("devOptional") is True else ""


def _licences(value: object) -> tuple[str, ...]:
    """A text, or in old manifests an object, or a list of either."""
    values = value if isinstance(value, list) else [value]
    return tuple(text for one in values[:20] if (text := word(one) or word(table(one).get("type"))))


def _nested(dependencies: dict[str, Any], context: Context) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """All entries of the older layout, with where they stand; deeper nesting than npm makes is cut."""
    pending = [("dependencies", dependencies, 0)]
    while pending:
        place, level, depth = pending.pop()
        context.check_time()
        for name, value in level.items():
            entry = table(value)
            yield f"{place}.{name}", name, entry
            inner = table(entry.get("dependencies"))
            if inner and depth < _DEPTH:
                pending.append((f"{place}.{name}.dependencies"[-400:], inner, depth + 1))


def _dependency(found: Locked, place: str, name: str, entry: dict[str, Any]) -> None:
    version, resolved = word(entry.get("version")), word(entry.get("resolved"))
    real = npm_addresses.alias(version)
    if real:
        name, version = real, version.rpartition("@")[2]
    elif "/" in version or ":" in version:
        # The version of what is no registry's is where it is from.
        resolved, version = resolved or version, ""
    origin = npm_addresses.origin(resolved)
    if origin.kind not in ("", "index", "url"):
        version = ""
    if version and not of_npm(resolved, name, version):
        found.misnamed(f"{name} {version} ({public(resolved)})")
    found.add(
        "npm",
        name,
        version,
        place=place,
        origin=origin,
        hashes=npm_addresses.integrity(word(entry.get("integrity"))),
        hashable=entry.get("bundled") is not True,
        group=_group(entry),
        dependencies=table(entry.get("requires")),
    )


def _compare(found: Locked, packages: dict[str, Any], dependencies: dict[str, Any]) -> None:
    """What older npm would fetch and newer npm would not."""
    known = {word(table(entry).get("resolved")) for entry in packages.values()}
    pending = [dependencies]
    for _ in range(_DEPTH):
        level, pending = pending, []
        for one in level:
            for name, value in one.items():
                entry = table(value)
                resolved = word(entry.get("resolved"))
                if resolved and resolved not in known and npm_addresses.origin(resolved).kind in ("", "index", "url"):
                    found.misnamed(f"{name} ({public(resolved)}, for older npm alone)")
                if inner := table(entry.get("dependencies")):
                    pending.append(inner)
        if not pending:
            return
