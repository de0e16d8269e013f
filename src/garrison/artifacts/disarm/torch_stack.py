"""PyTorch's checkpoints before version 1.6: pickles and storages one after the other.

Source: `torch/serialization.py` (`_legacy_load`).
"""

import contextlib
import struct

from garrison.artifacts.disarm import elements
from garrison.artifacts.disarm.contents import Left
from garrison.artifacts.disarm.torch_storages import Storages
from garrison.artifacts.disarm.unpickling import Persistent, Rules, Unpickling
from garrison.artifacts.disarm.values import Opaque, Reference, Storage, Value
from garrison.core.errors import Malformed
from garrison.sources.reader import Reader
from garrison.sources.source import Context

_BEFORE_THE_OBJECT = 3


class Stack:
    """One checkpoint of stacked pickles."""

    def __init__(self, reader: Reader, context: Context, rules: Rules, acts: list[Opaque], depth: int = 0) -> None:
        self._reader = reader
        self._context = context
        self._rules = rules
        self._acts = acts
        self._depth = depth
        self._storages = Storages()
        self._views: list[tuple[Storage, Storage, int]] = []
        self._end = 0

    def value(self) -> Value:
        """The object, with its storages found behind it."""
        position = 0
        for _ in range(_BEFORE_THE_OBJECT):
            before = self._pickled()
            before.load(position)
            position = before.stream.position
        pickled = self._pickled(self._persistent)
        root = pickled.load(position)
        self._end = pickled.stream.position
        keys = self._pickled()
        # Where what follows is not there, or is something else, the object is there all the same.
        with contextlib.suppress(Malformed):
            self._place(keys.load(self._end), keys.stream.position)
        self._settle()
        return root

    def _pickled(self, persistent: Persistent | None = None) -> Unpickling:
        return Unpickling(
            self._reader, self._context, self._rules, acts=self._acts, persistent=persistent, depth=self._depth
        )

    def _persistent(self, identifier: Value) -> Value:
        match identifier:
            case ("module" | b"module", Reference() as kind, _, source):
                if source:
                    self._acts.append(Opaque(f"source code of {kind.whole}", kind.place))
                return kind
            case ("storage" | b"storage", kind, key, _, count, view):
                base = self._storages.get(kind, key, count)
                match view:
                    case (view_key, int() as offset, int() as size) if isinstance(base, Storage):
                        return self._view(base, view_key, offset, size)
                return base if view is None else Opaque("view of a storage that describes none", 0)
        return Opaque("persistent object that is no storage", 0)

    def _view(self, base: Storage, key: Value, offset: int, size: int) -> Value:
        width = elements.BYTES[base.dtype]
        if offset < 0 or size < 0 or (offset + size) * width > base.size:
            return Opaque("view of a storage that reaches beyond it", 0)
        view = Storage(base.dtype, f"{base.key}.{key}", size * width)
        self._views.append((view, base, offset * width))
        return view

    def _place(self, keys: Value, position: int) -> None:
        """Find the storages: each is a count of elements and the elements, in the order of the keys."""
        for key in keys if isinstance(keys, list) else ():
            storage = self._storages.known.get(str(key)) if isinstance(key, str | int) else None
            if storage is None:
                raise Malformed("a storage that no tensor names stands among the storages")
            (count,) = struct.unpack("<q", self._reader.exactly(position, 8))
            size = count * elements.BYTES[storage.dtype]
            position += 8
            if count < 0 or (size and not self._reader.pread(position + size - 1, 1)):
                storage.problem = "there are fewer bytes in the file than it claims"
                break
            if size < storage.size:
                storage.problem = "it is shorter than the pickle claims"
            else:
                storage.reader = self._reader.window(position, size)
            position += size
            self._end = position

    def _settle(self) -> None:
        """Say what was not found, and where the views are of what was."""
        for storage in self._storages.known.values():
            if storage.reader is None and not storage.problem:
                storage.problem = "its bytes are not in the file"
        for view, base, offset in self._views:
            view.problem = base.problem
            view.reader = None if base.reader is None else base.reader.window(offset, view.size)

    def left(self) -> list[Left]:
        """Bytes behind the last storage."""
        if self._reader.pread(self._end, 1):
            return [Left(path="", reason="bytes behind the checkpoint", place=f"@ {self._end:#x}")]
        return []
