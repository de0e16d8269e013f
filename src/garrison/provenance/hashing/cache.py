"""What files hashed to, for as long as nothing tells of a change: for those who would rather trust that than read.

A file is taken for the one that was read if its place, device, inode, size and both times of change are the same.
Whoever can set the clock or write to the disk itself can make that so for another file, which is why nobody gets this
unasked.

The cache is one file a model, in JSON after its own digest, that only its owner can read or write. It is replaced
whole: of two processes that write at once one is lost, and nothing else. What cannot be read, or others could have
written, is as if it were not there.
"""

import contextlib
import hashlib
import os
import stat
import time

import msgspec

from garrison.provenance.hashing.folders import Identity
from garrison.provenance.hashing.reading import Digests
from garrison.provenance.hashing.sinks import Kind

_FORM = 1
_MOST_BYTES = 1 << 30
_DIGEST = 64
"""A file begins with the SHA-256 of the rest in hexadecimal, so that damage is noticed."""
_SETTLED_SECONDS = 3
"""How long a file must have been left alone before it was read: within the same tick of its clock (2 s on FAT) it could
have been changed once more without a trace."""


class _File(msgspec.Struct, frozen=True, array_like=True):
    identity: Identity
    digests: dict[str, tuple[str, ...]]
    """In lower-case hexadecimal, by the name of the kind."""


class _Stored(msgspec.Struct, frozen=True):
    form: int
    model: str
    files: dict[str, _File]
    """By path below the model."""


class Cache:
    """Where digests are kept."""

    def __init__(self, folder: str | None = None) -> None:
        """By default in `garrison/digests` in `XDG_CACHE_HOME`."""
        caches = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
        self._folder = folder or os.path.join(caches, "garrison", "digests")

    def of(self, model: str) -> "Remembered":
        """What is known of the model at a path, which may lead through symbolic links."""
        return Remembered(self._folder, os.path.realpath(model))


class Remembered:
    """What was read of one model before, and is now."""

    def __init__(self, folder: str, model: str) -> None:
        self._folder = folder
        self._model = os.fsencode(model).hex()
        self._path = os.path.join(self._folder, f"{hashlib.sha256(self._model.encode()).hexdigest()}.json")
        self._before = self._read()
        self._now: dict[str, _File] = {}
        self._settled = time.time_ns() - _SETTLED_SECONDS * 10**9

    def digests(self, path: str, identity: Identity, kinds: tuple[Kind, ...]) -> Digests | None:
        """What a file below the model hashed to, if it is unchanged and all kinds are known."""
        known = self._before.get(path)
        if known is None or known.identity != identity:
            return None
        try:
            found = tuple([known.digests[_name(kind)] for kind in kinds])
        except KeyError:
            return None
        self._now[path] = known
        return found

    def add(self, path: str, identity: Identity, kinds: tuple[Kind, ...], digests: Digests) -> None:
        """Remember what was read, unless the file is so fresh that it could still change unnoticed."""
        if max(identity[3:]) >= self._settled:
            return
        known = self._before.get(path)
        others = known.digests if known is not None and known.identity == identity else {}
        self._now[path] = _File(identity, {**others, **dict(zip(map(_name, kinds), digests, strict=True))})

    def write(self) -> None:
        """Keep what is known of the files that were there this time.

        A disk that is full or read-only costs the next run time, and nothing else.
        """
        if self._now == self._before:
            return
        import tempfile  # which takes longer to import than most models to look at

        data = msgspec.json.encode(_Stored(_FORM, self._model, self._now))
        data = hashlib.sha256(data).hexdigest().encode() + data
        draft = None
        try:
            os.makedirs(self._folder, mode=0o700, exist_ok=True)
            descriptor, draft = tempfile.mkstemp(dir=self._folder)  # which only the owner can open
            with open(descriptor, "wb") as file:
                file.write(data)
            os.replace(draft, self._path)
        except OSError:
            if draft is not None:
                with contextlib.suppress(OSError):
                    os.unlink(draft)

    def _read(self) -> dict[str, _File]:
        try:
            _check_private(os.stat(self._folder, follow_symlinks=False))
            with open(os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK), "rb") as file:
                _check_private(os.fstat(file.fileno()))
                data = file.read(_MOST_BYTES)
            if hashlib.sha256(data[_DIGEST:]).hexdigest().encode() != data[:_DIGEST]:
                return {}
            stored = msgspec.json.decode(data[_DIGEST:], type=_Stored)
        except (OSError, msgspec.DecodeError):
            return {}
        return stored.files if stored.form == _FORM and stored.model == self._model else {}


def _check_private(status: os.stat_result) -> None:
    """Raises `PermissionError` for what others than this user could have written."""
    if status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) & (stat.S_IWGRP | stat.S_IWOTH):
        raise PermissionError


def _name(kind: Kind) -> str:
    algorithm, shard_size = kind
    return algorithm if shard_size is None else f"{algorithm}:{shard_size}"
