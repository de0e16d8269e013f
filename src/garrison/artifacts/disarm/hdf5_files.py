"""Keras' weights and models in HDF5, by themselves or in a `.keras` archive: datasets as tensors, by their paths.

Configurations, from which Keras makes layers and with them code, are left behind.

Sources: `keras/src/saving/saving_lib.py` (`H5IOStore`), `keras/src/legacy/saving/legacy_h5_format.py`; the HDF5 File
Format Specification 3.0, datatypes IV.A.2.d.
"""

from collections.abc import Iterator

from garrison.artifacts import keras_config
from garrison.artifacts.disarm.contents import Contents, Left
from garrison.artifacts.disarm.elements import UNKNOWN, repeated, structure
from garrison.artifacts.disarm.values import Array, Element, Mapping, Value
from garrison.artifacts.wire import hdf5, hdf5_data
from garrison.core.errors import ExaminationError, Malformed, NotUnderstood
from garrison.core.facts import EmbeddedCode
from garrison.sources.containers.zip import Member, directory, open_member
from garrison.sources.reader import Reader
from garrison.sources.source import Context, Source

_WEIGHTS = "model.weights.h5"
_CONFIGURATIONS = {"config.json", "model_config", "training_config"}
_OPAQUE = 5
_DEPTH = 8
_FLOATS = {
    (2, 10, 5, 0, 10, 15): "f",
    (4, 23, 8, 0, 23, 127): "f",
    (8, 52, 11, 0, 52, 1023): "f",
    (2, 7, 8, 0, 7, 127): "bf",
}
"""Size, places and sizes of exponent and mantissa, and the bias, of the floating-point numbers that others know too."""
_BRIEF = b"bfloat16"


def file(source: Source, context: Context) -> Contents:
    """The datasets of an HDF5 file."""
    contents = Contents(framework="np")
    contents.root = Mapping(list(_items(source.reader, context, contents)))
    return contents


def archive(source: Source, context: Context) -> Contents:
    """The weights in a `.keras` archive."""
    contents = Contents(framework="np")
    # Of two members of a name `zipfile` reads the last.
    members = {member.name.lstrip("./"): member for member in directory(source.reader).members if member.data >= 0}
    for name, member in members.items():
        reader = _opened(source, member, context)
        if reader is None:
            contents.left.append(Left(path=name, reason=f"member packed with method {member.method}"))
        elif name == _WEIGHTS:
            contents.root = Mapping(list(_items(reader, context, contents)))
        elif name in _CONFIGURATIONS:
            contents.left += _configuration(name, reader.whole(context.limits.buffer))
        elif not name.endswith("/"):
            contents.left.append(Left(path=name, reason="member of the archive that holds no weights"))
    return contents


def _opened(source: Source, member: Member, context: Context) -> Reader | None:
    return open_member(source.reader.window(member.data, member.packed), member.method, context)


def _items(reader: Reader, context: Context, contents: Contents) -> Iterator[tuple[Value, Value]]:
    """Arrays and attributes by their paths. What breaks ends the walk, and what was found before is kept."""
    brief = ""
    try:
        for item in hdf5.read(reader, context.check_time):
            path = item.path.strip("/")
            if isinstance(item, hdf5.Dataset):
                try:
                    yield path, _array(reader, item, context, is_brief=path == brief)
                except ExaminationError as error:
                    contents.left.append(Left(path=path, reason=f"dataset that cannot be read: {error}"))
            elif isinstance(item, hdf5.Attribute):
                name = f"{path}@{item.name}"
                if item.name in _CONFIGURATIONS:
                    for value in item.values:
                        contents.left += _configuration(name, value)
                elif item.values == (_BRIEF,) and item.name == "dtype":
                    # Of the dataset that follows: HDF5 has no such type, so Keras says it here.
                    brief = path
                elif item.values:
                    texts = [value.decode("utf-8", "backslashreplace") for value in item.values]
                    yield name, texts if len(texts) > 1 else texts[0]
            elif isinstance(item, hdf5.Link):
                contents.left.append(Left(path=path, reason=f"{item.kind} link"))
            else:
                contents.left.append(Left(path=path, reason="links or attributes that are compressed or shared"))
    except Malformed as error:
        contents.left.append(Left(path="", reason=f"the rest of the file, since it breaks: {error}"))


def _configuration(path: str, data: bytes) -> Iterator[Left]:
    """A configuration, and the code in it."""
    yield Left(path=path, reason="configuration, from which Keras makes layers")
    try:
        facts = list(keras_config.walk(keras_config.parse(data)))
    except (ExaminationError, RecursionError):
        return
    for fact in facts:
        if isinstance(fact, EmbeddedCode):
            yield Left(path=path, reason=f"code of {fact.form}", place=fact.place)


def _array(reader: Reader, item: hdf5.Dataset, context: Context, *, is_brief: bool) -> Value:
    if item.external:
        raise Malformed("its values lie in other files")
    element = _Datatype(item.raw.datatype).element()
    if is_brief and element.size == 2:
        element = Element("bf", 2)
    if element.kind == "?":
        raise NotUnderstood("values of a type that is not carried")
    values = hdf5_data.values(reader, item.raw, element.size, context.check_time)
    return Array(element, values.shape, data=values.data)


class _Datatype:
    """A datatype message, read forward."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0

    def _take(self, count: int) -> bytes:
        data = self._data[self._position : self._position + count]
        if len(data) < count:
            raise Malformed("an HDF5 datatype ends too early")
        self._position += count
        return data

    def _number(self, size: int) -> int:
        return int.from_bytes(self._take(size), "little")

    def element(self, depth: int = 0) -> Element:
        """The type as NumPy has it; `UNKNOWN` where it has none like it, and what follows cannot be told then."""
        kind, bits, size = self._number(1), self._number(3), self._number(4)
        version, big = kind >> 4, bool(bits & 1)
        match kind & 0x0F:
            case 0 | 4:  # whole numbers and fields of bits
                whole = (self._number(2), self._number(2)) == (0, 8 * size) and size in (1, 2, 4, 8)
                return Element("i" if bits & 8 else "u", size, big=big) if whole else UNKNOWN
            case 1:
                self._take(4)
                form = size, *self._take(4), self._number(4)
                return Element(_FLOATS[form], size, big=big) if form in _FLOATS and not bits & 0x40 else UNKNOWN
            case 3:
                return Element("S", size)
            case 6 if depth < _DEPTH:
                return self._compound(bits & 0xFFFF, size, version, depth)
            case 8 if depth < _DEPTH:
                return self._enumeration(bits & 0xFFFF, version, depth)
            case 10 if depth < _DEPTH and version >= 2:
                rank = self._number(1)
                self._take(3 if version == 2 else 0)
                shape = tuple(self._number(4) for _ in range(rank))
                self._take(4 * rank if version == 2 else 0)
                return repeated(self.element(depth + 1), shape)
        return Element("V", size) if kind & 0x0F == _OPAQUE else UNKNOWN

    def _name(self, version: int) -> str:
        end = self._data.find(b"\0", self._position)
        if end < 0:
            raise Malformed("an HDF5 datatype with a name that has no end")
        size = end + 1 - self._position
        return self._take(size if version >= 3 else size + 7 & ~7).rstrip(b"\0").decode("utf-8", "backslashreplace")

    def _compound(self, count: int, size: int, version: int, depth: int) -> Element:
        parts = []
        for _ in range(count):
            name = self._name(version)
            offset = self._number(max((size.bit_length() + 7) // 8, 1) if version >= 3 else 4)
            if version == 1:
                if self._number(1):
                    return UNKNOWN
                self._take(27)
            parts.append((name, self.element(depth + 1), offset))
        match parts:
            case [("r", Element(kind="f") as real, 0), ("i", Element(kind="f") as imaginary, offset)]:
                if real.size == imaginary.size == offset and real.big == imaginary.big and size == 2 * offset:
                    return Element("c", size, big=real.big)
        return structure(parts, size)

    def _enumeration(self, count: int, version: int, depth: int) -> Element:
        base = self.element(depth + 1)
        names = [self._name(version) for _ in range(count)]
        self._take(count * base.size)
        return Element("b", 1) if base.size == 1 and names == ["FALSE", "TRUE"] else base
