"""From the paths that a user names to the files below them."""

import fnmatch
import os
import stat
from collections.abc import Iterable, Iterator

import msgspec

from garrison.core.errors import UsageError
from garrison.core.facts import CoverageState

_VERSION_CONTROL = frozenset({".git", ".hg", ".svn"})


class File(msgspec.Struct, frozen=True):
    """One regular file; symbolic links to files are followed, as loaders follow them."""

    path: str
    subject: str
    """The path as text that any format can hold: bytes that are no UTF-8 appear as `\\x` escapes."""
    descriptor: int | None = None
    """An open file to read instead of the path; stays the caller's."""
    leads_to: str = ""
    """Where a link goes that leaves the directory that the user named; empty for all else."""
    beside: tuple[tuple[str, int], ...] = ()
    """Open files that make up the subject together with this one: their paths, and descriptors that stay the
    caller's."""
    within: str = ""
    """Its path in the root file system that it is a file of, which tells what it is examined for; else empty."""


class Omitted(msgspec.Struct, frozen=True):
    """Something below a path that is not examined, and why."""

    subject: str
    state: CoverageState
    reason: str


def walk(paths: Iterable[str], exclude: tuple[str, ...] = ()) -> Iterator[File | Omitted]:
    """All files at and below the paths, in a stable order.

    Raises `UsageError` for a path that does not exist. What lies below but is no regular file, is excluded, or cannot
    be listed is an `Omitted`, never left out in silence.
    """
    for path in paths:
        try:
            mode = os.stat(path).st_mode
        except FileNotFoundError:
            raise UsageError(f"{path}: no such file or directory") from None
        except (OSError, ValueError) as error:
            raise UsageError(f"{path}: {getattr(error, 'strerror', None) or error}") from None
        if stat.S_ISDIR(mode):
            yield from _below(path, path, exclude)
        elif stat.S_ISREG(mode):
            yield File(path, display(path))
        else:
            yield Omitted(display(path), "skipped", "not a regular file")


def _below(directory: str, top: str, exclude: tuple[str, ...]) -> Iterator[File | Omitted]:
    pending = [directory]
    while pending:
        current = pending.pop()
        try:
            with os.scandir(current) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError as error:
            yield Omitted(display(current), "failed", f"cannot be listed: {error.strerror}")
            continue
        deeper = []
        for entry in entries:
            omitted = _omission(entry, top, exclude)
            if omitted is not None:
                yield omitted
            elif entry.is_dir(follow_symlinks=False):
                deeper.append(entry.path)
            else:
                yield File(entry.path, display(entry.path), leads_to=_outside(entry, top))
        pending += reversed(deeper)


def _outside(entry: "os.DirEntry[str]", top: str) -> str:
    """Where a link leads that leaves the directory, but for the blobs of a hub's cache, whose snapshots are links."""
    if not entry.is_symlink():
        return ""
    target = os.path.realpath(entry.path)
    inside = os.path.realpath(top)
    # A snapshot of a cache lies in <repository>/snapshots/<revision>, and its files link to <repository>/blobs.
    snapshots, _, _ = inside.partition(f"{os.sep}snapshots{os.sep}")
    if os.path.commonpath([inside, target]) == inside or os.path.dirname(target) == os.path.join(snapshots, "blobs"):
        return ""
    return display(target)


def _omission(entry: "os.DirEntry[str]", top: str, exclude: tuple[str, ...]) -> Omitted | None:
    if exclude and any(fnmatch.fnmatchcase(os.path.relpath(entry.path, top), pattern) for pattern in exclude):
        return Omitted(display(entry.path), "skipped", "excluded by the policy")
    try:
        if entry.is_dir(follow_symlinks=False):
            if entry.name in _VERSION_CONTROL:
                return Omitted(display(entry.path), "skipped", "the store of a version control system")
            return None
        if entry.is_file():
            return None
        if entry.is_symlink():
            if entry.is_dir():
                return Omitted(display(entry.path), "skipped", "a symbolic link to a directory")
            return Omitted(display(entry.path), "failed", "a symbolic link to nothing")
    except OSError as error:
        return Omitted(display(entry.path), "failed", f"cannot be read: {error.strerror}")
    return Omitted(display(entry.path), "skipped", "not a regular file")


def display(path: str) -> str:
    """A path as text without lone surrogates."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")
