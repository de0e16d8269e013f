"""PyTorch checkpoints: the zip of today, the stacked pickles before version 1.6, and the tar of 0.1.

Sources: `torch/serialization.py` (`_save`, `_legacy_save`, `_legacy_load`) and `caffe2/serialize/inline_container.cc`.
The members of a zip are examined on their own; here is stated what the archive is as a whole.
"""

import re
import struct
from collections.abc import Iterator

from garrison.artifacts.pickle.streams import Streams, state, trailing
from garrison.core.errors import ExaminationError, Malformed
from garrison.core.facts import Anomaly, Artifact
from garrison.sources.containers import tar, zip
from garrison.sources.source import Context, Extracted, Source

_ELEMENTS = {
    **dict.fromkeys(("DoubleStorage", "LongStorage", "ComplexFloatStorage"), 8),
    **dict.fromkeys(("FloatStorage", "IntStorage", "QInt32Storage"), 4),
    **dict.fromkeys(("HalfStorage", "ShortStorage", "BFloat16Storage"), 2),
    "ComplexDoubleStorage": 16,
}
_STREAMS = ("the magic number", "the protocol", "the system's types", "the object", "the storage keys")
_STORAGE = re.compile(r"(?:^|/)data/\d+$").search


def sniff_zip(source: Source) -> bool:
    """Whether a zip holds what `torch.save` or `torch.jit.save` writes.

    `torch.jit.load` finds an archive from its end, whatever stands before it.
    """
    return zip.sniff(source) and root_of(zip.directory(source.reader)) is not None


def root_of(found: zip.Directory) -> str | None:
    """The folder that holds what is loaded: the one of the first member, if it has a `data.pkl` in any case.

    PyTorch's reader takes the folder of the first member, and compares names without regard to case.
    """
    roots = [name.rpartition("/")[0] for member in found.members if (name := member.name).lower().endswith("data.pkl")]
    roots = [root for root in roots if f"{root}/data.pkl".lower().lstrip("/") in _names(found)]
    first = found.members[0].name.partition("/")[0] if found.members else ""
    if first in roots:
        return first
    # A folder below a folder is none that its reader can name: test data that a package brings along.
    nested = [root for root in roots if root and "/" not in root]
    if nested:
        return nested[0]
    return "" if "" in roots else _oldest_root(found)


def _oldest_root(found: zip.Directory) -> str | None:
    """The folder of a TorchScript archive of PyTorch 1.0 to 1.3, described by a `model.json`."""
    names = _names(found)
    for member in found.members:
        root, slash, last = member.name.rpartition("/")
        if slash and last.lower() == "model.json" and f"{root}/version".lower() in names:
            return root
    return None


def _names(found: zip.Directory) -> dict[str, zip.Member]:
    return {member.name.lower(): member for member in found.members}


def extract_zip(source: Source, context: Context) -> Extracted:
    """State what kind of archive it is, how much data it holds, and what its code does. Raises `Malformed`."""
    found = zip.directory(source.reader)
    root = root_of(found)
    if root is None:
        raise Malformed("the archive has no data.pkl")
    prefix = f"{root}/" if root else ""
    names = _names(found)
    storages = [member for member in found.members if member.name.startswith(prefix) and _STORAGE(member.name)]
    yield from _packed(storages, context)
    folder = f"{prefix}code/".lower()
    scripted = {f"{prefix}constants.pkl".lower(), f"{prefix}model.json".lower()} & set(names)
    code = bool(scripted) or any(name.startswith(folder) for name in names)
    details: dict[str, str | int | float | bool] = {
        "framework": "torch",
        "storages": len(storages),
        "storage_bytes": sum(member.size for member in storages),
        "torchscript": code,
    }
    if f"{prefix}bytecode.pkl".lower() in names:
        details["lite_interpreter"] = True
    for key in ("version", "byteorder", ".data/serialization_id"):
        member = names.get(f"{prefix}{key}".lower())
        if member is not None and member.method == 0 and member.data >= 0 and member.size <= 100:
            text = source.reader.pread(member.data, member.size).decode("ascii", "replace").strip()
            details[key.rpartition("/")[2]] = text
    yield Artifact(format="pytorch-zip", details=details)
    if code or "lite_interpreter" in details:
        from garrison.artifacts import torchscript_archive

        yield from torchscript_archive.operators(source, context, found, prefix)


def _packed(storages: list[zip.Member], context: Context) -> Iterator[Anomaly]:
    """`torch.save` packs nothing: storages that unpack to many times their size exhaust the memory of the loader."""
    packed = [member for member in storages if member.method]
    size, room = sum(member.size for member in packed), sum(member.packed for member in packed)
    if size > context.limits.buffer and size > context.limits.ratio * room:
        yield Anomaly(what="decompression-bomb", detail=f"storages of {room} bytes unpack to {size} bytes")


def extract_legacy(source: Source, context: Context) -> Extracted:
    """State what the five pickles do, and account for every byte of the storages behind them.

    Raises `Malformed` and `LimitExceeded`.
    """
    streams = Streams(source.reader, context)
    ledger = streams.ledger
    failure: ExaminationError | None = None
    try:
        _legacy(streams)
    except ExaminationError as error:
        failure = error
    yield Artifact(
        format="pytorch-legacy",
        details={"framework": "torch", "protocol": ledger.protocol, "storages": len(ledger.storages)},
    )
    yield from state(streams, source)
    if failure is not None:
        raise failure
    yield from trailing(streams, source)


def _legacy(streams: Streams) -> None:
    position = 0
    for number, what in enumerate(_STREAMS):
        if number == len(_STREAMS) - 1 and not streams.reader.pread(position, 1):
            streams.ledger.anomaly("malformed", "ends before its storage keys, where torch.load gives up", position)
            return
        ending = streams.one(position)
        position = ending.position
        streams.end = position
        if not ending.stopped:
            if streams.ledger.called:
                streams.ledger.anomaly("pickle-breaks-after-acting", f"{what} {ending.detail}", position)
            raise Malformed(f"the pickle of {what} {ending.detail}")
        streams.count += 1
    streams.end = end_of_storages(streams, position)


def end_of_storages(streams: Streams, position: int) -> int:
    """Walk over the raw storages: each is a count of elements and the elements.

    Raises `Malformed` where the bytes end too early.
    """
    reader = streams.reader
    for key in sorted(streams.ledger.storages, key=lambda key: (str(type(key)), key)):
        streams.context.check_time()
        count = struct.unpack("<q", reader.exactly(position, 8))[0]
        size = count * _ELEMENTS.get(streams.ledger.storages[key].rpartition(".")[2], 1)
        if count < 0 or (size and not reader.pread(position + 8 + size - 1, 1)):
            raise Malformed(f"the storage at {position:#x} claims {count} elements, more than there are")
        position += 8 + size
    return position


def sniff_tar(source: Source) -> bool:
    """Whether a tar holds the members of a checkpoint of PyTorch 0.1."""
    return {"pickle", "storages", "tensors"} <= set(tar_members(source))


def tar_members(source: Source) -> dict[str, tuple[int, int]]:
    """Offsets and lengths of the first members, by name."""
    members: dict[str, tuple[int, int]] = {}
    position = 0
    while len(members) < 16:
        header = source.reader.pread(position, 512)
        if len(header) < 512 or not header[0]:
            break
        try:
            size = int(header[124:136].strip(b" \0") or b"0", 8)
        except ValueError:
            break
        name = header[:100].rstrip(b"\0").decode("utf-8", "replace")
        if header[156:157] in (b"0", b"\0"):
            members[name.removeprefix("./")] = (position + 512, size)
        position += 512 + -(-size // 512) * 512
    return members


def extract_tar(source: Source, context: Context) -> Extracted:
    """State what the pickles between the raw storages and tensors do. Raises `Malformed` and `LimitExceeded`."""
    yield Artifact(format="pytorch-tar", details={"framework": "torch"})
    for item in tar.extract(source, context):
        if not isinstance(item, Source):
            yield item
        elif item.name in ("storages", "tensors"):
            yield from _between_raw_data(item, context)
        elif item.name == "pickle":
            yield source.member(item.name, item.reader, loaded_as=("pickle",))
        else:
            yield item


def _between_raw_data(member: Source, context: Context) -> Extracted:
    streams = Streams(member.reader, context)
    failure: ExaminationError | None = None
    try:
        _records(streams, member.name)
    except ExaminationError as error:
        failure = error
    yield from state(streams, member)
    if failure is not None:
        raise failure


def _records(streams: Streams, name: str) -> None:
    """A count, then that many pickles, each with raw data behind it; storages end in a pickle of views."""
    ending = streams.one(0)
    count = streams.machine.literal(ending.value)
    if not ending.stopped or type(count) is not int:
        raise Malformed(f"{name} does not begin with a count")
    position = ending.position
    for _ in range(count):
        streams.context.check_time()
        ending = streams.one(position)
        if not ending.stopped:
            raise Malformed(f"a pickle in {name} {ending.detail} at {ending.position:#x}")
        position = ending.position
        if name == "storages":
            items = streams.machine.items(ending.value) or ()
            symbol = streams.machine.symbol(items[2]) if len(items) > 2 else None
            kind = symbol.record.name if symbol is not None and symbol.record is not None else ""
            elements = struct.unpack("<q", streams.reader.exactly(position, 8))[0]
            position += 8 + max(elements, 0) * _ELEMENTS.get(kind, 1)
        else:
            (dimensions,) = struct.unpack("<i", streams.reader.exactly(position, 4))
            position += 8 + 16 * max(dimensions, 0) + 8
    if name == "storages":
        ending = streams.one(position)
        if not ending.stopped:
            raise Malformed(f"the pickle of views {ending.detail}")
