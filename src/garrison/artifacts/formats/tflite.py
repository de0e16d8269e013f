"""TensorFlow Lite models: operators that need more than the interpreter, and data outside the buffer.

Sources: `tensorflow/compiler/mlir/lite/schema/schema.fbs`, `tensorflow/lite/core/model_builder.cc`,
`tensorflow/lite/delegates/flex/kernel.cc` (what a select operator's options hold), `tensorflow/lite/string_util.cc`;
`tflite_support/metadata/metadata_schema.fbs`.
"""

from collections.abc import Iterator
from itertools import pairwise
from math import prod

from garrison.artifacts import tensorflow_nodes
from garrison.artifacts.knowledge.engine_operators import operators
from garrison.artifacts.knowledge.operators import tensorflow_operators
from garrison.artifacts.wire import flexbuffers
from garrison.artifacts.wire.flatbuffers import FlatBuffer, Table
from garrison.artifacts.wire.protobuf import Wire
from garrison.core.described import described
from garrison.core.errors import Malformed
from garrison.core.facts import AnyFact, Artifact, Operator, Reference
from garrison.sources.reader import BytesReader
from garrison.sources.source import Context, Extracted, Source

_CUSTOM = 32
_FLEX = "Flex"
_STRING = 5
_OPTIONS = 1 << 16
_TOLD = {0: "name", 2: "model_version", 4: "author", 5: "licence"}
_METADATA = b"M001"


def extract(source: Source, context: Context) -> Extracted:
    """Custom and select operators, external buffers, buffers that lie outside the file, and metadata."""
    model = FlatBuffer(source.reader, check_time=context.check_time).root()
    buffers = list(model.tables(4))
    codes = [_code(code) for code in model.tables(1)]
    details: dict[str, str | int | float | bool] = {"schema": model.number(0, "I")}
    if description := model.text(3, 200):
        details["description"] = description
    details |= _told(model, buffers)
    signatures = ", ".join(signature.text(2, 100) for signature in model.tables(7))
    if signatures:
        details["signatures"] = signatures[:300]
    facts: list[AnyFact] = []
    problem: Malformed | None = None
    totals = {"subgraphs": 0, "operators": 0, "tensors": 0, "parameters": 0}
    try:
        for graph in model.tables(2):
            totals["subgraphs"] += 1
            facts += _graph(graph, codes, buffers, totals)
        _check_buffers(buffers, source.reader.size)
        for group in model.tables(8):
            facts.append(Reference(target=group.text(0), role="external-data", detail="an external buffer"))
    except Malformed as error:
        problem = error
    yield Artifact(format="tflite", details={**details, **totals})
    said = described(
        name=details.get("name"),
        version=details.get("model_version"),
        summary=details.get("description"),
        authors=details.get("author"),
        licences=details.get("licence"),
        parameters=totals["parameters"],
    )
    if said is not None:
        yield said
    yield from facts
    if problem is not None:
        raise problem


def _code(code: Table) -> tuple[int, str]:
    """The larger of the old and the new field is meant; a name counts for custom operators alone."""
    return max(code.number(0, "b"), code.number(3, "i")), code.text(1, 200)


def _graph(
    graph: Table, codes: list[tuple[int, str]], buffers: list[Table], totals: dict[str, int]
) -> Iterator[AnyFact]:
    tensors = list(graph.tables(0))
    totals["tensors"] += len(tensors)
    for tensor in tensors:
        index = tensor.number(2, "I")
        if 0 < index < len(buffers) and (buffers[index].field(0) or buffers[index].field(1)):
            totals["parameters"] += min(prod(max(size, 0) for size in tensor.numbers(0)), 1 << 60)
    seen: set[str] = set()
    for index, operator in enumerate(graph.tables(3)):
        totals["operators"] += 1
        opcode = operator.number(0, "I")
        if opcode >= len(codes):
            raise Malformed(f"operator {index} has code {opcode} of {len(codes)}")
        number, name = codes[opcode]
        if number != _CUSTOM:
            continue
        if name.startswith(_FLEX) and name != _FLEX:
            yield from _select(name.removeprefix(_FLEX), operator, tensors, buffers, f"operator {index}")
        elif name not in operators("tflite") and name not in seen:
            seen.add(name)
            yield Operator(framework="tflite", name=name, place=f"operator {index}")


def _select(name: str, operator: Table, tensors: list[Table], buffers: list[Table], place: str) -> Iterator[AnyFact]:
    """An operator that TensorFlow itself runs, with its constant arguments."""
    entry = tensorflow_operators().get(name)
    if entry is None:
        return
    arguments: dict[str, str] = {}
    inputs = operator.numbers(1)
    for position, argument in entry.inputs.items():
        if int(position) < len(inputs) and 0 <= inputs[int(position)] < len(tensors):
            text = _constant(tensors[inputs[int(position)]], buffers)
            if text is not None:
                arguments[argument] = text
    if entry.attributes:
        arguments |= _attributes(operator.bytes(5, _OPTIONS), entry.attributes)
    yield Operator(framework="tensorflow", name=name, arguments=arguments, place=place)


def _attributes(options: bytes, wanted: tuple[str, ...]) -> dict[str, str]:
    """Attributes of the node that a select operator's options hold beside its name."""
    found: dict[str, str] = {}
    try:
        held = flexbuffers.texts(options)
    except Malformed:
        return found
    for data in held:
        wire = Wire(BytesReader(data))
        try:
            node = tensorflow_nodes.read_node(wire, wire.whole())
            found |= {
                name: tensorflow_nodes.attribute_text(wire, node.attributes[name])
                for name in wanted
                if name in node.attributes
            }
        except Malformed:
            continue
    return found


def _constant(tensor: Table, buffers: list[Table]) -> str | None:
    """The texts of a constant tensor: how many, where each begins and the last ends, and then all of them."""
    index = tensor.number(2, "I")
    if tensor.number(1, "b") != _STRING or not 0 < index < len(buffers):
        return None
    data = buffers[index].bytes(0, _OPTIONS)
    count = int.from_bytes(data[:4], "little")
    if not data or not 0 < count <= 1024 or len(data) < 8 + 4 * count:
        return None
    ends = [int.from_bytes(data[4 + 4 * i : 8 + 4 * i], "little") for i in range(count + 1)]
    found = [data[start:end].decode("utf-8", "backslashreplace") for start, end in pairwise(ends)]
    return ", ".join(found[:16])


def _check_buffers(buffers: list[Table], size: int) -> None:
    """Models past 2 GB keep their data behind the FlatBuffer, by places in the file."""
    for number, buffer in enumerate(buffers):
        offset, length = buffer.number(1, "Q"), buffer.number(2, "Q")
        if offset > 1 and offset + length > size:
            raise Malformed(f"buffer {number} lies at {offset:#x}, {length} bytes long, in a file of {size}")
        buffer.vector(0, 1)


def _told(model: Table, buffers: list[Table]) -> dict[str, str | int | float | bool]:
    """What the model's own metadata says of it."""
    for entry in model.tables(6):
        index = entry.number(1, "I")
        if entry.text(0, 100) != "TFLITE_METADATA" or index >= len(buffers):
            continue
        span = buffers[index].vector(0, 1)
        inner = FlatBuffer(model.buffer.reader, model.buffer.base + span.start, span.count)
        try:
            if inner.identifier == _METADATA:
                metadata = inner.root()
                return {name: text for number, name in _TOLD.items() if (text := metadata.text(number, 200))}
        except Malformed:
            continue
    return {}
