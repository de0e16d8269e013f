"""Opens hosts as subjects: `host:` is this machine, `host:DIRECTORY` a root file system or a recording."""

import contextlib
import os
from collections.abc import Iterator
from typing import IO

from garrison.core.errors import UsageError
from garrison.dependencies.hosts import MARKER
from garrison.sources.paths import File, Omitted, display

_SCHEME = "host:"
_LARGEST = 1 << 30


def is_recording(directory: str) -> bool:
    """Whether a directory is an unpacked recording."""
    return os.path.isfile(os.path.join(directory, MARKER))


def open_host(subject: str, stack: contextlib.ExitStack) -> Iterator[File | Omitted]:
    """A recording as one file, whatever the subject is."""
    import tempfile

    target = subject.removeprefix(_SCHEME)
    if target and os.path.isfile(target):
        yield File(target, display(target))
        return
    if target and not os.path.isdir(target):
        raise UsageError(f"{target}: no such file or directory")
    file = stack.enter_context(tempfile.TemporaryFile(prefix="garrison-"))  # noqa: SIM115
    if target and is_recording(target):
        yield from _packed(target, file)
    else:
        from garrison.dependencies.hosts.collecting import record

        record(file, target or "/")
    file.flush()
    yield File(subject, display(subject), file.fileno())


def _packed(directory: str, file: IO[bytes]) -> Iterator[Omitted]:
    """The directory as a tar; links stay links, which the reader does not follow."""
    import tarfile

    room = _LARGEST
    with tarfile.open(fileobj=file, mode="w", format=tarfile.GNU_FORMAT) as archive:
        archive.add(os.path.join(directory, MARKER), MARKER, recursive=False)
        for folder, folders, names in os.walk(directory):
            folders.sort()
            links = [name for name in folders if os.path.islink(os.path.join(folder, name))]
            for name in sorted([*names, *links]):
                path = os.path.join(folder, name)
                inside = os.path.relpath(path, directory)
                if inside == MARKER:
                    continue
                size = os.lstat(path).st_size
                regular = os.path.islink(path) or os.path.isfile(path)
                if not regular or size > room:
                    reason = "not a regular file" if not regular else f"the recording is larger than {_LARGEST} bytes"
                    yield Omitted(display(path), "failed", reason)
                    continue
                room -= size
                archive.add(path, inside, recursive=False)
