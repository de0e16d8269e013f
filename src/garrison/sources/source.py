"""What an extractor is given: a source (bytes with a name) and a context (budgets)."""

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from garrison.core.errors import LimitExceeded
from garrison.sources.reader import BytesReader, DecompressingReader, Decompressor, Reader

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from garrison.core.facts import AnyFact, Examination
    from garrison.core.limits import Limits
    from garrison.sources.scope import Scope


class Source:
    """Bytes with a name.

    `subject` is the path as given, joined by `!/` into containers; `name` its last path component, used only to follow
    loaders that go by name. `loaded_as` names formats whose loaders will be given these bytes whatever they look like
    (the `data.pkl` of a PyTorch archive is unpickled even if it looks like text). `scope` says what a file of a file
    system is examined for; `None` means everything. `beside` are the files that make up the subject together with it,
    by their paths, as the blobs of an image's layout do.
    """

    __slots__ = ("beside", "depth", "loaded_as", "name", "reader", "scope", "subject")

    def __init__(
        self,
        subject: str,
        reader: Reader,
        *,
        depth: int = 0,
        loaded_as: tuple[str, ...] = (),
        scope: "Scope | None" = None,
        beside: "Mapping[str, Reader] | None" = None,
    ) -> None:
        self.subject = subject
        self.name = subject.rpartition("!/")[2].rpartition("/")[2]
        self.reader = reader
        self.depth = depth
        self.loaded_as = loaded_as
        self.scope = scope
        self.beside = beside or {}

    def member(self, name: str, reader: Reader | bytes, *, loaded_as: tuple[str, ...] = ()) -> "Source":
        """A source inside this one; yield it from an extractor to have it examined in turn."""
        inner = BytesReader(reader) if isinstance(reader, bytes) else reader
        return Source(f"{self.subject}!/{name}", inner, depth=self.depth + 1, loaded_as=loaded_as, scope=self.scope)


class Context:
    """The budgets of one top-level file, shared by all that is found inside it."""

    def __init__(self, limits: "Limits", size: int) -> None:
        self.limits = limits
        self.packed = max(size, 1)
        self.unpacked = 0
        self.deadline = time.monotonic() + limits.seconds + limits.seconds_per_gib * size / (1 << 30)

    def check_time(self) -> None:
        """Raise `LimitExceeded` when the time is up; call it in loops that the input makes long."""
        if time.monotonic() > self.deadline:
            raise LimitExceeded("seconds", "took longer than the time limit")

    def charge(self, count: int) -> None:
        """Account for `count` bytes that decompression produced; raise `LimitExceeded` past the limits."""
        self.unpacked += count
        limits = self.limits
        if self.unpacked > limits.unpacked:
            raise LimitExceeded("unpacked", f"unpacks to more than {limits.unpacked} bytes")
        if self.unpacked > limits.ratio_floor and self.unpacked > limits.ratio * self.packed:
            raise LimitExceeded("ratio", f"unpacks to more than {limits.ratio} times its {self.packed} bytes")
        self.check_time()

    def decompressing(self, start: "Callable[[], Decompressor]", cache: int | None = None) -> DecompressingReader:
        """A reader over a forward-only decompressor, charged to this context, that keeps the first `cache` bytes."""
        return DecompressingReader(start, self.charge, cache=self.limits.buffer if cache is None else cache)


Extracted = Iterator["AnyFact | Source | Examination"]
"""What an extractor yields: facts about its source, sources found inside it, and examinations of what is inside but
cannot be read."""
