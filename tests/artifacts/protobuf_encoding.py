"""Writes Protocol Buffers messages field by field, so that tests can build what an honest writer would not."""


def varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def field(number: int, value: "int | bytes | str") -> bytes:
    """A number as a varint; bytes and text as a length-delimited field."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def message(*fields: "tuple[int, int | bytes | str]") -> bytes:
    return b"".join(field(number, value) for number, value in fields)


def group(number: int, inside: bytes) -> bytes:
    return varint(number << 3 | 3) + inside + varint(number << 3 | 4)


def entry(key: str, value: "int | bytes | str") -> bytes:
    """An entry of a map."""
    return message((1, key), (2, value))
