"""NumPy's `.npy` files: a header in Python syntax, then the elements, or a pickle for arrays of objects.

Format: `numpy/lib/format.py`, versions 1.0 to 3.0. The header is read by a parser of its own that knows literals only.
"""

import re
import struct
from collections.abc import Iterator

from garrison.artifacts.pickle.arrays import item_size
from garrison.core.errors import LimitExceeded, Malformed, NotUnderstood
from garrison.core.facts import Anomaly, AnyFact, Artifact
from garrison.sources.reader import DecompressingReader, Reader
from garrison.sources.source import Context, Extracted, Source

MAGIC = b"\x93NUMPY"
_LONGEST_HEADER = 1 << 20
_DEPTH = 16
_ARRAYS = 10_000
_ABSURD = 1 << 30
_TOKEN = re.compile(
    r"""\s*(?:(?P<number>[+-]?\d+)L?|(?P<text>[bur]?'(?:[^'\\]|\\.)*'|[bur]?"(?:[^"\\]|\\.)*")"""
    r"""|(?P<word>True|False|None)|(?P<mark>[][(){},:]))\s*""",
    re.DOTALL,
)


def extract(source: Source, context: Context) -> Extracted:
    """State each array's type and shape; arrays of objects are yielded as the pickles that they are.

    Raises `Malformed`, `NotUnderstood` and `LimitExceeded`.
    """
    reader = source.reader
    position = 0
    for number in range(_ARRAYS):
        context.check_time()
        version, header, start = _header(reader, position)
        description, shape, fortran = _fields(header)
        details: dict[str, str | int | float | bool] = {
            "version": f"{version[0]}.{version[1]}",
            "dtype": _spelled(description)[:200],
            "shape": str(shape)[:200],
            "fortran_order": fortran,
        }
        place = f"@ {position:#x}" if position else ""
        yield Artifact(format="numpy", details=details, place=place)
        if _holds_objects(description, 0):
            name = "pickle" if not number else f"pickle@{start:#x}"
            yield source.member(name, reader.window(start, 1 << 60), loaded_as=("pickle",))
            return
        size = _element(description, 0)
        if size is None:
            raise NotUnderstood(f"elements of type {_spelled(description)[:200]}")
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
    held = 0 if isinstance(reader, DecompressingReader) else max(reader.size - start, 0)
    if size > _ABSURD and size > 100 * (held + 1):
        yield Anomaly(
            what="numpy-size-bomb",
            detail=f"the header makes the loader allocate {size:,} bytes for an array of which {held:,} are there",
        )


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


def _fields(header: str) -> tuple[object, tuple[int, ...], bool]:
    fields = _Literals(header).whole()
    if not isinstance(fields, dict) or set(fields) != {"descr", "fortran_order", "shape"}:
        raise Malformed("the header is no dictionary of descr, fortran_order and shape")
    shape = fields["shape"]
    if not isinstance(shape, tuple) or not all(type(length) is int and length >= 0 for length in shape):
        raise Malformed(f"the shape is {str(shape)[:100]}")
    if len(shape) > 64:
        raise Malformed(f"an array of {len(shape)} dimensions")
    return fields["descr"], shape, bool(fields["fortran_order"])


def _spelled(description: object) -> str:
    return description if isinstance(description, str) else repr(description)


def _holds_objects(description: object, depth: int) -> bool:
    if depth > _DEPTH:
        return True
    if isinstance(description, str):
        return any(part.lstrip("<>=|0123456789").startswith("O") for part in description.split(","))
    if isinstance(description, list | tuple):
        if isinstance(description, tuple) and description and not isinstance(description[0], tuple):
            return _holds_objects(description[0], depth + 1)
        return any(
            _holds_objects(field[1], depth + 1) for field in description if isinstance(field, tuple) and len(field) >= 2
        )
    return False


def _element(description: object, depth: int) -> int | None:
    if depth > _DEPTH:
        return None
    if isinstance(description, str):
        return item_size(description)
    if isinstance(description, tuple) and len(description) == 2:
        # An element that is an array itself: (type, shape).
        return _times(_element(description[0], depth + 1), description[1])
    if not isinstance(description, list):
        return None
    total = 0
    for field in description:
        if not isinstance(field, tuple) or len(field) not in (2, 3):
            return None
        size = _times(_element(field[1], depth + 1), field[2] if len(field) == 3 else ())
        if size is None:
            return None
        total += size
    return total


def _times(size: int | None, shape: object) -> int | None:
    lengths = shape if isinstance(shape, tuple) else (shape,)
    for length in lengths:
        if size is None or type(length) is not int or length < 0:
            return None
        size *= length
    return size


class _Literals:
    """Python literals: numbers, text, True, False, None, and tuples, lists and dictionaries of them."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._position = 0
        self._peeked: tuple[str, str] | None = None

    def whole(self) -> object:
        value = self._value(0)
        if self._next()[0] != "end":
            raise Malformed("the header goes on behind its dictionary")
        return value

    def _next(self) -> tuple[str, str]:
        if self._peeked is not None:
            token, self._peeked = self._peeked, None
            return token
        match = _TOKEN.match(self._text, self._position)
        if match is None:
            if self._text[self._position :].strip(" \n\t\0"):
                raise Malformed("the header is no Python literal")
            return "end", ""
        self._position = match.end()
        kind = str(match.lastgroup)
        return kind, match[kind]

    def _value(self, depth: int) -> object:
        if depth > _DEPTH:
            raise Malformed("the header is nested too deep")
        kind, text = self._next()
        if kind == "number":
            if len(text) > 40:
                raise Malformed("a number too long for any array")
            return int(text)
        if kind == "text":
            return text[text.index(text[-1]) + 1 : -1]
        if kind == "word":
            return {"True": True, "False": False, "None": None}[text]
        if text == "{":
            return dict(self._pairs(depth))
        if text == "(":
            items, tuple_like = self._items(")", depth)
            return tuple(items) if tuple_like or len(items) != 1 else items[0]
        if text == "[":
            return self._items("]", depth)[0]
        raise Malformed("the header is no Python literal")

    def _items(self, close: str, depth: int) -> tuple[list[object], bool]:
        items: list[object] = []
        commas = 0
        while True:
            token = self._next()
            if token == ("mark", close):
                return items, bool(commas)
            self._peeked = token
            items.append(self._value(depth + 1))
            token = self._next()
            if token == ("mark", close):
                return items, bool(commas)
            if token != ("mark", ","):
                raise Malformed("the header is no Python literal")
            commas += 1

    def _pairs(self, depth: int) -> Iterator[tuple[object, object]]:
        while True:
            token = self._next()
            if token == ("mark", "}"):
                return
            self._peeked = token
            key = self._value(depth + 1)
            if not isinstance(key, str) or self._next() != ("mark", ":"):
                raise Malformed("the header is no dictionary")
            yield key, self._value(depth + 1)
            token = self._next()
            if token == ("mark", "}"):
                return
            if token != ("mark", ","):
                raise Malformed("the header is no dictionary")
