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
    if leaf is None:
        return _Walker(folders, ignored, follow_symlinks).run()
    status = _status(folders, 0, leaf)
    if not stat.S_ISREG(status.st_mode):
        raise _refused(stat.S_IFMT(status.st_mode), leaf)
    return Walk({SINGLE_FILE: ((0, leaf), identity(status))})


class _Walker:
    """Lists directories until none is left."""

    def __init__(self, folders: Folders, ignored: frozenset[str], follow_symlinks: bool) -> None:
        self._folders = folders
        self._ignored = ignored
        self._follow_symlinks = follow_symlinks
        self._walk = Walk()
        self._seen = 0
        self._linked = 0
        self._pending: list[tuple[int, str, tuple[int, ...]]] = [(0, "", (0,))]
        """Directories, the beginning of the paths of what is in them, and what they lie in where links are followed."""

    def run(self) -> Walk:
        while self._pending:
            folder, prefix, around = self._pending.pop()
            for name, leaf in self._list(folder, prefix, around):
                try:
                    self._follow(folder, leaf, name, around)
                except OSError as error:
                    raise _unreadable(name, error) from None
        if not self._walk.files:
            raise Refused("there is no file in it, so there is nothing to sign or to verify")
        return self._walk

    def _list(self, folder: int, prefix: str, around: tuple[int, ...]) -> list[tuple[str, str]]:
        """Take in what is in a directory, but for symbolic links: their paths and names, to be followed afterwards.

        Following them opens other directories, and this one must stay open while it is listed.
        """
        links: list[tuple[str, str]] = []
        files, ignored = self._walk.files, self._ignored
        name = prefix.removesuffix("/") or "."
        try:
            with os.scandir(self._folders.listed(folder)) as found:
                for one in found:
                    leaf = one.name
                    name = prefix + leaf
                    if name in ignored:
                        self._walk.passed_over.append(name)
                        continue
                    self._seen += 1
                    if self._seen > MOST_FILES:
                        raise Refused(f"more than {MOST_FILES} files")
                    if not leaf.isascii() or "\\" in leaf:
                        _check(name)
                    status = one.stat(follow_symlinks=False)
                    kind = stat.S_IFMT(status.st_mode)
                    if kind == stat.S_IFREG:
                        files[name] = ((folder, leaf), identity(status))
                    elif kind == stat.S_IFDIR:
                        self._enter(self._folders.add(folder, leaf), name, around)
                    elif kind == stat.S_IFLNK and self._follow_symlinks:
                        links.append((name, leaf))
                    else:
                        raise _refused(kind, name)
        except OSError as error:
            raise _unreadable(name, error) from None
        return links

    def _follow(self, folder: int, leaf: str, name: str, around: tuple[int, ...]) -> None:
        place, status = _followed(self._folders, folder, leaf, name)
        kind = stat.S_IFMT(status.st_mode)
        if kind == stat.S_IFREG:
            self._walk.files[name] = (place, identity(status))
            return
        if kind != stat.S_IFDIR:
            raise _refused(kind, name)
        self._linked += 1
        if self._linked > _MOST_LINKED:
            raise Refused(f"more than {_MOST_LINKED} symbolic links to directories")
        inner = self._folders.add(*place) if place[1] else place[0]
        if inner in around:
            raise Refused(f"{name!r} is a symbolic link to a directory that it lies in")
        self._enter(inner, name, around)

    def _enter(self, folder: int, name: str, around: tuple[int, ...]) -> None:
        self._pending.append((folder, f"{name}/", (*around, folder) if self._follow_symlinks else around))


def _status(folders: Folders, folder: int, leaf: str) -> os.stat_result:
    try:
        return os.stat(leaf, dir_fd=folders.descriptor(folder), follow_symlinks=False)
    except OSError as error:
        raise _unreadable(leaf, error) from None


def _unreadable(name: str, error: OSError) -> Refused:
    return Refused(f"{name!r} cannot be read: {error.strerror}")


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
