"""NumPy's element types as headers spell them: how many bytes, and whether they are pickled objects.

Source: `numpy/lib/format.py`, `descr_to_dtype`; `numpy/_core/_internal.py`, `_commastring`; NumPy's reference, "Data
type objects". Sizes are those of 64-bit Unix, where most arrays are written.
"""

import re

_DEPTH = 16
_PART = re.compile(
    r"[<>|=]?\s*(?P<repeats>\(?[ ,0-9]*\)?)\s*[<>|=]?(?P<type>[A-Za-z?][A-Za-z0-9_.?]*(?:\[[A-Za-z0-9, ./]*\])?)"
)
_CODE = re.compile(r"([?bBhHiIlLqQpPnNefdgFDGSaUVMmcu])([0-9]{0,11})(?:\[.*\])?")
_SIZES = {
    **dict.fromkeys("?bBc", 1),
    **dict.fromkeys("hHe", 2),
    **dict.fromkeys("iIf", 4),
    **dict.fromkeys("lLqQpPnNdFmM", 8),
    **dict.fromkeys("gD", 16),
    "G": 32,
    **dict.fromkeys("SaUV", 0),
}
_WIDTHS = {
    "i": (1, 2, 4, 8),
    "u": (1, 2, 4, 8),
    "f": (2, 4, 8, 12, 16),
    "c": (8, 16, 24, 32),
    "b": (1,),
    "m": (8,),
    "M": (8,),
}
_NAMES = {
    **dict.fromkeys(("bool", "bool_", "int8", "uint8", "byte", "ubyte"), 1),
    **dict.fromkeys(("int16", "uint16", "short", "ushort", "float16", "half"), 2),
    **dict.fromkeys(("int32", "uint32", "intc", "uintc", "float32", "single"), 4),
    **dict.fromkeys(("int64", "uint64", "int", "int_", "uint", "long", "ulong", "longlong", "ulonglong"), 8),
    **dict.fromkeys(("intp", "uintp", "float64", "float", "double", "complex64", "csingle"), 8),
    **dict.fromkeys(("datetime64", "timedelta64"), 8),
    **dict.fromkeys(("float128", "longdouble", "complex128", "complex", "cdouble"), 16),
    **dict.fromkeys(("complex256", "clongdouble"), 32),
    **dict.fromkeys(("str", "str_", "bytes", "bytes_", "void"), 0),
}


def spelled_size(spec: str) -> int | None:
    """Bytes of one element of a type that is written as text (`<f8`, `U10`, `(2,3)i4`, `i4,f8`); None for others."""
    total = 0
    position = 0
    while True:
        match = _PART.match(spec, position)
        if match is None:
            return None
        size = _one(match["type"])
        if size is None:
            return None
        for repeat in re.findall(r"\d+", match["repeats"]):
            if len(repeat) > 18:
                return None
            size *= int(repeat)
        total += size
        position = match.end()
        if position == len(spec):
            return total
        if spec[position] != ",":
            return None
        position += 1
        if position == len(spec):
            return total


def _one(name: str) -> int | None:
    plain = name.partition("[")[0]
    if plain in _NAMES:
        return _NAMES[plain]
    match = _CODE.fullmatch(name)
    if match is None:
        return None
    letter, digits = match.groups()
    if not digits:
        return _SIZES.get(letter)
    width = int(digits)
    if letter in _WIDTHS:
        return width if width in _WIDTHS[letter] else None
    if letter in "SaUV":
        return width * (4 if letter == "U" else 1)
    return None


def size_of(description: object, depth: int = 0) -> int | None:
    """Bytes of one element of a type as `descr` gives it; None where it holds objects or is no type."""
    if depth > _DEPTH:
        return None
    if isinstance(description, str):
        return spelled_size(description)
    if isinstance(description, tuple):
        # An element that is an array itself: (type, shape).
        return _times(size_of(description[0], depth + 1), description[1]) if len(description) == 2 else None
    if not isinstance(description, list | dict):
        return None
    total = 0
    for field in description:
        # NumPy takes whatever has two or three parts, even a text of two letters.
        if not isinstance(field, tuple | list | str) or len(field) not in (2, 3):
            return None
        size = _times(size_of(field[1], depth + 1), field[2] if len(field) == 3 else ())
        if size is None:
            return None
        total += size
    return total


def _times(size: int | None, shape: object) -> int | None:
    for length in shape if isinstance(shape, tuple) else (shape,):
        if size is None or type(length) is not int or length < 0:
            return None
        size *= length
    return size


def holds_objects(description: object, depth: int = 0) -> bool:
    """Whether elements are Python objects, so that what follows the header is unpickled."""
    if depth > _DEPTH:
        return True
    if isinstance(description, str):
        if description.lstrip("<>=|") == "\x11":  # NumPy takes one character for the number of a type, too
            return True
        return any(_is_object(match["type"]) for match in _PART.finditer(description))
    if isinstance(description, tuple):
        return bool(description) and holds_objects(description[0], depth + 1)
    if isinstance(description, list | dict):
        return any(
            holds_objects(field[1], depth + 1)
            for field in description
            if isinstance(field, tuple | list | str) and len(field) in (2, 3)
        )
    return False


def _is_object(name: str) -> bool:
    return bool(re.fullmatch(r"[Oo]bject_?0?|O[0-9]*|T", name))
