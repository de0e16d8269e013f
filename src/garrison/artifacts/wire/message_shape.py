"""Tells Protocol Buffers messages apart by the fields at their top, since nothing in them says what they are."""

from typing import TYPE_CHECKING

from garrison.artifacts.wire.protobuf import shape

if TYPE_CHECKING:
    from garrison.sources.reader import Reader


def fitting(reader: "Reader", kinds: dict[int, int], limit: int = 256) -> list[int]:
    """Numbers of the outermost fields, the first `limit` of them, where each is one of `kinds` with its wire type;
    empty where the bytes are another message or none."""
    head = reader.pread(0, 2)
    if len(head) < 2 or head[0] not in _first_bytes(kinds):
        return []
    fields = shape(reader, limit)
    if not fields or any(kinds.get(number) != kind for number, kind in fields):
        return []
    return [number for number, _ in fields]


def _first_bytes(kinds: dict[int, int]) -> set[int]:
    keys = (number << 3 | kind for number, kind in kinds.items())
    return {key if key < 0x80 else key & 0x7F | 0x80 for key in keys}
