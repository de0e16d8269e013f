"""Root file systems in a directory: what debootstrap makes, an unpacked image, a mounted disk, or `/` itself.

They are walked here and read in the workers, file by file. No link is followed, so that nothing outside of the
directory is read.
"""

import contextlib
import os
import stat
from collections.abc import Iterator

import msgspec.structs

from garrison.core.facts import Artifact, Examination, FileMode
from garrison.dependencies.images.members import RELEASE, Counts, matters, owner
from garrison.sources.paths import File, Omitted, display
from garrison.sources.scope import is_unread

_MODES = 500
_LISTS = 64 << 20
_LINKS_FOLLOWED = 10
_LISTED = "var/lib/dpkg/info"


def open_root(path: str, stack: contextlib.ExitStack) -> Iterator[File | Omitted | Examination]:
    """The files that something is looked for in, and at last what the permissions of all are."""
    subject = display(path).rstrip("/")
    counts = Counts()
    modes: list[FileMode] = []
    pending = [""]
    while pending:
        folder = pending.pop()
        try:
            with os.scandir(os.path.join(path, folder)) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError as error:
            yield Omitted(f"{subject}/{display(folder)}", "failed", f"cannot be listed: {error.strerror}")
            continue
        deeper = []
        for entry in entries:
            inner = f"{folder}/{entry.name}" if folder else entry.name
            try:
                told = entry.stat(follow_symlinks=False)
            except OSError as error:
                yield Omitted(f"{subject}/{display(inner)}", "failed", f"cannot be read: {error.strerror}")
                continue
            _note_mode(modes, inner, told)
            if stat.S_ISDIR(told.st_mode):
                counts.folders += 1
                if not is_unread(inner):
                    deeper.append(inner)
            elif stat.S_ISLNK(told.st_mode):
                counts.links += 1
                if inner == RELEASE and (target := resolve(path, inner)) is not None:
                    yield File(target, f"{subject}/{RELEASE}", within=RELEASE)
            elif stat.S_ISREG(told.st_mode):
                counts.files += 1
                counts.bytes += told.st_size
                if told.st_size and folder != _LISTED:
                    yield File(entry.path, f"{subject}/{display(inner)}", within=display(inner))
        pending += reversed(deeper)
    yield _summary(path, subject or "/", counts, modes)


def _note_mode(modes: list[FileMode], path: str, told: os.stat_result) -> None:
    directory = stat.S_ISDIR(told.st_mode)
    mode = stat.S_IMODE(told.st_mode)
    if (directory or stat.S_ISREG(told.st_mode)) and matters(mode, directory) and len(modes) < _MODES:
        modes.append(
            FileMode(path=f"/{display(path)}", mode=mode, owner=told.st_uid, group=told.st_gid, directory=directory)
        )


def _summary(path: str, subject: str, counts: Counts, modes: list[FileMode]) -> Examination:
    lists = _package_lists(os.path.join(path, _LISTED)) if modes else {}
    details: dict[str, str | int | float | bool] = {
        "files": counts.files,
        "folders": counts.folders,
        "links": counts.links,
        "bytes": counts.bytes,
    }
    facts = [msgspec.structs.replace(fact, package=owner(fact.path, lists)) for fact in modes]
    artifact = Artifact(format="root-file-system", details=details)
    return Examination(subject=subject, formats=["root-file-system"], facts=[artifact, *facts])


def _package_lists(folder: str) -> dict[str, bytes]:
    """The files of each Debian package."""
    found: dict[str, bytes] = {}
    left = _LISTS
    with contextlib.suppress(OSError):
        for name in sorted(os.listdir(folder)):
            file = os.path.join(folder, name)
            if name.endswith(".list") and stat.S_ISREG(os.lstat(file).st_mode):
                with open(file, "rb") as opened:
                    data = opened.read(left)
                left -= len(data)
                found[name.removesuffix(".list").partition(":")[0]] = b"\n" + data + b"\n"
    return found


def resolve(root: str, path: str) -> str | None:
    """The file that a path leads to for a process whose root this is; `None` where there is none."""
    parts = path.split("/")
    done: list[str] = []
    followed = 0
    while parts:
        part = parts.pop(0)
        if part in ("", "."):
            continue
        if part == "..":
            done[-1:] = []
            continue
        here = os.path.join(root, *done, part)
        try:
            mode = os.lstat(here).st_mode
            if not stat.S_ISLNK(mode):
                done.append(part)
                continue
            target = os.readlink(here)
        except OSError:
            return None
        followed += 1
        if followed > _LINKS_FOLLOWED:
            return None
        if target.startswith("/"):
            done.clear()
        parts = [*target.split("/"), *parts]
    found = os.path.join(root, *done)
    return found if stat.S_ISREG(os.lstat(found).st_mode) else None
