"""What an ONNX graph takes and gives.

Source: `onnx/onnx.proto` (GraphProto, ValueInfoProto, TypeProto, TensorShapeProto, TensorProto.DataType).
"""

from collections.abc import Iterator

import msgspec

from garrison.artifacts.wire.protobuf import Span, Wire
from garrison.core.errors import Malformed

_MOST = 64
_NAMES = 100_000
_TYPES = (
    *("undefined", "float32", "uint8", "int8", "uint16", "int16", "int32", "int64", "string"),
    *("bool", "float16", "float64", "uint32", "uint64", "complex64", "complex128", "bfloat16"),
    *("float8e4m3fn", "float8e4m3fnuz", "float8e5m2", "float8e5m2fnuz", "uint4", "int4"),
    *("float4e2m1", "float8e8m0", "uint2", "int2"),
)


class Interface(msgspec.Struct, frozen=True):
    """Each input and output as `name: float32[batch,3,224,224]`."""

    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()


def element_type(number: int) -> str:
    """The name of a `TensorProto.DataType`, or its number where no release has it."""
    return _TYPES[number] if 0 <= number < len(_TYPES) else f"type {number}"


def read(wire: Wire, graph: Span | None, *, old: bool) -> Interface:
    """As far as the graph can be read. In an `old` one the initializers are inputs too, which they are not here."""
    given: dict[int, list[tuple[str, str]]] = {11: [], 12: []}
    constants: set[str] = set()
    try:
        for number, _, value in wire.fields(graph) if graph is not None else ():
            if not isinstance(value, Span):
                continue
            if number in given and len(given[number]) < (_NAMES if old else _MOST):
                given[number].append(_value(wire, value))
            elif number == 5 and old and len(constants) < _NAMES:
                constants.update(wire.text(one, 200) for one in wire.spans(value, 8))
    except Malformed:
        pass  # said where the whole model is read
    inputs, outputs = (
        tuple(f"{label}: {kind}" if kind else label for label, kind in given[number] if label not in constants)[:_MOST]
        for number in (11, 12)
    )
    return Interface(inputs, outputs)


def _value(wire: Wire, span: Span) -> tuple[str, str]:
    """Name and type of a ValueInfoProto; only tensors have a type here."""
    name = kind = ""
    for number, _, value in wire.fields(span):
        if number == 1 and isinstance(value, Span):
            name = wire.text(value, 200)
        elif number == 2 and isinstance(value, Span):
            for tensor in wire.spans(value, 1):
                kind = _tensor(wire, tensor)
    return name, kind


def _tensor(wire: Wire, span: Span) -> str:
    kind, shape = "", ""
    for number, _, value in wire.fields(span):
        if number == 1 and isinstance(value, int):
            kind = element_type(value)
        elif number == 2 and isinstance(value, Span):
            shape = f"[{','.join(_dimensions(wire, value))}]"
    return f"{kind}{shape}"


def _dimensions(wire: Wire, span: Span) -> Iterator[str]:
    for count, dimension in enumerate(wire.spans(span, 1)):
        if count >= _MOST:
            return
        said = "?"
        for number, _, value in wire.fields(dimension):
            if number == 1 and isinstance(value, int):
                said = str(value)
            elif number == 2 and isinstance(value, Span):
                said = wire.text(value, 60)
        yield said
