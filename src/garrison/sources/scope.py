"""What a file of a file system is examined for.

Whoever loads a model is given that model, so all of it is examined. An image or a root file system is another thing: it
is full of programs, scripts and libraries that are there to run. Where package managers put their files, only what
describes packages, models and what holds them, and code that runs at every start of Python are looked for; in the
system's settings credentials besides; and elsewhere everything but programs. What is none of these is counted by
whoever lists the file system.
"""

import functools
import os

import msgspec

from garrison.core.registry import formats


class Scope(msgspec.Struct, frozen=True):
    """What is looked for in one file, and in what is inside it."""

    formats: frozenset[str]
    """The formats that it may be."""
    search: bool = False
    """Whether credentials are looked for, should it be text."""
    hidden: str = ""
    """Why nobody sees the file: a later layer of the image deletes it; empty where it is seen."""


class _Places(msgspec.Struct, frozen=True, kw_only=True):
    reason: str
    folders: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    parents: tuple[str, ...] = ()
    endings: tuple[str, ...] = ()
    named: tuple[str, ...] = ()
    formats: tuple[str, ...] = ()
    documents: tuple[str, ...] = ()
    through: tuple[str, ...] = ()
    excepted: tuple[str, ...] = msgspec.field(default=(), name="except")


@functools.cache
def _places() -> dict[str, _Places]:
    with open(os.path.join(os.path.dirname(__file__), "scopes.json"), "rb") as file:
        return msgspec.json.decode(file.read(), type=dict[str, _Places])


def _below(folder: str, tops: tuple[str, ...]) -> bool:
    return any(folder == top or folder.startswith(f"{top}/") for top in tops)


@functools.cache
def _everything() -> frozenset[str]:
    return frozenset(entry.id for entry in formats().values() if not entry.program)


@functools.cache
def _models(documents: bool) -> frozenset[str]:
    packed = _places()["packed"]
    models = {entry.id for entry in formats().values() if entry.model}
    return frozenset(models | set(_places()["extra"].formats) | set(packed.documents if documents else packed.formats))


@functools.lru_cache(maxsize=4096)
def _of_folder(folder: str) -> Scope:
    places = _places()
    managed = places["managed"]
    through = not set(managed.through).isdisjoint(folder.split("/"))
    if not through and (not _below(folder, managed.folders) or _below(folder, managed.excepted)):
        if _below(folder, places["settings"].folders):
            return Scope(_models(False), search=True)
        return Scope(_everything(), search=True)
    return Scope(_models(not through and _below(folder, places["documents"].folders)))


def _describes_packages(folder: str, name: str) -> bool:
    places = _places()["descriptions"]
    return (
        f"{folder}/{name}" in places.files
        or _below(folder, places.folders)
        or folder.endswith(places.parents)
        or name.endswith(places.endings)
        or (name in places.named and "node_modules" in folder)
    )


def scope_of(path: str) -> Scope:
    """What the file of this path, relative to the root of its file system, is examined for."""
    folder, _, name = path.rpartition("/")
    found = _of_folder(folder)
    return Scope(_everything()) if _describes_packages(folder, name) else found


def hidden_scope(why: str) -> Scope:
    """For a file that a later layer hides: nothing uses it any more, but what it tells can still be read."""
    return Scope(frozenset(), search=True, hidden=why)


def is_unread(path: str) -> bool:
    """Whether this folder belongs to the kernel, so that nothing in it is read."""
    return path in _places()["unread"].folders
