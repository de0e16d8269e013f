"""Bytes, and the text that stands for them."""

from garrison.artifacts.disarm.encoded_text import encoded
from garrison.artifacts.disarm.unpickling import UNKNOWN, Unpickling
from garrison.artifacts.disarm.values import LongText, Value
from garrison.sources.reader import BytesReader, Reader

_LATIN = frozenset({"latin1", "latin-1", "latin_1", "iso-8859-1"})


def encoded_text(unpickling: Unpickling, arguments: tuple[Value, ...]) -> Value:
    """Bytes as protocols before 3 have them: text, to be encoded in Latin-1."""
    if len(arguments) != 2 or not isinstance(arguments[1], str) or arguments[1] not in _LATIN:
        return UNKNOWN
    text = arguments[0]
    if isinstance(text, LongText):
        return encoded(text.encoded, unpickling.context)
    try:
        return text.encode("latin-1") if isinstance(text, str) else UNKNOWN
    except UnicodeEncodeError:
        return UNKNOWN


def bytes_(unpickling: Unpickling, arguments: tuple[Value, ...]) -> Value:
    if not arguments:
        return b""
    if len(arguments) == 2:
        return encoded_text(unpickling, arguments)
    return arguments[0] if isinstance(arguments[0], bytes | Reader) else UNKNOWN


def reader_of(value: Value) -> Reader | None:
    """A reader over bytes; None where the value is none."""
    if isinstance(value, str):  # what Python 2 wrote
        try:
            return BytesReader(value.encode("latin-1"))
        except UnicodeEncodeError:
            return None
    return BytesReader(value) if isinstance(value, bytes) else value if isinstance(value, Reader) else None
