"""FlexBuffers: the texts that a small value holds.

Source: https://flatbuffers.dev/internals/ (FlexBuffers), `include/flatbuffers/flexbuffers.h`.
"""

from garrison.core.errors import Malformed

_STRING, _VECTOR, _VECTOR_OF_STRINGS, _BLOB = 5, 10, 15, 25
_TEXTS = 64


def texts(data: bytes) -> list[bytes]:
    """The strings and blobs of a vector, in order. Raises `Malformed`."""
    if len(data) < 3:
        raise Malformed("a FlexBuffer of less than three bytes")
    width, packed = data[-1], data[-2]
    root = len(data) - 2 - width
    if width not in (1, 2, 4, 8) or root < 0:
        raise Malformed("a FlexBuffer without a root")
    kind = packed >> 2
    inner = 1 << (packed & 3)
    start = root - _number(data, root, width)
    if kind in (_STRING, _BLOB):
        return [_sized(data, start, inner)]
    if kind not in (_VECTOR, _VECTOR_OF_STRINGS):
        return []
    count = min(_number(data, start - inner, inner), _TEXTS)
    found = []
    for index in range(count):
        place = start + index * inner
        of = _number(data, start + count * inner + index, 1) if kind == _VECTOR else _STRING << 2
        if of >> 2 in (_STRING, _BLOB):
            found.append(_sized(data, place - _number(data, place, inner), 1 << (of & 3)))
    return found


def _number(data: bytes, position: int, width: int) -> int:
    if position < 0 or position + width > len(data):
        raise Malformed("an offset of a FlexBuffer leads outside")
    return int.from_bytes(data[position : position + width], "little")


def _sized(data: bytes, start: int, width: int) -> bytes:
    size = _number(data, start - width, width)
    if start + size > len(data):
        raise Malformed("a text of a FlexBuffer leads outside")
    return data[start : start + size]
