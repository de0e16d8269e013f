"""PyTorch's checkpoints of version 0.1: a tar whose members are pickles, storages and tensors.

Source: `torch/serialization.py` (`legacy_load` in `_legacy_load`).
"""

import struct
from collections.abc import Iterator

from garrison.artifacts.disarm import elements
from garrison.artifacts.disarm.contents import Contents
from garrison.artifacts.disarm.rules.table import RULES
from garrison.artifacts.disarm.rules.tensors import view
from garrison.artifacts.disarm.shapes import DIMENSIONS
from garrison.artifacts.disarm.unpickling import Unpickling
from garrison.artifacts.disarm.values import Opaque, Reference, Storage, Value
from garrison.artifacts.formats.pytorch import tar_members
from garrison.core.errors import Malformed
from garrison.sources.reader import Reader
from garrison.sources.source import Context, Source


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
    contents.root = Unpickling(pickled, context, RULES, acts=contents.acts, persistent=persistent).load()
    return contents


def _counted(reader: Reader, context: Context, acts: list[Opaque]) -> Iterator[tuple[Unpickling, Value]]:
    """The pickles behind a count; whoever reads on behind one moves its `stream`."""
    pickled = Unpickling(reader, context, RULES, acts=acts)
    count = pickled.load()
    for _ in range(count if type(count) is int else 0):
        yield pickled, pickled.load(pickled.stream.position)


def _tarred_storages(reader: Reader, context: Context, acts: list[Opaque], known: dict[int, Value]) -> None:
    pickled = None
    for pickled, described in _counted(reader, context, acts):
        stream = pickled.stream
        match described:
            case (int() as key, _, Reference(name=name)) if name in elements.STORAGES:
                dtype = elements.STORAGES[name]
            case _:
                raise Malformed(f"a storage at {stream.position:#x} that describes none")
        size = int.from_bytes(reader.exactly(stream.position, 8), "little") * elements.BYTES[dtype]
        stream.skip(8)
        known[key] = Storage(dtype, str(key), size, reader.window(stream.position, size))
        stream.skip(size)
    views = pickled.load(pickled.stream.position) if pickled is not None else None
    for described in views if isinstance(views, list) else ():
        match described:
            case (int() as target, int() as root, int() as offset, int() as count):
                base = known.get(root)
                if isinstance(base, Storage) and base.reader is not None:
                    width = elements.BYTES[base.dtype]
                    if offset >= 0 and count >= 0 and (offset + count) * width <= base.size:
                        part = base.reader.window(offset * width, count * width)
                        known[target] = Storage(base.dtype, str(target), count * width, part)


def _tarred_tensors(reader: Reader, context: Context, acts: list[Opaque], known: dict[int, Value]) -> None:
    for pickled, described in _counted(reader, context, acts):
        stream = pickled.stream
        (dimensions,) = struct.unpack("<i", reader.exactly(stream.position, 4))
        if not 0 <= dimensions <= DIMENSIONS:
            raise Malformed(f"a tensor of {dimensions} dimensions at {stream.position:#x}")
        stream.skip(8)
        numbers = struct.unpack(f"<{2 * dimensions + 1}q", reader.exactly(stream.position, 16 * dimensions + 8))
        stream.skip(16 * dimensions + 8)
        match described:
            case (int() as key, int() as number, _):
                storage = known.get(number)
                if isinstance(storage, Storage):
                    shape, strides = numbers[:dimensions], numbers[dimensions:-1]
                    known[key] = view(pickled, storage.dtype, storage, numbers[-1], shape, strides)
                else:
                    known[key] = Opaque("tensor without its storage", pickled.place)
