"""NumPy's `.npy` and `.npz`: the elements of an array, or the pickle of an array of objects.

Format: `numpy/lib/format.py`, versions 1.0 to 3.0.
"""

import math

from garrison.artifacts.disarm import elements
from garrison.artifacts.disarm.contents import Contents, Left
from garrison.artifacts.disarm.rules.table import RULES
from garrison.artifacts.disarm.shapes import LONGEST
from garrison.artifacts.disarm.unpickling import Unpickling
from garrison.artifacts.disarm.values import Array, Mapping, Value
from garrison.artifacts.formats.numpy_array import header
from garrison.core.errors import ExaminationError, Malformed, NotUnderstood
from garrison.sources.containers.zip import directory, open_member
from garrison.sources.reader import Reader
from garrison.sources.source import Context, Source

_ENDING = ".npy"


def array(source: Source, context: Context) -> Contents:
    """The array of a `.npy` file."""
    contents = Contents(framework="np")
    contents.root = _array(source.reader, context, contents)
    return contents


def archive(source: Source, context: Context) -> Contents:
    """The arrays of an `.npz` file, by name."""
    contents = Contents(framework="np")
    found: dict[str, Value] = {}
    # Of two members of a name `zipfile` reads the last.
    for member in {member.name: member for member in directory(source.reader).members}.values():
        context.check_time()
        if not member.name.endswith(_ENDING) or member.data < 0:
            contents.left.append(Left(path=member.name, reason="member of the archive that is no array"))
            continue
        packed = source.reader.window(member.data, member.packed)
        reader = open_member(packed, member.method, context)
        try:
            if reader is None:
                raise NotUnderstood(f"packed with method {member.method}")
            found[member.name.removesuffix(_ENDING)] = _array(reader, context, contents)
        except ExaminationError as error:
            contents.left.append(Left(path=member.name, reason=f"array that cannot be read: {error}"))
    contents.root = Mapping(list(found.items()))
    return contents


def _array(reader: Reader, context: Context, contents: Contents) -> Value:
    description, shape, fortran, start = header(reader)
    element = elements.of_header(description)
    if element.objects:
        pickled = Unpickling(reader, context, RULES, acts=contents.acts)
        value = pickled.load(start)
        _note_rest(reader, pickled.stream.position, contents)
        return value
    size = math.prod(shape) * element.size
    if any(length < 0 for length in shape) or size >= LONGEST or element.kind == "?":
        raise Malformed(f"an array of {elements.described(element)} and of {len(shape)} dimensions that is none")
    if size and not reader.pread(start + size - 1, 1):
        raise Malformed(f"the header promises {size:,} bytes of elements, and there are fewer")
    _note_rest(reader, start + size, contents)
    return Array(element, shape, fortran, reader.window(start, size))


def _note_rest(reader: Reader, end: int, contents: Contents) -> None:
    if reader.pread(end, 1):
        contents.left.append(Left(path="", reason="bytes behind the array", place=f"@ {end:#x}"))
