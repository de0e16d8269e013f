"""The directories of a model, opened one inside the other, so that no path is ever resolved through a symbolic link."""

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from operator import attrgetter

from garrison.core.errors import UsageError
from garrison.provenance.trust import Refused

DEEPEST = 200
"""How many directories may lie one inside the other; each is open while those in it are read."""

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW

Place = tuple[int, str]
"""The number of a directory, and a name in it."""
Identity = tuple[int, int, int, int, int]
"""Device, inode, size in bytes, and when the contents and when anything was last changed, in nanoseconds since 1970."""


identity: Callable[[os.stat_result], Identity] = attrgetter("st_dev", "st_ino", "st_size", "st_mtime_ns", "st_ctime_ns")
"""What a file is known again by."""


class Folders:
    """Directories by number; 0 is the model's, or the one that its file lies in.

    Only the directory that was asked for last and those around it are open.
    """

    def __init__(self, root: int) -> None:
        self._parents = [0]
        self._leaves = [""]
        self._identities: list[Identity | None] = [None]
        self._numbers: dict[tuple[int, str], int] = {}
        self._chain = [(0, root)]

    def close(self) -> None:
        while self._chain:
            os.close(self._chain.pop()[1])

    def parent(self, number: int) -> int:
        return self._parents[number]

    def path(self, number: int) -> str:
        """The path below the model."""
        return "/".join(self._leaves[one] for one in self._around(number)[1:])

    def name(self, place: Place) -> str:
        """The path below the model of something in a directory, or of the directory itself where the name is empty."""
        folder, leaf = place
        return "/".join(filter(None, (self.path(folder), leaf))) if folder else leaf

    def add(self, parent: int, leaf: str) -> int:
        """The number of a directory in another one; the same for the same directory. Raises `Refused`."""
        number = self._numbers.get((parent, leaf))
        if number is None:
            number = len(self._parents)
            self._parents.append(parent)
            self._leaves.append(leaf)
            self._identities.append(None)
            self._numbers[parent, leaf] = number
            if len(self._around(number)) > DEEPEST:
                raise Refused(f"{self.path(number)[:200]!r}…: more than {DEEPEST} directories one inside the other")
        return number

    def descriptor(self, number: int) -> int:
        """The open directory, which stays this object's and open until the next is asked for.

        Raises `Refused` where it is not the directory any more that it was, and `OSError`.
        """
        chain = self._chain
        if chain[-1][0] == number:
            return chain[-1][1]
        around = self._around(number)
        while len(chain) > len(around) or chain[-1][0] != around[len(chain) - 1]:
            os.close(chain.pop()[1])
        for one in around[len(chain) :]:
            descriptor = os.open(self._leaves[one], _DIRECTORY, dir_fd=chain[-1][1])
            chain.append((one, descriptor))
            known = self._identities[one]
            if known is not None and identity(os.fstat(descriptor))[:2] != known[:2]:
                raise Refused(f"{self.path(one)!r} was changed while it was read")
        return chain[-1][1]

    def listed(self, number: int) -> int:
        """Like `descriptor`, and remembers the directory as it is now."""
        descriptor = self.descriptor(number)
        if self._identities[number] is None:
            self._identities[number] = identity(os.fstat(descriptor))
        return descriptor

    def changed(self) -> bool:
        """Whether any directory is not what it was when it was first listed."""
        self.descriptor(0)  # so that all others are opened anew, by their names
        try:
            return any(
                known is not None and identity(os.fstat(self.descriptor(number))) != known
                for number, known in enumerate(self._identities)
            )
        except (OSError, Refused):
            return True

    def _around(self, number: int) -> list[int]:
        around = [number]
        while number:
            number = self._parents[number]
            around.append(number)
        around.reverse()
        return around


@contextmanager
def opened(path: str) -> Iterator[tuple[Folders, str | None]]:
    """The directories of the model at a path, and the name of its file if it is no directory.

    The path itself may lead through symbolic links: whoever gave it meant what it leads to. Raises `UsageError`.
    """
    if not path:
        raise UsageError("the model has no name: its path is empty")  # and not the directory that one happens to be in
    try:
        real = os.path.realpath(path)
        kind = os.stat(real, follow_symlinks=False).st_mode
        leaf = None if stat.S_ISDIR(kind) else os.path.basename(real)
        root = os.open(real if leaf is None else os.path.dirname(real), _DIRECTORY)
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: {getattr(error, 'strerror', None) or error}") from None
    folders = Folders(root)
    try:
        yield folders, leaf
    finally:
        folders.close()
