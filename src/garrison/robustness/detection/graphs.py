"""Whether an ONNX graph does nothing but compute: only known operators, and no data in other files.

A detector may come from somewhere else, and its hashes say only that it is whole. The bytes are walked as Protocol
Buffers (onnx.proto, version 1): no operator beyond `operators.json`, none of another domain, no subgraphs, no
functions, no tensors outside the file.
"""

import functools
import importlib.resources
from collections.abc import Iterator

import msgspec

from garrison.core.errors import UsageError

# The numbers of the fields of onnx.proto.
_MODEL_GRAPH, _MODEL_FUNCTIONS = 7, 25
_GRAPH_NODE, _GRAPH_INITIALIZER, _GRAPH_SPARSE = 1, 5, 15
_NODE_OPERATOR, _NODE_ATTRIBUTE, _NODE_DOMAIN = 4, 5, 7
_ATTRIBUTE_TENSOR, _ATTRIBUTE_GRAPH, _ATTRIBUTE_TENSORS, _ATTRIBUTE_GRAPHS, _ATTRIBUTE_SPARSE = 5, 6, 10, 11, {22, 23}
_TENSOR_EXTERNAL, _TENSOR_LOCATION = 13, 14


class _Broken(Exception):
    pass


@functools.cache
def _operators() -> frozenset[str]:
    file = importlib.resources.files(__package__) / "operators.json"
    return frozenset(msgspec.json.decode(file.read_bytes())["operators"])


def check(graph: bytes, path: str) -> None:
    """Raise `UsageError` for a graph that does more than compute, or that is none."""
    try:
        for complaint in _complaints(memoryview(graph)):
            raise UsageError(f"{path}: refused: {complaint}")
    except _Broken:
        raise UsageError(f"{path}: no ONNX graph, or a torn one") from None


def _complaints(model: memoryview) -> Iterator[str]:
    nodes = 0
    for field, value in _fields(model):
        if field == _MODEL_FUNCTIONS:
            yield "it has functions of its own"
        if field == _MODEL_GRAPH:
            for inner, part in _fields(_message(value)):
                if inner == _GRAPH_NODE:
                    nodes += 1
                    yield from _node(_message(part))
                elif inner == _GRAPH_INITIALIZER:
                    yield from _tensor(_message(part))
                elif inner == _GRAPH_SPARSE:
                    yield "it has sparse tensors"
    if not nodes:
        raise _Broken


def _node(node: memoryview) -> Iterator[str]:
    for field, value in _fields(node):
        if field == _NODE_OPERATOR and (name := _text(value)) not in _operators():
            yield f"operator {name[:40]!r} is not among those that only compute"
        elif field == _NODE_DOMAIN and (name := _text(value)) not in ("", "ai.onnx"):
            yield f"an operator of the domain {name[:40]!r}"
        elif field == _NODE_ATTRIBUTE:
            for inner, part in _fields(_message(value)):
                if inner in (_ATTRIBUTE_GRAPH, _ATTRIBUTE_GRAPHS):
                    yield "it has graphs within graphs"
                elif inner in _ATTRIBUTE_SPARSE:
                    yield "it has sparse tensors"
                elif inner in (_ATTRIBUTE_TENSOR, _ATTRIBUTE_TENSORS):
                    yield from _tensor(_message(part))


def _tensor(tensor: memoryview) -> Iterator[str]:
    for field, value in _fields(tensor):
        if field == _TENSOR_EXTERNAL or (field == _TENSOR_LOCATION and value != 0):
            yield "its numbers lie in another file"


def _message(value: int | memoryview) -> memoryview:
    if isinstance(value, int):
        raise _Broken
    return value


def _text(value: int | memoryview) -> str:
    return bytes(_message(value)).decode("utf-8", "replace")


def _fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """The fields of a message: numbers for varints, views for the rest."""
    at, end = 0, len(data)
    while at < end:
        key, at = _varint(data, at)
        field, wire = key >> 3, key & 7
        if field == 0:
            raise _Broken
        if wire == 0:
            number, at = _varint(data, at)
            yield field, number
            continue
        if wire == 2:
            size, at = _varint(data, at)
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
        else:
            raise _Broken
        if at + size > end:
            raise _Broken
        yield field, data[at : at + size]
        at += size


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            break
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise _Broken
