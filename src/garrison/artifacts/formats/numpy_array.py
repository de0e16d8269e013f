"""NumPy's `.npy` files: a header in Python syntax, then the elements, or a pickle for arrays of objects.

Format: `numpy/lib/format.py`, versions 1.0 to 3.0. The header is parsed as Python, and only its literals
are taken: nothing is evaluated.
"""

import re
import struct
from collections.abc import Iterator

from garrison.artifacts.numpy_types import holds_objects, size_of
from garrison.core.errors import LimitExceeded, Malformed, NotUnderstood
from garrison.core.facts import Anomaly, AnyFact, Artifact
from garrison.sources.reader import Reader
from garrison.sources.source import Context, Extracted, Source

MAGIC = b"\x93NUMPY"
_LONGEST_HEADER = 1 << 20
_DEPTH = 16
_ARRAYS = 10_000
_ABSURD = 1 << 30
_LONGEST_AXIS = (1 << 63) - 1
_LONG = re.compile(r"(?<=\d)L\b")
"""The ending of Python 2's long integers, which NumPy strips where the header does not parse with it."""


def extract(source: Source, context: Context) -> Extracted:
    """State each array's type and shape; arrays of objects are yielded as the pickles that they are.

    Raises `Malformed`, `NotUnderstood` and `LimitExceeded`.
    """
    reader = source.reader
    position = 0
    for number in range(_ARRAYS):
        context.check_time()
        version, header, start = _header(reader, position)
        try:
            description, shape, fortran = _fields(header, version)
        except Malformed:
            # NumPy stops here; more lenient readers may take the rest for the pickle that it looks like.
            yield from _pickled(source, start)
            raise
        details: dict[str, str | int | float | bool] = {
            "version": f"{version[0]}.{version[1]}",
            "dtype": _spelled(description)[:200],
            "shape": _shown(shape),
            "fortran_order": fortran,
        }
        place = f"@ {position:#x}" if position else ""
        yield Artifact(format="numpy", details=details, place=place)
        if holds_objects(description):
            name = "pickle" if not number else f"pickle@{start:#x}"
            yield source.member(name, reader.window(start, 1 << 60), loaded_as=("pickle",))
            return
        size = size_of(description)
        if size is None:
            yield from _pickled(source, start)
            raise NotUnderstood(f"elements of type {_spelled(description)[:200]}")
        if any(not 0 <= length <= _LONGEST_AXIS for length in shape):
            raise Malformed(f"the shape is {_shown(shape)}")
        for length in shape:
            size *= length
        end = start + size
        if not reader.pread(end - 1, 1) and size:
            yield from _short(reader, start, size)
            raise Malformed(f"the header promises {size} bytes of elements, and there are fewer")
        rest = reader.pread(end, len(MAGIC))
        if not rest:
            return
        if rest != MAGIC:
            yield from _behind(source, end)
            return
        position = end
    raise LimitExceeded("members", f"more than {_ARRAYS} arrays in one file")


def _short(reader: Reader, start: int, size: int) -> Iterator[AnyFact]:
    held = max(reader.size - start, 0)
    if size > _ABSURD and size > 100 * (held + 1):
        yield Anomaly(
            what="numpy-size-bomb",
            detail=f"the header makes the loader allocate {size:,} bytes for an array of which {held:,} are there",
        )


def _shown(shape: tuple[int, ...]) -> str:
    if any(abs(length) > _LONGEST_AXIS for length in shape):
        return "longer than any array"
    return str(shape)[:200]


def _pickled(source: Source, start: int) -> Extracted:
    """What stands behind a header of a type that is not known, where it is a pickle: NumPy may know it."""
    from garrison.sources.identification import identify

    member = source.member("pickle", source.reader.window(start, 1 << 60))
    if any(entry.id.startswith("pickle") for entry in identify(member)):
        yield member


def _behind(source: Source, end: int) -> Extracted:
    from garrison.sources.identification import identify

    member = source.member(f"trailing@{end:#x}", source.reader.window(end, 1 << 60))
    found = identify(member)
    what = found[0].title if found else "no format that garrison knows"
    yield Anomaly(
        what="numpy-trailing-data", detail=f"bytes stand behind the last element: {what}", place=f"@ {end:#x}"
    )
    if found:
        yield member


def header(reader: Reader) -> tuple[object, tuple[int, ...], bool, int]:
    """Type and shape of the first array, whether it is in Fortran's order, and where its elements start.

    Raises `Malformed`, `NotUnderstood` and `LimitExceeded`.
    """
    version, text, start = _header(reader, 0)
    return *_fields(text, version), start


def structure(reader: Reader) -> tuple[object, tuple[int, ...], int]:
    """The type and shape of the first array, and where its elements start. Raises `Malformed`."""
    description, shape, _, start = header(reader)
    return description, shape, start


def _header(reader: Reader, position: int) -> tuple[tuple[int, int], str, int]:
    head = reader.exactly(position, 8)
    if not head.startswith(MAGIC):
        raise Malformed("no array starts here")
    version = (head[6], head[7])
    if version not in ((1, 0), (2, 0), (3, 0)):
        raise NotUnderstood(f"version {version[0]}.{version[1]} of the format")
    form = "<H" if version == (1, 0) else "<I"
    size = struct.calcsize(form)
    (length,) = struct.unpack(form, reader.exactly(position + 8, size))
    if length > _LONGEST_HEADER:
        raise LimitExceeded("buffer", f"a header of {length} bytes")
    raw = reader.exactly(position + 8 + size, length)
    text = raw.decode("utf-8" if version == (3, 0) else "latin-1", "replace")
    return version, text, position + 8 + size + length


def _fields(header: str, version: tuple[int, int]) -> tuple[object, tuple[int, ...], bool]:
    fields = _literal(header, version)
    if not isinstance(fields, dict) or set(fields) != {"descr", "fortran_order", "shape"}:
        raise Malformed("the header is no dictionary of descr, fortran_order and shape")
    shape = fields["shape"]
    if not isinstance(shape, tuple) or not all(isinstance(length, int) for length in shape):
        raise Malformed("the shape is no tuple of integers")
    if len(shape) > 64:
        raise Malformed(f"an array of {len(shape)} dimensions")
    return fields["descr"], shape, bool(fields["fortran_order"])


def _spelled(description: object) -> str:
    return description if isinstance(description, str) else repr(description)


def _literal(text: str, version: tuple[int, int]) -> object:
    """The value of a header, from its syntax tree: as `ast.literal_eval`, which NumPy calls, would see it."""
    import ast
    import warnings

    text = text.strip(" \t\n\r\0")
    for candidate in (text, _LONG.sub("", text)) if version < (3, 0) else (text,):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return _value(ast.parse(candidate, mode="eval").body, 0)
        except (SyntaxError, ValueError, MemoryError, RecursionError):
            continue
    raise Malformed("the header is no Python literal")


def _value(node: object, depth: int) -> object:
    import ast

    if depth > _DEPTH:
        raise Malformed("the header is nested too deep")
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.Tuple):
        return tuple(_value(item, depth + 1) for item in node.elts)
    if isinstance(node, ast.List):
        return [_value(item, depth + 1) for item in node.elts]
    if isinstance(node, ast.Dict):
        keys = [_value(key, depth + 1) for key in node.keys]
        if not all(isinstance(key, str | int) for key in keys):
            raise Malformed("the header is no dictionary of names")
        return dict(zip(keys, (_value(value, depth + 1) for value in node.values), strict=True))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
        value = _value(node.operand, depth + 1)
        if isinstance(value, int):
            return -value if isinstance(node.op, ast.USub) else value
    raise Malformed("the header is no Python literal")
