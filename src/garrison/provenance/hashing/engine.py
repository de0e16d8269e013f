"""Makes the manifests of a model, as many as are asked for in one reading."""

import os
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING

import msgspec

from garrison.core.errors import UsageError
from garrison.provenance.hashing.folders import Folders, Place, opened
from garrison.provenance.hashing.manifest import SHA256_BYTES, Entry, Manifest, Serialization
from garrison.provenance.hashing.reading import Digests, Progress, Wanted, read
from garrison.provenance.hashing.sinks import kind_of
from garrison.provenance.hashing.walking import MOST_FILES, Walk, walked
from garrison.provenance.trust import Refused

if TYPE_CHECKING:
    from garrison.provenance.hashing.cache import Cache, Remembered

_Scope = tuple[frozenset[str], bool]
"""What decides which files a serialization finds."""


def digest(
    path: str | os.PathLike[str],
    serializations: Sequence[Serialization],
    *,
    jobs: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    cache: "Cache | None" = None,
) -> list[Manifest]:
    """A manifest for each serialization, of the file or the directory at `path`; each file is read once for all.

    `jobs` threads hash, by default one for each core that this process may use. `progress` is told the bytes done and
    the bytes in all, now and then, in any thread but never in two at once. With a `cache`, files that it knows and that
    look unchanged are not read.

    Raises `UsageError` where there is nothing at `path`, and `Refused`, which names the file, where the rules of this
    package do not let it be.
    """
    name = (os.path.basename(os.path.abspath(path)) or "/").encode(errors="backslashreplace").decode()
    for serialization in serializations:
        if serialization.method == "shards" and (serialization.shard_size or 0) < 1:
            raise UsageError(f"shards of {serialization.shard_size} bytes")
    with opened(os.fspath(path)) as (folders, leaf):
        walks = _walks(folders, leaf, serializations)
        serializations = [_settled(serialization, walks[_scope(serialization)]) for serialization in serializations]
        wanted = _wanted(walks, serializations)
        remembered = cache.of(os.fspath(path)) if cache is not None else None
        found = _remembered(remembered, folders, wanted) if remembered is not None else {}
        rest = {place: file for place, file in wanted.items() if place not in found} if found else wanted
        total = sum(known[2] for known, _ in rest.values())
        read_now = read(folders, rest, jobs=jobs or _cores(), progress=Progress(progress, total))
        if remembered is not None:
            _remember(remembered, folders, rest, read_now)
        found.update(read_now)
        if folders.changed():
            _check_same(walks, folders, leaf, serializations)
    return [
        _manifest(name, serialization, walks[_scope(serialization)], wanted, found) for serialization in serializations
    ]


def _settled(serialization: Serialization, walk: Walk) -> Serialization:
    if serialization.algorithm != "automatic":
        return serialization
    size = sum(known[2] for _, known in walk.files.values())
    return msgspec.structs.replace(serialization, algorithm="sha256" if size < SHA256_BYTES else "blake3")


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _remembered(known: "Remembered", folders: Folders, wanted: Wanted) -> dict[Place, Digests]:
    found = {place: known.digests(folders.name(place), *file) for place, file in wanted.items()}
    return {place: digests for place, digests in found.items() if digests is not None}


def _remember(known: "Remembered", folders: Folders, wanted: Wanted, found: dict[Place, Digests]) -> None:
    for place, digests in found.items():
        known.add(folders.name(place), *wanted[place], digests)
    known.write()


def _scope(serialization: Serialization) -> _Scope:
    return frozenset(serialization.ignored), serialization.follow_symlinks


def _walks(folders: Folders, leaf: str | None, serializations: Sequence[Serialization]) -> dict[_Scope, Walk]:
    return {
        scope: walked(folders, leaf, scope[0], follow_symlinks=scope[1])
        for scope in dict.fromkeys(map(_scope, serializations))
    }


def _wanted(walks: dict[_Scope, Walk], serializations: Sequence[Serialization]) -> Wanted:
    """Every file of any walk, with the kinds of all serializations that it belongs to."""
    wanted: Wanted = {}
    shards = 0
    for serialization in serializations:
        kind = kind_of(serialization)
        alone = (kind,)
        for place, known in walks[_scope(serialization)].files.values():
            other = wanted.get(place)
            if other is None:
                wanted[place] = (known, alone)
            elif other[0] != known:
                raise Refused(f"{place[1]!r} was changed while it was read")
            elif kind not in other[1]:
                wanted[place] = (known, (*other[1], kind))
            if kind[1] is not None:
                shards += known[2] // kind[1]
                if shards > MOST_FILES:
                    raise Refused(f"more than {MOST_FILES} shards of {kind[1]} bytes")
    return wanted


def _check_same(
    before: dict[_Scope, Walk], folders: Folders, leaf: str | None, serializations: Sequence[Serialization]
) -> None:
    """A directory was changed, perhaps by what does not belong to the model. Raises `Refused` if it does."""
    try:
        now = _walks(folders, leaf, serializations)
    except Refused as error:
        raise Refused(f"the model was changed while it was read: {error}") from None
    for scope, walk in before.items():
        if walk.files != now[scope].files:
            names = {name for name, _ in walk.files.items() ^ now[scope].files.items()}
            raise Refused(f"{min(names)!r} was changed while it was read")


def _manifest(
    name: str, serialization: Serialization, walk: Walk, wanted: Wanted, found: dict[Place, Digests]
) -> Manifest:
    kind = kind_of(serialization)
    algorithm, shard_size = kind
    entries = []
    for path, (place, known) in walk.files.items():
        digests = found[place][wanted[place][1].index(kind)]
        if shard_size is None:
            entries.append(Entry(name=path, digest=digests[0], algorithm=algorithm))
            continue
        for number, one in enumerate(digests):
            start = number * shard_size
            end = min(start + shard_size, known[2])
            entries.append(Entry(name=f"{path}:{start}:{end}", digest=one, algorithm=algorithm))
    entries.sort(key=attrgetter("name"))
    return Manifest(
        name=name,
        serialization=serialization,
        entries=tuple(entries),
        passed_over=tuple(sorted(walk.passed_over)),
    )
