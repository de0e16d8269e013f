"""The files of one image: what is handed on to be examined, and what is only looked at in passing."""

import posixpath
from collections.abc import Iterator

import msgspec

from garrison.core.errors import ExaminationError
from garrison.core.facts import Anomaly, AnyFact, Examination, FileMode
from garrison.dependencies.images.covers import Covers
from garrison.dependencies.images.layer import Layer
from garrison.sources.containers.tar import Entries, Entry, holes_anomaly
from garrison.sources.reader import BytesReader, Reader
from garrison.sources.scope import hidden_scope, scope_of
from garrison.sources.source import Context, Source

_HELD = 32 << 20
"""Bytes of a packed file up to which it is held in memory while it is examined."""
_SEARCHED = 1 << 20
"""Bytes of a hidden file up to which it is searched for credentials."""
_LONGEST_NAME = 4096
_MODES = 500
_LISTS = 64 << 20
_LINKS = 100_000
_LINKS_FOLLOWED = 10
_PROBE = 4096
_SPECIAL = {b"3": "a character device", b"4": "a block device", b"6": "a named pipe"}
_LAST_COUNTS = ("var/lib/dpkg/status", "lib/apk/db/installed", "usr/lib/apk/db/installed")
RELEASE = "etc/os-release"
_RELEASES = (RELEASE, "usr/lib/os-release")


class Counts(msgspec.Struct):
    files: int = 0
    hidden: int = 0
    bytes: int = 0
    links: int = 0
    folders: int = 0


class Tree:
    """The file system that the layers of an image make up, from the top down."""

    def __init__(self, source: Source, subject: str, total: int, context: Context) -> None:
        self._source = source
        self._subject = subject
        self._context = context
        self._covers = Covers(total)
        self._links: dict[str, str] = {}
        self._releases: dict[str, bytes] = {}
        self._lists: dict[str, bytes] = {}
        self._lists_size = 0
        self._modes: list[FileMode] = []
        self._left = context.limits.entries
        self._shadowed: dict[str, Entry] = {}
        self._revived: list[tuple[str, Entry]] = []
        self._number = 0
        self._wanted: dict[str, tuple[str, int]] = {}
        """What hard links lead to in the layers below, with the names that they give it, and their layers."""
        self.counts = Counts()

    def read(self, layer: Layer, number: int) -> Iterator[Source | AnyFact]:
        """All of a layer. Raises `ExaminationError` where it breaks off; what came before counts all the same."""
        place = f"layer {number}"
        self._number = number
        self._covers.enter(number)
        held: dict[str, Source] = {}
        broken: ExaminationError | None = None
        try:
            for entry in Entries(layer.reader, self._context, self._left, engine=True):
                self._left -= 1
                yield from self._entry(entry, layer, place, held)
        except ExaminationError as error:
            broken = error
        self._covers.leave()
        for alias, entry in sorted(self._revived, key=lambda one: one[1].data):
            yield from self._file(alias, entry, layer, held)
        self._revived.clear()
        self._shadowed.clear()
        yield from held.values()
        if broken is not None:
            raise broken

    def _entry(self, entry: Entry, layer: Layer, place: str, held: dict[str, Source]) -> Iterator[Source | AnyFact]:
        path = normal(entry.name)
        if path is None or len(path) > _LONGEST_NAME:
            detail = f"{entry.name[:200]!r} leads out of the image"
            yield Anomaly(what="layer-escapes", detail=detail, place=place)
            return
        folder, _, name = path.rpartition("/")
        if name in (".wh.", ".wh..", ".wh..."):
            detail = f"{entry.name[:200]!r} deletes the folder that it is in, or the one above it"
            yield Anomaly(what="layer-escapes", detail=detail, place=place)
        elif self._covers.whiteout(folder, name):
            return
        elif entry.kind == b"5" or (entry.name.endswith("/") and entry.kind not in (b"1", b"2")):
            self.counts.folders += 1
            if not self._covers.hiding(path):
                self._note_mode(path, entry, directory=True)
            self._covers.folder(path)
        else:
            hidden = self._covers.hiding(path)
            if not self._covers.file(path, link=entry.kind == b"2"):
                detail = f"{path!r} is there twice: the later one replaces the earlier"
                yield Anomaly(what="duplicate-member-same", detail=detail, place=place)
            if entry.holes:
                yield holes_anomaly(path, place)
            if entry.kind in (b"1", b"2"):
                yield from self._link(path, entry, hidden, place)
            elif entry.kind in _SPECIAL:
                if folder != "dev" and not folder.startswith("dev/"):
                    detail = f"{path!r} is {_SPECIAL[entry.kind]}"
                    yield Anomaly(what="special-file", detail=detail, place=place)
            elif alias := self._linked_from_above(path):
                yield from self._file(alias if hidden else path, entry, layer, held)
            elif hidden:
                if len(self._shadowed) < _LINKS:
                    self._shadowed[path] = entry
                yield from self._hidden(path, entry, layer, place, hidden)
            else:
                yield from self._file(path, entry, layer, held)

    def _link(self, path: str, entry: Entry, hidden: str, place: str) -> Iterator[AnyFact]:
        self.counts.links += 1
        hard = entry.kind == b"1"
        target = normal(entry.link) if hard else entry.link
        if target is None:
            detail = f"{path!r} is a hard link to {entry.link[:200]!r}, out of the image"
            yield Anomaly(what="layer-escapes", detail=detail, place=place)
        else:
            if not hidden and len(self._links) < _LINKS:
                self._links.setdefault(path, f"/{target}" if hard else target)
            if hard:
                self._hard_link(path, target, hidden)

    def _hard_link(self, path: str, target: str, hidden: str) -> None:
        """Another name of a file: it keeps the file in use where the layers above hide the first name."""
        alias = self._linked_from_above(path) or ("" if hidden else path)
        entry = self._shadowed.get(target)
        if entry is not None:
            self._shadowed[path] = entry
        if not alias:
            return
        if entry is not None:
            self._revived.append((alias, entry))
        elif (target == path or not self._covers.holds(target) or self._covers.hiding(target)) and len(
            self._wanted
        ) < _LINKS:
            self._wanted.setdefault(target, (alias, self._number))

    def _linked_from_above(self, path: str) -> str:
        """The other name that a layer above gives a file; empty where none does."""
        if path not in self._wanted or self._wanted[path][1] <= self._number:
            return ""
        return self._wanted.pop(path)[0]

    def _hidden(self, path: str, entry: Entry, layer: Layer, place: str, why: str) -> Iterator[Source]:
        """Nothing uses the file any more, but whoever has the image can read it."""
        self.counts.hidden += 1
        scope = scope_of(path)
        if scope.search and 0 < entry.size <= _SEARCHED:
            data = layer.reader.pread(entry.data, entry.size)
            yield Source(
                f"{self._subject}!/{place}!/{path}",
                BytesReader(data),
                depth=self._source.depth + 1,
                scope=hidden_scope(f"{why}, but it is still in {place}"),
            )

    def _file(self, path: str, entry: Entry, layer: Layer, held: dict[str, Source]) -> Iterator[Source]:
        self.counts.files += 1
        self.counts.bytes += entry.size
        self._note_mode(path, entry)
        if not entry.size:
            return
        if path in _RELEASES and entry.size <= _PROBE * 16:
            self._releases[path] = layer.reader.pread(entry.data, entry.size)
            return
        if path.startswith("var/lib/dpkg/info/") and path.endswith(".list"):
            self._note_list(path, entry, layer)
            return
        source = Source(
            f"{self._subject}!/{path}",
            self._contents(entry, layer),
            depth=self._source.depth + 1,
            scope=scope_of(path),
        )
        if path in _LAST_COUNTS and isinstance(source.reader, BytesReader):
            held[path] = source
        else:
            yield source

    def _contents(self, entry: Entry, layer: Layer) -> Reader:
        if not layer.packed or entry.size > _HELD:
            return layer.reader.window(entry.data, entry.size)
        return BytesReader(layer.reader.pread(entry.data, entry.size))

    def _note_mode(self, path: str, entry: Entry, directory: bool = False) -> None:
        if matters(entry.mode, directory) and len(self._modes) < _MODES:
            self._modes.append(
                FileMode(path=f"/{path}", mode=entry.mode, owner=entry.owner, group=entry.group, directory=directory)
            )

    def _note_list(self, path: str, entry: Entry, layer: Layer) -> None:
        """The files of a Debian package, as dpkg lists them."""
        if self._lists_size + entry.size <= _LISTS:
            self._lists_size += entry.size
            name = posixpath.basename(path).removesuffix(".list").partition(":")[0]
            self._lists.setdefault(name, b"\n" + layer.reader.pread(entry.data, entry.size) + b"\n")

    def finish(self) -> Iterator[Source | AnyFact | Examination]:
        """What only shows when all layers are read."""
        for target, (alias, _) in list(self._wanted.items())[:_MODES]:
            reason = f"it is a hard link to {target[:200]!r}, which no layer holds under this name"
            yield Examination(subject=f"{self._subject}!/{alias}", state="failed", reason=reason)
        for fact in self._modes:
            yield msgspec.structs.replace(fact, package=owner(fact.path, self._lists))
        path = resolve(RELEASE, self._links)
        data = self._releases.get(path or "") or self._releases.get("usr/lib/os-release")
        if data is not None:
            yield Source(
                f"{self._subject}!/{RELEASE}",
                BytesReader(data),
                depth=self._source.depth + 1,
                scope=scope_of(RELEASE),
            )


def matters(mode: int, directory: bool) -> bool:
    """Whether permissions let others do more than their own rights: setuid, setgid, or writable by everybody."""
    everybody = bool(mode & 0o002)
    if directory:
        return everybody and not mode & 0o1000
    return everybody or bool(mode & 0o6000 and mode & 0o111)


def owner(path: str, lists: dict[str, bytes]) -> str:
    """The Debian package that a file is of. Lists have `/bin/su` where `/bin` has become a link to `/usr/bin`."""
    for spelled in (path, path.removeprefix("/usr")):
        line = b"\n" + spelled.encode("utf-8", "replace") + b"\n"
        for package, listed in lists.items():
            if line in listed:
                return package
    return ""


def normal(name: str) -> str | None:
    """A member's name relative to the root; `None` where it leads above it."""
    parts: list[str] = []
    for part in name.split("/"):
        if part == "..":
            if not parts:
                return None
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts)


def resolve(path: str, links: dict[str, str]) -> str | None:
    """Where a path leads through the links of an image, never outside of it; `None` where they go in circles."""
    for _ in range(_LINKS_FOLLOWED):
        parts = path.split("/")
        for number in range(1, len(parts) + 1):
            front = "/".join(parts[:number])
            if front in links:
                target = links[front]
                joined = target if target.startswith("/") else f"{front.rpartition('/')[0]}/{target}"
                path = "/".join([*_clamped(joined), *parts[number:]])
                break
        else:
            return path
    return None


def _clamped(path: str) -> list[str]:
    """The parts of a path, where `..` at the root stays at the root, as for a process inside the image."""
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            parts[-1:] = []
        elif part not in ("", "."):
            parts.append(part)
    return parts
