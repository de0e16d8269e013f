"""Reads files once each and hashes them, and notices those that change meanwhile."""

import errno
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence

from garrison.provenance.hashing.folders import Folders, Identity, Place, identity
from garrison.provenance.hashing.other_process import OtherProcess
from garrison.provenance.hashing.sinks import HASHES, Hash, Kind, Sink
from garrison.provenance.trust import Refused
from garrison.sources.processes import may_fork

_SMALL = 1 << 18
"""Up to so many bytes a file is read whole: handing it to a thread takes longer than hashing it."""
_MANY = 4000
"""From so many small files on a second process saves more time than it takes to start."""
_BUFFER = 1 << 20
_PROGRESS_SECONDS = 0.1
_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY
"""What stands in a file's place meanwhile neither leads elsewhere nor blocks."""

_REPLACED = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO}
"""What opening fails with where nothing, a file, a symbolic link or a socket has come into a name's place."""

Wanted = dict[Place, tuple[Identity, tuple[Kind, ...]]]
"""Each file as it was found, and what is to be known of it."""
Digests = tuple[tuple[str, ...], ...]
"""For each kind that was wanted the digests of the file's parts, in lower-case hexadecimal."""


class Progress:
    """Counts bytes and tells of them now and then, from whichever thread comes by, never from two at once."""

    def __init__(self, tell: Callable[[int, int], None] | None, total: int) -> None:
        self.wanted = tell is not None
        self._tell = tell or (lambda done, total: None)
        self._total = total
        self._done = 0
        self._next = 0.0
        self._lock = threading.Lock()

    def add(self, count: int) -> None:
        if not self.wanted:
            return
        with self._lock:
            self._done += count
            now = time.monotonic()
            if now >= self._next or self._done == self._total:
                self._next = now + _PROGRESS_SECONDS
                self._tell(self._done, self._total)


def read(folders: Folders, wanted: Wanted, *, jobs: int, progress: Progress) -> dict[Place, Digests]:
    """The digests of all files: of small ones here, one after the other, of large ones in `jobs` threads.

    Of very many small ones half is read by another process, where this one may fork. Raises `Refused` for a file that
    is not as it was found, or cannot be read.
    """
    small = [place for place, (known, _) in wanted.items() if known[2] <= _SMALL]
    large = [place for place, (known, _) in wanted.items() if known[2] > _SMALL]
    helped = jobs > 1 and len(small) >= _MANY and may_fork()
    if helped:
        first, second = small[: len(small) // 2], small[len(small) // 2 :]
        with OtherProcess(lambda: _read_small(folders, wanted, second, Progress(None, 0))) as other:
            found = _read_small(folders, wanted, first, progress)
            theirs = other.result()
        if theirs is None:  # whatever it met there is met again here, and told
            theirs = _read_small(folders, wanted, second, progress)
        else:
            progress.add(sum(wanted[place][0][2] for place in second))
        found.extend(theirs)
    else:
        found = _read_small(folders, wanted, small, progress)
    digests = dict(zip(small, found, strict=True))
    large.sort(key=lambda place: wanted[place][0][2], reverse=True)  # so that no thread is left with a long one
    digests.update(_Readers(folders, wanted, large, progress).run(jobs))
    return digests


def _read_small(folders: Folders, wanted: Wanted, places: Sequence[Place], progress: Progress) -> list[Digests]:
    """The digests of small files, in their order. All in one loop, since there may be a million of them."""
    found: list[Digests] = []
    open_, read_, fstat, close, told = os.open, os.read, os.fstat, os.close, progress.wanted
    usual: tuple[Kind, ...] = ()
    whole: Callable[[bytes], Hash] | None = None
    folder, directory = 0, folders.descriptor(0)
    for place in places:
        known, kinds = wanted[place]
        size = known[2]
        try:
            if place[0] != folder:
                folder, directory = place[0], folders.descriptor(place[0])
            descriptor = open_(place[1], _FLAGS, dir_fd=directory)
            try:
                data = read_(descriptor, size + 1)
                status = fstat(descriptor)
            finally:
                close(descriptor)
        except OSError as error:
            raise _unreadable(folders, place, error) from None
        if len(data) != size or identity(status) != known:
            raise _changed(folders, place)
        if kinds is not usual:
            usual = kinds
            whole = HASHES[kinds[0][0]] if len(kinds) == 1 and kinds[0][1] is None else None
        found.append(((whole(data).hexdigest(),),) if whole else tuple([_digests(data, kind) for kind in kinds]))
        if told:
            progress.add(size)
    return found


def _digests(data: bytes, kind: Kind) -> tuple[str, ...]:
    algorithm, shard_size = kind
    if shard_size is None:
        return (HASHES[algorithm](data).hexdigest(),)
    sink = Sink(kind)
    sink.update(memoryview(data))
    return sink.digests()


class _Readers:
    """Threads that take one file after the other."""

    def __init__(self, folders: Folders, wanted: Wanted, places: Sequence[Place], progress: Progress) -> None:
        self._folders = folders
        self._wanted = wanted
        self._places = places
        self._rest: Iterator[Place] = iter(places)
        self._progress = progress
        self._found: dict[Place, Digests] = {}
        self._error: BaseException | None = None
        self._lock = threading.Lock()
        self._stopped = False

    def run(self, jobs: int) -> dict[Place, Digests]:
        readers = min(jobs, len(self._places))
        threads = [threading.Thread(target=self._work, daemon=True) for _ in range(1, readers)]
        for thread in threads:
            thread.start()
        try:
            self._work()
            for thread in threads:
                thread.join()
        finally:
            self._stopped = True
            for thread in threads:  # which would open files in directories that are about to be closed
                thread.join()
        if self._error is not None:
            raise self._error
        return self._found

    def _work(self) -> None:
        buffer = memoryview(bytearray(_BUFFER))
        try:
            while not self._stopped:
                with self._lock:
                    place = next(self._rest, None)
                    if place is None:
                        return
                    try:
                        descriptor = os.open(place[1], _FLAGS, dir_fd=self._folders.descriptor(place[0]))
                    except OSError as error:
                        raise _unreadable(self._folders, place, error) from None
                try:
                    self._found[place] = self._digests(place, descriptor, buffer)
                finally:
                    os.close(descriptor)
        except BaseException as error:
            self._error = self._error or error
            self._stopped = True

    def _digests(self, place: Place, descriptor: int, buffer: memoryview) -> Digests:
        known, kinds = self._wanted[place]
        if identity(os.fstat(descriptor)) != known:
            raise _changed(self._folders, place)
        sinks = [Sink(kind) for kind in kinds]
        read = 0
        try:
            while count := os.readv(descriptor, [buffer]):
                read += count
                if read > known[2] or self._stopped:
                    break
                for sink in sinks:
                    sink.update(buffer[:count])
                self._progress.add(count)
            status = os.fstat(descriptor)
        except OSError as error:
            raise _unreadable(self._folders, place, error) from None
        if read != known[2] or identity(status) != known:
            raise _changed(self._folders, place)
        return tuple([sink.digests() for sink in sinks])


def _changed(folders: Folders, place: Place) -> Refused:
    return Refused(f"{folders.name(place)!r} was changed while it was read")


def _unreadable(folders: Folders, place: Place, error: OSError) -> Refused:
    if error.errno in _REPLACED:
        return _changed(folders, place)
    return Refused(f"{folders.name(place)!r} cannot be read: {error.strerror}")
