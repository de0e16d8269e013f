"""PyTorch's checkpoints: the zip of today, the stacked pickles before version 1.6, and the tar of 0.1.

Source: `torch/serialization.py` (`_load`, `_legacy_load`).
"""

import contextlib
import functools
import struct
from collections.abc import Iterator

from garrison.artifacts.disarm import callables, elements
from garrison.artifacts.disarm.contents import Contents, Left
from garrison.artifacts.disarm.unpickling import Unpickling
from garrison.artifacts.disarm.values import Mapping, Opaque, Reference, Storage, Value
from garrison.artifacts.formats.pytorch import root_of, tar_members
from garrison.core.errors import ExaminationError, Malformed, NotUnderstood
from garrison.sources.containers.zip import Member, directory, open_member
from garrison.sources.reader import Reader
from garrison.sources.source import Context, Source

_PICKLES = {"data.pkl": "", "constants.pkl": "constants"}
_STORED = 0
_ORDINARY = frozenset({"version", "byteorder", ".format_version", ".storage_alignment", ".data/serialization_id"})
_BEFORE_THE_OBJECT = 3
_DIMENSIONS = 64


def zipped(source: Source, context: Context) -> Contents:
    """What the archive holds; `constants.pkl` of TorchScript too."""
    archive = _Archive(source.reader, context)
    contents = Contents(framework="pt")
    parts: list[tuple[Value, Value]] = []
    found = False
    for name, prefix in _PICKLES.items():
        if archive.member(name) is None:
            continue
        found = True
        value = archive.value(name, prefix or "data", contents.acts)
        if prefix:
            parts.append((prefix, value))
        else:
            contents.root = value
    if not found:
        raise NotUnderstood("an archive of TorchScript from before version 1.4")
    if parts:
        contents.root = _together(contents.root, parts)
    contents.left += archive.left()
    return contents


def _together(root: Value, parts: list[tuple[Value, Value]]) -> Value:
    """Constants beside the module's own state, if there are any."""
    parts = [(name, value) for name, value in parts if value not in ((), [])]
    if not parts:
        return root
    if isinstance(root, Opaque):
        root.states.append(Mapping(parts))
        return root
    return Mapping([("data", root), *parts])


def stacked(source: Source, context: Context) -> Contents:
    """What the stacked pickles hold."""
    contents = Contents(framework="pt")
    stack = _Stack(source.reader, context, contents.acts)
    contents.root = stack.value()
    contents.left += stack.left()
    return contents


def load(data: Reader, context: Context, acts: list[Opaque], *, depth: int = 0) -> Value:
    """The value that `torch.load` gives for these bytes, whatever the layout. Raises `ExaminationError`."""
    if data.pread(0, 2) == b"PK":
        return _Archive(data, context).value("data.pkl", "data", acts, depth)
    return _Stack(data, context, acts, depth).value()


def tarred(source: Source, context: Context) -> Contents:
    """What a checkpoint in a tar holds: storages and tensors in members of their own, and a pickle that names them."""
    contents = Contents(framework="pt")
    members = tar_members(source)
    known: dict[int, Value] = {}
    for name, read in (("storages", _tarred_storages), ("tensors", _tarred_tensors)):
        read(source.reader.window(*members[name]), context, contents.acts, known)

    def persistent(identifier: Value) -> Value:
        if isinstance(identifier, tuple) and identifier:  # a class, and perhaps its source
            return identifier[0]
        number = int(identifier) if isinstance(identifier, int | str) and str(identifier).isdecimal() else -1
        return known.get(number, Opaque("object that is not in the tar", 0))

    pickled = source.reader.window(*members["pickle"])
    contents.root = Unpickling(pickled, context, acts=contents.acts, persistent=persistent).load()
    return contents


def _counted(reader: Reader, context: Context, acts: list[Opaque]) -> Iterator[tuple[Unpickling, Value]]:
    """The pickles behind a count; whoever reads on behind one moves `position`."""
    stream = Unpickling(reader, context, acts=acts)
    count = stream.load()
    for _ in range(count if type(count) is int else 0):
        yield stream, stream.load(stream.position)


def _tarred_storages(reader: Reader, context: Context, acts: list[Opaque], known: dict[int, Value]) -> None:
    position = 0
    stream = Unpickling(reader, context, acts=acts)
    for stream, described in _counted(reader, context, acts):
        match described:
            case (int() as key, _, Reference(name=name)) if name in elements.STORAGES:
                dtype = elements.STORAGES[name]
            case _:
                raise Malformed(f"a storage at {stream.position:#x} that describes none")
        size = int.from_bytes(reader.exactly(stream.position, 8), "little") * elements.BYTES[dtype]
        stream.skip(8)
        known[key] = Storage(dtype, str(key), size, reader.window(stream.position, size))
        stream.skip(size)
        position = stream.position
    views = stream.load(position) if position else None
    for view in views if isinstance(views, list) else ():
        match view:
            case (int() as target, int() as root, int() as offset, int() as count):
                base = known.get(root)
                if isinstance(base, Storage) and base.reader is not None:
                    width = elements.BYTES[base.dtype]
                    if offset >= 0 and count >= 0 and (offset + count) * width <= base.size:
                        part = base.reader.window(offset * width, count * width)
                        known[target] = Storage(base.dtype, str(target), count * width, part)


def _tarred_tensors(reader: Reader, context: Context, acts: list[Opaque], known: dict[int, Value]) -> None:
    for stream, described in _counted(reader, context, acts):
        (dimensions,) = struct.unpack("<i", reader.exactly(stream.position, 4))
        if not 0 <= dimensions <= _DIMENSIONS:
            raise Malformed(f"a tensor of {dimensions} dimensions at {stream.position:#x}")
        stream.skip(8)
        numbers = struct.unpack(f"<{2 * dimensions + 1}q", reader.exactly(stream.position, 16 * dimensions + 8))
        stream.skip(16 * dimensions + 8)
        match described:
            case (int() as key, int() as storage, _):
                shape, strides = numbers[:dimensions], numbers[dimensions:-1]
                known[key] = callables.view(stream, known.get(storage), numbers[-1], shape, strides)


class _Storages:
    """The storages that a pickle names, by their keys: the first name that a key is given with holds."""

    def __init__(self) -> None:
        self.known: dict[str, Storage] = {}

    def get(self, kind: Value, key: Value, count: Value) -> Value:
        """The storage of a persistent id, or an `Opaque` where it describes none."""
        name = kind.name if isinstance(kind, Reference) else ""
        dtype = "U8" if name == "UntypedStorage" else elements.STORAGES.get(name, "")
        if isinstance(key, int):
            key = str(key)
        if not dtype or not isinstance(key, str) or type(count) is not int or not 0 <= count < 1 << 48:
            return Opaque(f"storage of type {name or 'unknown'}", 0)
        if key not in self.known:
            self.known[key] = Storage(dtype, key, count * elements.BYTES[dtype])
        return self.known[key]


class _Archive:
    def __init__(self, reader: Reader, context: Context) -> None:
        self._reader = reader
        self._context = context
        found = directory(reader)
        root = root_of(found)
        if root is None:
            raise Malformed("the archive has no data.pkl")
        self._prefix = f"{root}/" if root else ""
        self._members = {member.name.lower(): member for member in reversed(found.members) if member.data >= 0}
        self._used: set[str] = set()
        self._swapped = self._small("byteorder") == b"big"

    def member(self, name: str) -> Member | None:
        """By its name below the archive's folder, in any case, as PyTorch's reader looks for it."""
        member = self._members.get(f"{self._prefix}{name}".lower())
        if member is not None:
            self._used.add(member.name)
        return member

    def _opened(self, member: Member) -> Reader:
        window = self._reader.window(member.data, member.packed)
        if member.method == _STORED:
            return window
        if open_member(window, member.method, self._context) is None:
            raise Malformed(f"{member.name!r} is packed with method {member.method}")
        return _Packed(window, member, self._context)

    def _small(self, name: str) -> bytes:
        member = self.member(name)
        return b"" if member is None else self._opened(member).pread(0, 64).strip()

    def value(self, name: str, folder: str, acts: list[Opaque], depth: int = 0) -> Value:
        """The value of a pickle whose storages are members of a folder."""
        member = self.member(name)
        if member is None:
            raise Malformed(f"the archive has no {name}")
        storages = _Storages()

        def persistent(identifier: Value) -> Value:
            match identifier:
                case ("storage" | b"storage", kind, key, _, count):
                    found = storages.get(kind, key, count)
                    if isinstance(found, Storage) and found.reader is None and not found.problem:
                        self._find(found, folder)
                    return found
            return Opaque("persistent object that is no storage", 0)

        pickled = self._opened(member)
        return Unpickling(pickled, self._context, acts=acts, persistent=persistent, depth=depth).load()

    def _find(self, storage: Storage, folder: str) -> None:
        member = self.member(f"{folder}/{storage.key}")
        if member is None:
            storage.problem = "its bytes are not in the archive"
            return
        try:
            reader = self._opened(member)
            if storage.size and not reader.pread(storage.size - 1, 1):
                storage.problem = "there are fewer bytes in the archive than it claims"
                return
        except ExaminationError as error:
            storage.problem = str(error)
            return
        storage.reader, storage.swapped = reader, self._swapped

    def left(self) -> list[Left]:
        """Members that nothing asked for."""
        found = []
        for member in self._members.values():
            inside = member.name.removeprefix(self._prefix)
            if member.name in self._used or member.name.endswith("/") or inside.lower() in _ORDINARY:
                continue
            code = inside.startswith("code/") or inside.lower() in ("bytecode.pkl", "model.json")
            what = "code of the archive" if code else "member of the archive that its pickle does not name"
            found.append(Left(path=inside, reason=what))
        return found


class _Packed(Reader):
    """A compressed member, which `torch.save` never writes: unpacked again when it is asked for, one at a time."""

    def __init__(self, packed: Reader, member: Member, context: Context) -> None:
        self._packed, self._member, self._context = packed, member, context

    @property
    def size(self) -> int:
        return self._member.size

    def pread(self, offset: int, length: int) -> bytes:
        return _unpacked(self).pread(offset, length)

    def unpacked(self) -> Reader:
        reader = open_member(self._packed, self._member.method, self._context)
        assert reader is not None
        return reader


@functools.lru_cache(maxsize=1)
def _unpacked(packed: _Packed) -> Reader:
    return packed.unpacked()


class _Stack:
    def __init__(self, reader: Reader, context: Context, acts: list[Opaque], depth: int = 0) -> None:
        self._reader = reader
        self._context = context
        self._acts = acts
        self._depth = depth
        self._storages = _Storages()
        self._views: list[tuple[Storage, Storage, int]] = []
        self._end = 0

    def value(self) -> Value:
        """The object, with its storages found behind it."""
        position = 0
        for _ in range(_BEFORE_THE_OBJECT):
            before = Unpickling(self._reader, self._context, acts=self._acts)
            before.load(position)
            position = before.position
        pickled = Unpickling(
            self._reader, self._context, acts=self._acts, persistent=self._persistent, depth=self._depth
        )
        root = pickled.load(position)
        self._end = pickled.position
        keys = Unpickling(self._reader, self._context, acts=self._acts)
        # Where what follows is not there, or is something else, the object is there all the same.
        with contextlib.suppress(Malformed):
            self._place(keys.load(pickled.position), keys.position)
        self._settle()
        return root

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
            storage = self._storages.known.get(str(key))
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
