"""Opens OCI layouts that are directories, outside of the workers' jail: a worker gets the descriptors of all blobs."""

import contextlib
import os
import stat
from collections.abc import Iterator

from garrison.dependencies.images.places import LAYOUT, SAVED
from garrison.sources.paths import File, Omitted, display

_MOST_BLOBS = 200
"""Files of one layout; the kernel passes at most 253 descriptors at once."""


def open_layout(path: str, stack: contextlib.ExitStack) -> Iterator[File | Omitted]:
    """The layout as one subject: its index, with all its blobs beside it."""
    yield from layout(path, display(path).rstrip("/"), stack)


def layout(path: str, subject: str, stack: contextlib.ExitStack) -> Iterator[File | Omitted]:
    names = [LAYOUT, *([SAVED] if os.path.isfile(os.path.join(path, SAVED)) else [])]
    blobs = os.path.join(path, "blobs")
    for algorithm in sorted(os.listdir(blobs)):
        folder = os.path.join(blobs, algorithm)
        if os.path.isdir(folder) and not os.path.islink(folder):
            names += [f"blobs/{algorithm}/{name}" for name in sorted(os.listdir(folder))]
    opened: list[tuple[str, int]] = []
    for name in names:
        if len(opened) == _MOST_BLOBS:
            reason = f"the layout has more than {_MOST_BLOBS} blobs; copy the image to a layout of its own"
            yield Omitted(f"{subject}!/{display(name)}", "failed", reason)
            break
        try:
            descriptor = os.open(os.path.join(path, name), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError as error:
            yield Omitted(f"{subject}!/{display(name)}", "failed", f"cannot be opened: {error.strerror}")
            continue
        stack.callback(os.close, descriptor)
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            opened.append((display(name), descriptor))
    if opened and opened[0][0] == LAYOUT:
        yield File(os.path.join(path, LAYOUT), subject, opened[0][1], beside=tuple(opened))
