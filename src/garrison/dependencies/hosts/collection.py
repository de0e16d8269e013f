"""What is collected of a host, and so what belongs into a recording."""

import fnmatch
import functools
import os

import msgspec

from garrison.dependencies.hosts import MARKER

DERIVED = ("sockets", "processes", "deleted-libraries")
PARTS = ("command", "stdout", "stderr", "status")


class WantedPath(msgspec.Struct, frozen=True):
    path: str
    live: bool = False
    """Only a running system has it."""
    names: tuple[str, ...] = ()
    """When given, the only last parts of the pattern's matches that count."""


class WantedCommand(msgspec.Struct, frozen=True):
    name: str
    argv: tuple[str, ...]


class Collection(msgspec.Struct, frozen=True):
    reason: str
    files: tuple[WantedPath, ...]
    listings: tuple[WantedPath, ...]
    commands: tuple[WantedCommand, ...]


@functools.cache
def collection() -> Collection:
    """All of it."""
    path = os.path.join(os.path.dirname(os.path.dirname(__file__)), "knowledge", "host_collection.json")
    with open(path, "rb") as file:
        return msgspec.json.decode(file.read(), type=Collection)


@functools.cache
def _fixed() -> frozenset[str]:
    known = collection()
    commands = [f"commands/{command.name}/{part}" for command in known.commands for part in PARTS]
    listings = [f"listings{entry.path}" for entry in known.listings]
    return frozenset((MARKER, *commands, *listings, *(f"derived/{name}" for name in DERIVED)))


def belongs(name: str) -> bool:
    """Whether a member of an archive is one that a recording has: anything else is somebody's own file."""
    if name in _fixed():
        return True
    folder, _, path = name.partition("/")
    depth = path.count("/") + 1
    return folder == "files" and any(
        fnmatch.fnmatchcase(f"/{path}", entry.path) and entry.path.count("/") == depth for entry in collection().files
    )
