"""What bytes are hashed into: one digest for all of them, or one for each shard."""

import hashlib
from collections.abc import Callable
from typing import Protocol

from blake3 import blake3

from garrison.provenance.hashing.manifest import Algorithm, Serialization

Kind = tuple[Algorithm, int | None]
"""An algorithm, and the bytes in a shard, or `None` for whole files."""


def kind_of(serialization: Serialization) -> Kind:
    """What one reading of a file has to give for a manifest."""
    assert serialization.algorithm != "automatic"
    return serialization.algorithm, serialization.shard_size if serialization.method == "shards" else None


class Hash(Protocol):
    def update(self, data: bytes | memoryview, /) -> object: ...

    def hexdigest(self) -> str: ...


HASHES: dict[Algorithm, Callable[[bytes], Hash]] = {
    "blake3": blake3,
    "sha256": hashlib.sha256,
    "blake2b": hashlib.blake2b,
}


class Sink:
    """Takes a file's bytes in order."""

    def __init__(self, kind: Kind) -> None:
        self._new = HASHES[kind[0]]
        self._shard_size = kind[1]
        self._done: list[str] = []
        self._hash = self._new(b"")
        self._held = 0

    def update(self, data: memoryview) -> None:
        if self._shard_size is None:
            self._hash.update(data)
            return
        while data:
            if self._held == self._shard_size:
                self._done.append(self._hash.hexdigest())
                self._hash, self._held = self._new(b""), 0
            part = data[: self._shard_size - self._held]
            self._hash.update(part)
            self._held += len(part)
            data = data[len(part) :]

    def digests(self) -> tuple[str, ...]:
        """In lower-case hexadecimal; for an empty file one."""
        return (*self._done, self._hash.hexdigest())
