"""safetensors themselves: their tensors behind a header that is made anew, without what readers disagree about.

Format: safetensors' `README.md` and `tensor.rs`.
"""

import math
from typing import Any

from garrison.artifacts.disarm import elements
from garrison.artifacts.disarm.contents import Contents, Left
from garrison.artifacts.disarm.texts import objection
from garrison.artifacts.disarm.values import Mapping, Opaque, Storage, Tensor, Value, strides_of
from garrison.artifacts.formats.safetensors import LENGTH, parse
from garrison.core.errors import LimitExceeded
from garrison.sources.source import Context, Source

_METADATA = "__metadata__"
_FRAMEWORK = "format"


def file(source: Source, context: Context) -> Contents:
    """The tensors, and of the metadata what is text that nobody would run."""
    length = int.from_bytes(source.reader.exactly(0, LENGTH), "little")
    if length > context.limits.buffer:
        raise LimitExceeded("buffer", f"a header of {length:,} bytes")
    repeated: list[str] = []
    header = parse(source.reader.exactly(LENGTH, length), repeated)
    metadata = header.pop(_METADATA, None)
    contents = Contents(framework="pt")
    contents.left += [Left(path=name, reason="a tensor whose name was given to another") for name in repeated]
    for key, value in metadata.items() if isinstance(metadata, dict) else ():
        reason = objection(value) if isinstance(value, str) else "metadata that are no text"
        if reason:
            contents.left.append(Left(path=f"{_METADATA}.{key}", reason=reason))
        elif key == _FRAMEWORK:
            contents.framework = value
        else:
            contents.metadata[key] = value
    data = source.reader.window(LENGTH + length, source.reader.size)
    found: list[tuple[Value, Value]] = []
    end = 0
    for name, entry in header.items():
        context.check_time()
        tensor = _tensor(entry)
        if isinstance(tensor, Tensor):
            tensor.storage.reader = data
            if tensor.storage.size and not data.pread(tensor.storage.size - 1, 1):
                tensor = Opaque("tensor that reaches beyond the file", 0)
            else:
                end = max(end, tensor.storage.size)
        found.append((name, tensor))
    if data.pread(end, 1):
        contents.left.append(
            Left(path="", reason="bytes behind the last tensor", place=f"@ {LENGTH + length + end:#x}")
        )
    contents.root = Mapping(found)
    return contents


def _tensor(entry: Any) -> Value:
    match entry:
        case {"dtype": str() as dtype, "shape": [*lengths], "data_offsets": [int() as begin, int() as end]}:
            width = elements.SIZES.get(dtype, 0)
            if not all(type(length) is int and length >= 0 for length in lengths) or len(lengths) > 64:
                return Opaque("tensor of a shape that is none", 0)
            if not width:
                return Opaque(f"tensor of type {dtype[:40]}", 0)
            if not 0 <= begin <= end < 1 << 60 or math.prod(lengths) * width != end - begin:
                return Opaque("tensor of another size than its type and shape ask for", 0)
            shape = tuple(lengths)
            return Tensor(dtype, shape, strides_of(shape, width), Storage(dtype, "", end), begin)
    return Opaque("entry that describes no tensor", 0)
