"""What an index said, kept under `XDG_CACHE_HOME`, so that it need not be asked again, or can be when it is away."""

import contextlib
import hashlib
import os
import threading

import msgspec

from garrison.dependencies.index.project import Project

_FORM = 1
"""Raised whenever what is stored changes."""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    form: int = _FORM
    name: str
    project: Project | None
    """`None` where the index does not know the name."""
    asked: float
    """When the index was last asked, in seconds since 1970."""
    lifetime: int = 0
    """For how many seconds the index says that it need not be asked again."""
    etag: str = ""
    modified: str = ""
    """`Last-Modified`, as the index wrote it."""


class Cache:
    """One index's answers; a file for each name, written whole or not at all. What cannot be read is not there."""

    def __init__(self, url: str, folder: str | None = None) -> None:
        top = folder or os.path.join(
            os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "garrison", "index"
        )
        self._folder = os.path.join(top, hashlib.sha256(url.encode()).hexdigest()[:16])

    def read(self, name: str) -> Entry | None:
        try:
            with open(self._path(name), "rb") as file:
                entry = msgspec.msgpack.decode(file.read(), type=Entry)
        except (OSError, msgspec.DecodeError):
            return None
        return entry if entry.form == _FORM and entry.name == name else None

    def text(self, digest: str) -> str | None:
        """The metadata of the file with this digest, which never changes."""
        try:
            with open(os.path.join(self._folder, f"{digest}.metadata"), encoding="utf-8") as file:
                return file.read() if digest else None
        except (OSError, UnicodeDecodeError):
            return None

    def keep(self, digest: str, text: str) -> None:
        if digest:
            self._store(os.path.join(self._folder, f"{digest}.metadata"), text.encode())

    def write(self, entry: Entry) -> None:
        self._store(self._path(entry.name), msgspec.msgpack.encode(entry))

    def _store(self, path: str, data: bytes) -> None:
        """A disk that is full or read-only costs the next scan time, and nothing else."""
        draft = f"{path}.{os.getpid()}-{threading.get_ident()}.part"
        try:
            os.makedirs(self._folder, mode=0o700, exist_ok=True)
            with open(draft, "wb") as file:
                file.write(data)
            os.replace(draft, path)
        except OSError:
            with contextlib.suppress(OSError):
                os.unlink(draft)

    def _path(self, name: str) -> str:
        readable = "".join(letter for letter in name if letter.isalnum() or letter in "-_.")[:60]
        return os.path.join(self._folder, f"{readable}-{hashlib.sha256(name.encode()).hexdigest()[:12]}.msgpack")
