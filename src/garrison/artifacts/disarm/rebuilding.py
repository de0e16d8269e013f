"""What the jailed worker does: read a file of any format known here, lay it out, and send the tensors' bytes.

First comes a `Plan` in JSON, then the bytes of its tensors one after another.
"""

import json
import math
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from garrison.artifacts.disarm import (
    elements,
    hdf5_files,
    numpy_files,
    pickle_files,
    safetensors_files,
    torch_files,
    torch_tar,
)
from garrison.artifacts.disarm.contents import Contents, Left
from garrison.artifacts.disarm.copying import copied
from garrison.artifacts.disarm.flattening import Laid, lay_out
from garrison.core.errors import LimitExceeded, Malformed, NotUnderstood
from garrison.core.registry import Format, load
from garrison.sources.containers import zip
from garrison.sources.identification import identify
from garrison.sources.source import Context, Source

READERS: dict[str, Callable[[Source, Context], Contents]] = {
    "pytorch-zip": torch_files.zipped,
    "pytorch-legacy": torch_files.stacked,
    "pytorch-tar": torch_tar.tarred,
    "safetensors": safetensors_files.file,
    "numpy": numpy_files.array,
    "keras": hdf5_files.archive,
    "hdf5": hdf5_files.file,
    "pickle": pickle_files.first,
    "pickle-text": pickle_files.first,
}
"""By the format's identifier."""
_STREAMS = frozenset(
    {"gzip", "bzip2", "xz", "zstd", "zstd-skippable", "lz4", "lz4-legacy", "zlib", "lzma", "joblib-zfile"}
)
_LAYERS = 4


class Described(msgspec.Struct, frozen=True):
    """A tensor to come."""

    name: str
    dtype: str
    shape: tuple[int, ...]


class Plan(msgspec.Struct):
    """What will be sent, and what will not."""

    format: str
    framework: str
    tensors: list[Described]
    values: str
    """A JSON object."""
    shared: dict[str, str]
    metadata: dict[str, str]
    """What the file's own metadata say, where it is a safetensors file."""
    left: list[Left]
    unlisted: int


def rebuild(source: Source, context: Context) -> Iterator[bytes]:
    """Yield the plan and the tensors' bytes.

    Raises `NotUnderstood` for formats that are not read here, `Malformed` where nothing can be carried over, and
    `LimitExceeded`.
    """
    entry, contents = _read(source, context)
    laid = lay_out(contents, context)
    if not laid.tensors and not laid.values:
        first = laid.left[0] if laid.left else None
        raise Malformed(f"nothing of it can be carried over{': ' + first.reason if first is not None else ''}")
    names = _ordered(laid)
    _check_size(laid, context)
    described = [Described(name, laid.tensors[name].dtype, laid.tensors[name].shape) for name in names]
    yield msgspec.json.encode(
        Plan(
            format=entry.id,
            framework=contents.framework,
            tensors=described,
            values=json.dumps(laid.values, ensure_ascii=False, separators=(",", ":")),
            shared=laid.shared,
            metadata=contents.metadata,
            left=[_told(one) for one in laid.left],
            unlisted=laid.unlisted,
        )
    )
    for name in names:
        yield from copied(laid.tensors[name], context.check_time)


def _read(source: Source, context: Context) -> tuple[Format, Contents]:
    """The surest format that is read here, under as many layers of compression as there are."""
    for _ in range(_LAYERS):
        found = identify(source)
        for entry in found:
            if entry.id in READERS:
                return entry, READERS[entry.id](source, context)
        if [entry.id for entry in found] == ["zip"] and _is_npz(source):
            return found[0], numpy_files.archive(source, context)
        inner = next((_inside(source, entry, context) for entry in found if entry.id in _STREAMS), None)
        if inner is None:
            break
        source = inner
    what = found[0].title if found else "no format that garrison knows"
    raise NotUnderstood(f"there is nothing to disarm here: {what}")


def _is_npz(source: Source) -> bool:
    members = zip.directory(source.reader).members
    return any(member.name.endswith(".npy") for member in members)


def _inside(source: Source, entry: Format, context: Context) -> Source | None:
    """What a compressed stream unpacks to."""
    extracted: Iterator[Any] = load(entry.extractor)(source, context)
    return next((item for item in extracted if isinstance(item, Source)), None)


def _ordered(laid: Laid) -> list[str]:
    """The tensors with the widest numbers first, so that each begins at a multiple of its numbers' width."""
    return sorted(laid.tensors, key=lambda name: -elements.SIZES[laid.tensors[name].dtype])


def _check_size(laid: Laid, context: Context) -> None:
    """Shared and repeated numbers are written out, and that must not grow without end."""
    limits = context.limits
    total = sum(math.prod(tensor.shape) * elements.SIZES[tensor.dtype] for tensor in laid.tensors.values())
    if total > max(limits.ratio_floor, limits.ratio * context.packed):
        raise LimitExceeded("ratio", f"its tensors are more than {limits.ratio} times as large as the file")


def _told(left: Left) -> Left:
    """Fit to be shown: without characters that no encoding carries, and not endless."""
    path, reason = (text[:300].encode("utf-8", "backslashreplace").decode() for text in (left.path, left.reason))
    return Left(path, reason, left.place)
