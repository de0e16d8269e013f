"""One layer as a stream: its bytes are read once, in order, and hashed as they pass, packed and unpacked."""

import hashlib

from garrison.core.errors import Malformed
from garrison.sources.containers.streams import decompressor
from garrison.sources.reader import DecompressingReader, Decompressor, Reader
from garrison.sources.source import Context

_STEP = 1 << 20
_CACHE = 1 << 20


class Hash:
    """A digest over bytes that come in order, with what came before told again."""

    def __init__(self, algorithm: str = "sha256") -> None:
        self._algorithm = algorithm
        self._hash = hashlib.new(algorithm)
        self.done = 0
        """Bytes so far."""

    def update(self, offset: int, data: bytes) -> None:
        """Take bytes from `offset`, which must not be past what is done."""
        if offset + len(data) > self.done >= offset:
            self._hash.update(memoryview(data)[self.done - offset :])
            self.done = offset + len(data)

    def digest(self) -> str:
        return f"{self._algorithm}:{self._hash.hexdigest()}"


class HashingReader(Reader):
    """Another reader, all of whose bytes are hashed once, those that nobody asks for too."""

    def __init__(self, parent: Reader, algorithm: str = "sha256") -> None:
        self._parent = parent
        self.hash = Hash(algorithm)

    @property
    def size(self) -> int:
        return self._parent.size

    def pread(self, offset: int, length: int) -> bytes:
        if offset > self.hash.done:
            self._until(offset)
        data = self._parent.pread(offset, length)
        self.hash.update(offset, data)
        return data

    def finish(self, context: Context) -> None:
        """Read what nobody has asked for."""
        self._until(self._parent.size, context)

    def _until(self, offset: int, context: Context | None = None) -> None:
        while self.hash.done < offset:
            if context is not None:
                context.check_time()
            data = self._parent.pread(self.hash.done, min(_STEP, offset - self.hash.done))
            if not data:
                return
            self.hash.update(self.hash.done, data)


class _HashingStream:
    """A decompressor whose output is hashed, once, however often it is started again."""

    def __init__(self, stream: Decompressor, digest: Hash, position: int = 0) -> None:
        self._stream = stream
        self._digest = digest
        self._position = position
        if hasattr(stream, "copy"):
            self.copy = self._copy

    def read(self, size: int, /) -> bytes:
        data = self._stream.read(size)
        self._digest.update(self._position, data)
        self._position += len(data)
        return data

    def _copy(self) -> "_HashingStream":
        return _HashingStream(self._stream.copy(), self._digest, self._position)  # type: ignore[attr-defined]


class Layer:
    """The tar archive of a layer, plain or packed; `reader` gives it unpacked."""

    def __init__(self, blob: Reader, context: Context, algorithm: str = "sha256") -> None:
        self._packed = HashingReader(blob, algorithm)
        self._context = context
        start = decompressor(blob)
        self.packed = start is not None
        """Whether it is compressed."""
        self._unpacked = Hash()
        self.reader: Reader = self._packed
        if start is not None:
            unpacking = decompressor(self._packed)
            assert unpacking is not None
            self.reader = context.decompressing(lambda: _HashingStream(unpacking(), self._unpacked), cache=_CACHE)

    def finish(self) -> None:
        """Read to the end, which the digests need. Raises `Malformed` where the stream is damaged."""
        if isinstance(self.reader, DecompressingReader):
            _ = self.reader.size
        self._packed.finish(self._context)
        if isinstance(self.reader, DecompressingReader) and self.reader.error is not None:
            raise Malformed(f"the compressed stream is damaged: {self.reader.error}")

    @property
    def bytes_read(self) -> int:
        """Bytes of the blob that were read for the first time."""
        return self._packed.hash.done

    @property
    def digest(self) -> str:
        """Of the blob as it is."""
        return self._packed.hash.digest()

    @property
    def unpacked_digest(self) -> str:
        return self._unpacked.digest() if self.packed else self.digest
