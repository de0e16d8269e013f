"""uv's lock files.

Source: astral-sh/uv `crates/uv-resolver/src/lock`; versions 1 of the format with its revisions.
"""

import re
from collections.abc import Iterator
from typing import Any

from garrison.dependencies.file_names import of_python
from garrison.dependencies.locked import DEFAULT, Locked, Origin, index, public, version_control
from garrison.dependencies.plain_documents import header_lines, table, tables, text_of, toml, word, words
from garrison.sources.source import Context, Extracted, Source

_VERSION = re.compile(rb"^version\s*=\s*\d+\s*$", re.MULTILINE)
_MARK = re.compile(rb"^requires-python\s*=.*^\[\[package\]\]", re.MULTILINE | re.DOTALL)
_HEAD = 1 << 16
PYPI = re.compile(r"https://(?:[\w.\-]+\.)?(?:pypi\.org|pythonhosted\.org|pypi\.python\.org)/")
_GIT = re.compile(r"([^?#]*)(?:\?[^#]*)?(?:#(\w*))?")

Node = tuple[str, str]


def sniff(source: Source) -> bool:
    """Its name, by which uv goes, or a script's lock with the version of the format before the first package."""
    name = source.name.lower()
    if name == "uv.lock":
        return True
    head = source.reader.pread(0, _HEAD)
    return name.endswith((".lock", ".toml")) and bool(_VERSION.search(head) and _MARK.search(head))


def extract(source: Source, context: Context) -> Extracted:
    """The packages that it fixes."""
    text = text_of(source, context)
    document = toml(text, context, "package", "version")
    packages = tables(document.get("package"))
    found = Locked("uv-lock")
    found.details["lock version"] = str(document.get("version", ""))[:20]
    found.details["python"] = word(document.get("requires-python"))
    graph = _Graph(packages, table(document.get("manifest")))
    lines = header_lines(text, "[[package]]")
    for number, package in enumerate(packages):
        if number % 256 == 0:
            context.check_time()
        place = f"line {lines[number]}" if len(lines) == len(packages) else f"package {number + 1}"
        _add(found, package, graph, place)
    yield from found.facts()


def _add(found: Locked, package: dict[str, Any], graph: "_Graph", place: str) -> None:
    name, version = word(package.get("name")), word(package.get("version"))
    origin, registry = _origin(table(package.get("source")))
    files = [*tables([package.get("sdist")]), *tables(package.get("wheels"))]
    if registry:
        _check(found, name, version, files, default=origin is DEFAULT)
    found.add(
        "pypi",
        name,
        version,
        place=place,
        origin=origin,
        hashes=[digest for file in files if (digest := word(file.get("hash")))],
        group=graph.group((name, version)),
        marker=" or ".join(words(package.get("resolution-markers"))),
        dependencies=dict.fromkeys(word(one.get("name")) for one in tables(package.get("dependencies"))),
        direct=(name in graph.asked) if graph.roots and (name, version) not in graph.roots else None,
    )


def _check(found: Locked, name: str, version: str, files: list[dict[str, Any]], *, default: bool) -> None:
    """uv takes the addresses as they stand, whatever the index would say."""
    for file in files:
        address = word(file.get("url")) or word(file.get("path"))
        if address and not of_python(address, name, version):
            found.misnamed(f"{name} {version} ({public(address).rpartition('/')[2]})")
        elif default and (url := word(file.get("url"))) and not PYPI.match(url):
            found.foreign(f"{name} {version} ({public(url)})")


def _origin(source: dict[str, Any]) -> tuple[Origin, bool]:
    """Where it is from, and whether that is a registry."""
    if git := word(source.get("git")):
        plain = _GIT.match(git)
        return version_control("git", plain[1] if plain else git, (plain[2] if plain else "") or ""), False
    if url := word(source.get("url")):
        return Origin("url", url), False
    for kind in ("path", "editable", "directory", "virtual"):
        if path := word(source.get(kind)):
            return Origin("path", path), False
    registry = word(source.get("registry"))
    if registry and "://" not in registry:
        return Origin("path", registry), True
    return index(registry), True


class _Graph:
    """Who asks for whom, to tell what only an extra or a group brings in."""

    def __init__(self, packages: list[dict[str, Any]], manifest: dict[str, Any]) -> None:
        self._by_node: dict[Node, dict[str, Any]] = {}
        self._by_name: dict[str, list[Node]] = {}
        members = frozenset(words(manifest.get("members")))
        self.roots: set[Node] = set()
        for package in packages:
            node = (word(package.get("name")), word(package.get("version")))
            self._by_node[node] = package
            self._by_name.setdefault(node[0], []).append(node)
            source = table(package.get("source"))
            if node[0] in members or word(source.get("editable")) == "." or word(source.get("virtual")) == ".":
                self.roots.add(node)
        self._groups: dict[Node, str] = {}
        self.asked: set[str] = set()
        self._colour("", self._asked_by_roots("dependencies"))
        for kind in ("optional-dependencies", "dev-dependencies"):
            for group in dict.fromkeys(g for root in self.roots for g in table(self._by_node[root].get(kind))):
                self._colour(group, self._asked_by_roots(kind, group))

    def group(self, node: Node) -> str:
        """What brings it in; empty where the project needs it, or where no project is in the file."""
        return self._groups.get(node, "")

    def _asked_by_roots(self, kind: str, group: str = "") -> list[Node]:
        asked: list[Node] = []
        for root in sorted(self.roots):
            part = self._by_node[root].get(kind)
            wanted = table(part).get(group) if group else part
            self.asked.update(word(one.get("name")) for one in tables(wanted))
            asked += self._nodes(wanted)
        return asked

    def _nodes(self, dependencies: object) -> Iterator[Node]:
        for one in tables(dependencies):
            name, version = word(one.get("name")), word(one.get("version"))
            if version:
                yield name, version
            else:
                yield from self._by_name.get(name, ())
            for extra in words(one.get("extra")):
                for node in self._by_name.get(name, ()):
                    optional = table(self._by_node[node].get("optional-dependencies"))
                    yield from ((word(o.get("name")), word(o.get("version"))) for o in tables(optional.get(extra)))

    def _colour(self, group: str, pending: list[Node]) -> None:
        while pending:
            name, version = pending.pop()
            for node in [(name, version)] if version else self._by_name.get(name, []):
                if node in self._by_node and node not in self._groups:
                    self._groups[node] = group
                    pending += self._nodes(self._by_node[node].get("dependencies"))
