"""Collects what a host says of itself, outside the jail: files, lists of names, commands that only read."""

import contextlib
import datetime
import fnmatch
import os
import re
import stat
from collections.abc import Iterator, Sequence
from typing import IO

from garrison.core.errors import UsageError
from garrison.dependencies.hosts import commands
from garrison.dependencies.hosts.collection import WantedPath, collection
from garrison.dependencies.hosts.recording import Header, write

_SECONDS = 10.0
_LARGEST = 256 << 20
_MOST = 4096
_PIECE = 1 << 16
_LINKS = 40
_LISTENING = "0A"
_LIBRARY = re.compile(
    r"^[0-9a-f]+-[0-9a-f]+ ..x. \S+ \S+ \d+ +(/(?:usr|lib|lib64|opt)/\S*\.so[\d.]*) \(deleted\)$", re.M
)


def record(file: IO[bytes], root: str = "/", directories: Sequence[str] = commands.DIRECTORIES) -> None:
    """Write a recording of this machine, or of the root file system below another directory.

    Raises `UsageError` where there is no such directory.
    """
    if not os.path.isdir(root):
        raise UsageError(f"{root}: no such directory")
    live = os.path.samefile(root, "/")
    header = Header(kind="live" if live else "root", collected=_now())
    entries = list(_collected(root, live, header.unreadable))
    if live:
        entries += _derived()
        entries += _printed(directories)
    write(file, header, entries)


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def _collected(root: str, live: bool, unreadable: dict[str, str]) -> Iterator[tuple[str, bytes]]:
    for wanted in collection().files:
        if live or not wanted.live:
            for path in _matches(root, wanted):
                data = _read(root, path, unreadable)
                if data is not None:
                    yield f"files{path}", data
    for wanted in collection().listings:
        place = _resolved(root, wanted.path) if live or not wanted.live else None
        if place is not None:
            with contextlib.suppress(OSError):
                names = sorted(name for name in os.listdir(place) if not wanted.names or name in wanted.names)
                yield f"listings{wanted.path}", "\n".join(names[:_MOST]).encode("utf-8", "backslashreplace")


def _matches(root: str, wanted: WantedPath) -> list[str]:
    """The paths below the root that a pattern names."""
    found = [""]
    for part in wanted.path.strip("/").split("/"):
        if "*" not in part:
            found = [f"{path}/{part}" for path in found]
            continue
        deeper = []
        for path in found:
            place = _resolved(root, path)
            with contextlib.suppress(OSError):
                names = sorted(os.listdir(place)) if place else []
                deeper += [f"{path}/{name}" for name in names if fnmatch.fnmatchcase(name, part)]
        found = deeper[:_MOST]
    return [path for path in found if not wanted.names or os.path.basename(path) in wanted.names]


def _resolved(root: str, path: str) -> str | None:
    """Where a path leads when the root is all there is: links cannot leave it. `None` where it leads nowhere."""
    parts = [part for part in reversed(path.split("/")) if part]
    inside: list[str] = []
    links = 0
    while parts:
        part = parts.pop()
        if part in ("", "."):
            continue
        if part == "..":
            del inside[-1:]
            continue
        place = os.path.join(root, *inside, part)
        try:
            if stat.S_ISLNK(os.lstat(place).st_mode):
                links += 1
                if links > _LINKS:
                    return None
                target = os.readlink(place)
                if target.startswith("/"):
                    inside = []
                parts += [step for step in reversed(target.split("/")) if step]
                continue
        except OSError:
            return None
        inside.append(part)
    return os.path.join(root, *inside)


def _read(root: str, path: str, unreadable: dict[str, str]) -> bytes | None:
    place = _resolved(root, path)
    if place is None:
        return None
    try:
        descriptor = os.open(place, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        unreadable[path] = error.strerror or type(error).__name__
        return None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        data = _whole(descriptor)
    except OSError as error:
        unreadable[path] = error.strerror or type(error).__name__
        return None
    finally:
        os.close(descriptor)
    if len(data) > _LARGEST:
        unreadable[path] = f"larger than {_LARGEST} bytes"
        return None
    return data


def _whole(descriptor: int) -> bytes:
    """In pieces: some files of /proc refuse a read of more than the kernel has memory for at once."""
    data = bytearray()
    while len(data) <= _LARGEST and (piece := os.read(descriptor, _PIECE)):
        data += piece
    return bytes(data)


def _derived() -> Iterator[tuple[str, bytes]]:
    """Listening sockets with their programs, and programs that run libraries that were replaced."""
    sockets = []
    for name in ("tcp", "tcp6"):
        with contextlib.suppress(OSError), open(f"/proc/net/{name}") as file:
            fields = [line.split() for line in file.readlines()[1:]]
            sockets += [(name, row[1], row[9]) for row in fields if len(row) > 9 and row[3] == _LISTENING]
    wanted = {inode for _, _, inode in sockets}
    owners: dict[str, str] = {}
    deleted: list[str] = []
    read = hidden = 0
    for process in filter(str.isdigit, os.listdir("/proc")):
        try:
            program = _program(process)
            owners |= dict.fromkeys(_sockets(process) & wanted, program)
            with open(f"/proc/{process}/maps", errors="replace") as file:
                found = dict.fromkeys(match[1] for match in _LIBRARY.finditer(file.read()))
            deleted += [f"{process}\t{program}\t{path}" for path in found]
            read += 1
        except PermissionError:
            hidden += 1
        except OSError:
            continue
    rows = [f"{name}\t{address}\t{owners.get(inode, '')}" for name, address, inode in sockets]
    yield "derived/sockets", "\n".join(rows).encode("utf-8", "backslashreplace")
    yield "derived/processes", f"{read}\t{hidden}".encode()
    yield "derived/deleted-libraries", "\n".join(deleted).encode("utf-8", "backslashreplace")


def _program(process: str) -> str:
    with open(f"/proc/{process}/comm", errors="replace") as file:
        return file.read().strip().replace("\t", " ")


def _sockets(process: str) -> set[str]:
    found = set()
    with os.scandir(f"/proc/{process}/fd") as listing:
        for entry in listing:
            with contextlib.suppress(OSError):
                target = os.readlink(entry.path)
                if target.startswith("socket:["):
                    found.add(target[8:-1])
    return found


def _printed(directories: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    """What the commands print, run side by side."""
    import concurrent.futures

    known = collection().commands
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        results = pool.map(lambda command: commands.run(command.argv, _SECONDS, directories), known)
        for command, said in zip(known, results, strict=True):
            for part, text in (
                ("command", said.argv),
                ("stdout", said.stdout),
                ("stderr", said.stderr),
                ("status", said.status),
            ):
                yield f"commands/{command.name}/{part}", text.encode("utf-8", "backslashreplace")
