"""Flax checkpoints in MessagePack: a tree of arrays, each an extension of its own.

Source: https://github.com/google/flax/blob/main/flax/serialization.py. Extension 1 is an array, 2 a complex number, 3 a
scalar; large arrays come in chunks. Loading runs nothing: what can be wrong is that sizes lie and that bytes hide.
"""

from garrison.artifacts import accounting, array_stores, metadata_text
from garrison.artifacts.wire.msgpack import Bulk, Document
from garrison.core.errors import ExaminationError, LimitExceeded, Malformed
from garrison.core.facts import Anomaly, Artifact
from garrison.sources.reader import Reader
from garrison.sources.source import Context, Extracted, Source

_PROBED = 2_000
_ITEMS = 2_000_000
_ARRAY_ITEMS = 200
_STATED = 32
_TEXTS = 2_000
_ARRAY, _COMPLEX, _SCALAR = 1, 2, 3
_WIDE = {"bool": 1, "bfloat16": 2, "float8_e4m3fn": 1, "float8_e5m2": 1, "int4": 1, "uint4": 1}
_WIDE |= {f"{kind}{bits}": bits // 8 for kind in ("int", "uint", "float") for bits in (8, 16, 32, 64, 128)}
_WIDE |= {"complex64": 8, "complex128": 16, "float8_e4m3b11fnuz": 1, "float8_e4m3fnuz": 1, "float8_e5m2fnuz": 1}


def sniff(source: Source) -> bool:
    """A map from texts that parses to its end, or that holds an array of Flax."""
    head = source.reader.pread(0, 4)
    if len(head) < 4 or not (0x81 <= head[0] <= 0x8F or head[0] in (0xDE, 0xDF)):
        return False
    key = head[{0xDE: 3}.get(head[0], 1)] if head[0] != 0xDF else 0xA1
    if not (0xA0 <= key <= 0xBF or 0xD9 <= key <= 0xDB):
        return False
    document = Document(source.reader, items=_PROBED)
    whole = False
    try:
        document.read()
        whole = not source.reader.pread(document.position, 1)
    except LimitExceeded:
        whole = True
    except Malformed:
        pass
    if not isinstance(document.root, dict) or not all(isinstance(name, str) for name in document.root):
        return False
    return whole or any(_array(source.reader, item) for item in document.extensions[:4] if item.code == _ARRAY)


def extract(source: Source, context: Context) -> Extracted:
    """The arrays, held against their sizes; texts; and places that arrays are fetched from."""
    document = Document(source.reader, items=_ITEMS, check=context.check_time)
    problem: ExaminationError | None = None
    try:
        document.read()
    except ExaminationError as error:
        problem = error
    yield from _arrays(source, context, document.extensions)
    yield from _tree(source, context, document.root)
    if problem is not None:
        raise problem
    end, size = document.position, source.reader.size
    if end < size:
        yield from accounting.unaccounted(source, [(end, size)])


def _arrays(source: Source, context: Context, extensions: list[Bulk]) -> Extracted:
    types: dict[str, int] = {}
    parameters = arrays = 0
    problems: list[tuple[str, int]] = []
    for item in extensions:
        context.check_time()
        if item.code not in (_ARRAY, _SCALAR):
            continue
        described = _array(source.reader, item)
        if described is None:
            problems.append(("an array is not described by its shape, its type and its bytes", item.start))
            continue
        shape, name, length = described
        arrays += 1
        types[name] = types.get(name, 0) + 1
        count = 1
        for one in shape:
            count *= one
        parameters += count
        if name not in _WIDE:
            problems.append((f"an array asks for the type {name[:60]!r}, which no weights have", item.start))
        elif count * _WIDE[name] != length:
            needed = count * _WIDE[name]
            problems.append((f"an array has {length:,} bytes where its shape and type ask for {needed:,}", item.start))
    details: dict[str, str | int | float | bool] = {"arrays": arrays}
    if parameters < 1 << 63:
        details["parameters"] = parameters
    if types:
        details["dtypes"] = ", ".join(sorted(types, key=lambda name: -types[name]))[:200]
    yield Artifact(format="flax-msgpack" if arrays else "msgpack", details=details)
    for detail, place in problems[:_STATED]:
        yield Anomaly(what="weights-structure", detail=detail, place=f"@ {place:#x}")
    if len(problems) > _STATED:
        yield Anomaly(what="weights-structure", detail=f"and {len(problems) - _STATED:,} more such arrays")


def _array(reader: Reader, item: Bulk) -> tuple[list[int], str, int] | None:
    """Shape, type and number of bytes of an array, `None` where the extension holds no such thing."""
    inner = Document(reader.window(item.start, item.length), items=_ARRAY_ITEMS)
    try:
        value = inner.read()
    except ExaminationError:
        return None
    if not isinstance(value, list) or len(value) != 3:
        return None
    shape, name, data = value
    if not isinstance(shape, list) or not all(type(one) is int and one >= 0 for one in shape):
        return None
    if not isinstance(name, str) or not isinstance(data, Bulk):
        return None
    return shape, name, data.length


def _tree(source: Source, context: Context, root: object) -> Extracted:
    pending: list[tuple[str, object]] = [("", root)]
    texts: list[tuple[str, str]] = []
    while pending:
        place, value = pending.pop()
        if isinstance(value, dict):
            yield from array_stores.described(place, value)
            pending += [(f"{place}.{str(key)[:100]}"[-300:].lstrip("."), item) for key, item in value.items()]
        elif isinstance(value, list):
            pending += [(f"{place}[{index}]"[-300:], item) for index, item in enumerate(value)]
        elif isinstance(value, str) and value and len(texts) < _TEXTS:
            texts.append((place.replace("!/", "_"), value))
    yield from metadata_text.read(source, context, texts)
