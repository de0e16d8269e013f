"""What a manifest holds: the files of a model with their digests, and how they were found and hashed."""

import hashlib
from typing import Literal

import msgspec

Algorithm = Literal["blake3", "sha256", "blake2b"]
"""`blake2b` has 64 bytes, the others 32."""

SINGLE_FILE = "."
"""What the one file of a model that is no directory is called."""


class Serialization(msgspec.Struct, frozen=True, kw_only=True):
    """How files are found and hashed; a manifest can be made again from it."""

    method: Literal["files", "shards"] = "files"
    """Whether there is one digest a file, or one for each `shard_size` bytes of it."""
    algorithm: Algorithm | Literal["automatic"] = "blake3"
    """`automatic` is settled by the model's size when it is hashed; a manifest that was made names the algorithm."""
    ignored: tuple[str, ...] = ()
    """Exact paths below the model that do not belong to it."""
    follow_symlinks: bool = False
    shard_size: int | None = None
    """Bytes; only under shards."""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A file, or a shard of one."""

    name: str
    """The path below the model; under shards followed by `:START:END`, in bytes, END not included."""
    digest: str
    """In lower-case hexadecimal."""
    algorithm: Algorithm


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    """What the model is called; nothing depends on it."""
    serialization: Serialization
    entries: tuple[Entry, ...]
    """By name, in the order of code points, when they were made here."""
    passed_over: tuple[str, ...] = ()
    """Of what the serialization ignores, the paths that were there when the model was read."""

    @property
    def root(self) -> str:
        """The model's own digest: SHA-256 over all digests, one after the other, in lower-case hexadecimal.

        Like the format's, it is over the bytes and the order of files alone: names are only in the manifest.
        """
        return hashlib.sha256(bytes.fromhex("".join([entry.digest for entry in self.entries]))).hexdigest()


SHA256_BYTES = 1 << 30
"""The size from which `automatic` is no longer SHA-256, which every verifier reads, but BLAKE3: up to here the
difference is a fraction of a second."""

DEFAULT_SERIALIZATION = Serialization(
    algorithm="automatic", ignored=(".git", ".gitattributes", ".github", ".gitignore")
)


def file_of(entry: str, serialization: Serialization) -> str:
    """The path of the file that an entry is about."""
    return entry.rsplit(":", 2)[0] if serialization.method == "shards" else entry
