"""Finds the files of a model, by the rules that the package names."""

import os
import stat
from dataclasses import dataclass, field

from garrison.provenance.hashing.folders import Folders, Identity, Place, identity
from garrison.provenance.hashing.manifest import SINGLE_FILE
from garrison.provenance.trust import Refused

MOST_FILES = 2_000_000
_MOST_LINKS = 40
"""How many symbolic links one name may lead through, as on Linux (path_resolution(7))."""


@dataclass(slots=True)
class Walk:
    """What a model consists of."""

    files: dict[str, tuple[Place, Identity]] = field(default_factory=dict)
    """By path below the model: where the bytes lie, which a symbolic link says, and the file as it was found."""
    passed_over: list[str] = field(default_factory=list)
    """Ignored paths that were there."""


_MOST_LINKED = 1000
"""How many links to directories are followed: a few of them, each with two to the next, make millions of names."""


def walked(folders: Folders, leaf: str | None, ignored: frozenset[str], *, follow_symlinks: bool) -> Walk:
    """The files below the model's directory, or the one called `leaf` in it. Raises `Refused`."""
    walk = Walk()
    if leaf is not None:
        status = _status(folders, 0, leaf)
        if not stat.S_ISREG(status.st_mode):
            raise _refused(stat.S_IFMT(status.st_mode), leaf)
        walk.files[SINGLE_FILE] = ((0, leaf), identity(status))
        return walk
    seen = linked = 0
    pending: list[tuple[int, str, tuple[int, ...]]] = [(0, "", (0,))]  # directory, its path, and those it lies in
    while pending:
        folder, prefix, around = pending.pop()
        links = []
        name = prefix.removesuffix("/") or "."
        try:
            with os.scandir(folders.listed(folder)) as found:
                for one in found:
                    leaf = one.name
                    name = prefix + leaf
                    if name in ignored:
                        walk.passed_over.append(name)
                        continue
                    seen += 1
                    if seen > MOST_FILES:
                        raise Refused(f"more than {MOST_FILES} files")
                    if not leaf.isascii() or "\\" in leaf:
                        _check(name)
                    status = one.stat(follow_symlinks=False)
                    kind = stat.S_IFMT(status.st_mode)
                    if kind == stat.S_IFREG:
                        walk.files[name] = ((folder, leaf), identity(status))
                    elif kind == stat.S_IFDIR:
                        inner = folders.add(folder, leaf)
                        pending.append((inner, f"{name}/", (*around, inner) if follow_symlinks else around))
                    elif kind == stat.S_IFLNK and follow_symlinks:
                        links.append((name, leaf))
                    else:
                        raise _refused(kind, name)
            for name, leaf in links:  # afterwards, since following them opens other directories
                place, status = _followed(folders, folder, leaf, name)
                kind = stat.S_IFMT(status.st_mode)
                if kind == stat.S_IFREG:
                    walk.files[name] = (place, identity(status))
                elif kind == stat.S_IFDIR:
                    linked += 1
                    if linked > _MOST_LINKED:
                        raise Refused(f"more than {_MOST_LINKED} symbolic links to directories")
                    inner = folders.add(*place) if place[1] else place[0]
                    if inner in around:
                        raise Refused(f"{name!r} is a symbolic link to a directory that it lies in")
                    pending.append((inner, f"{name}/", (*around, inner)))
                else:
                    raise _refused(kind, name)
        except OSError as error:
            raise Refused(f"{name!r} cannot be read: {error.strerror}") from None
    if not walk.files:
        raise Refused("there is no file in it, so there is nothing to sign or to verify")
    return walk


def _status(folders: Folders, folder: int, leaf: str) -> os.stat_result:
    try:
        return os.stat(leaf, dir_fd=folders.descriptor(folder), follow_symlinks=False)
    except OSError as error:
        raise Refused(f"{leaf!r} cannot be read: {error.strerror}") from None


def _refused(kind: int, name: str) -> Refused:
    if kind == stat.S_IFLNK:
        return Refused(f"{name!r} is a symbolic link")
    return Refused(f"{name!r} is neither a file nor a directory")


def _check(name: str) -> None:
    try:
        name.encode()
    except UnicodeEncodeError:
        raise Refused(f"{os.fsencode(name)!r}: a name that is no UTF-8 cannot be signed") from None
    if "\\" in name:
        raise Refused(f"{name!r}: a backslash in a name cannot be signed, since other systems take it for '/'")


def _followed(folders: Folders, folder: int, leaf: str, name: str) -> tuple[Place, os.stat_result]:
    """Where a symbolic link leads to; the place of a directory that is known already has no name.

    Raises `Refused`, and `OSError`.
    """
    rest = [leaf]  # what is left to resolve, the next part last
    links = 0
    while rest:
        part = rest.pop()
        if part == "..":
            if folder == 0:
                raise Refused(f"{name!r} is a symbolic link that leads out of the model")
            folder = folders.parent(folder)
        elif part not in ("", "."):
            descriptor = folders.descriptor(folder)
            status = os.stat(part, dir_fd=descriptor, follow_symlinks=False)
            if stat.S_ISLNK(status.st_mode):
                target = os.readlink(part, dir_fd=descriptor)
                links += 1
                if links > _MOST_LINKS:
                    raise Refused(f"{name!r} is a symbolic link that leads on without an end")
                if target.startswith("/"):
                    raise Refused(f"{name!r} is a symbolic link that leads out of the model")
                rest += reversed(target.split("/"))
            elif not rest:
                return (folder, part), status
            elif stat.S_ISDIR(status.st_mode):
                folder = folders.add(folder, part)
            else:
                raise Refused(f"{name!r} is a symbolic link through what is no directory")
    return (folder, ""), os.fstat(folders.descriptor(folder))
