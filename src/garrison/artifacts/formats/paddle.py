"""PaddlePaddle programs and parameters: operators that touch files, other machines or Python.

Source: `paddle/fluid/framework/framework.proto` (ProgramDesc), `paddle/fluid/framework/lod_tensor.cc`
(`SerializeToStream`), and `paddle/fluid/pir/serialize_deserialize` for the programs in JSON (`engine_documents`).
"""

from garrison.artifacts.knowledge.engine_operators import engines
from garrison.artifacts.wire.message_shape import fitting
from garrison.artifacts.wire.protobuf import LENGTH, VARINT, Span, Wire
from garrison.core.errors import ExaminationError, LimitExceeded, Malformed
from garrison.core.facts import Anomaly, Artifact, Operator, Reference
from garrison.sources.source import Context, Extracted, Source

_PROGRAM = {1: LENGTH, 2: LENGTH, 3: LENGTH, 4: LENGTH, 5: LENGTH}
_BLOCK = {1: VARINT, 2: VARINT, 3: LENGTH, 4: LENGTH, 5: VARINT}
_SIZES = {0: 1, 1: 2, 2: 4, 3: 8, 4: 2, 5: 4, 6: 8, 19: 8, 20: 1, 21: 1, 22: 2, 23: 8, 24: 16, 32: 1, 33: 1}
"""Bytes an element, by `VarType.Type`."""
_LEVELS = 16
_DESCRIPTION = 1 << 16
_TENSORS = 1_000_000


def sniff(source: Source) -> bool:
    """Blocks at the top, the first of which has its numbers and variables or operators."""
    if 1 not in fitting(source.reader, _PROGRAM):
        return False
    wire = Wire(source.reader)
    try:
        block = next(wire.spans(wire.whole(), 1))
        numbers = []
        for number, kind, _ in wire.fields(block):
            if _BLOCK.get(number) != kind:
                return False
            numbers.append(number)
            if len(numbers) == 3:
                break
    except (ExaminationError, StopIteration):
        return False
    return numbers[:2] == [1, 2]


def extract(source: Source, context: Context) -> Extracted:
    """Operators of all blocks that act outside the program, and variables that are kept in files of their own."""
    wire = Wire(source.reader)
    details: dict[str, str | int | float | bool] = {}
    yield Artifact(format="paddle", details=details)
    blocks = operators = variables = 0
    dangerous = engines()["paddle"].dangerous
    for number, _, value in wire.fields(wire.whole()):
        if number == 4 and isinstance(value, Span):
            for inner, _, version in wire.fields(value):
                if inner == 1 and isinstance(version, int):
                    details["paddle_version"] = _version(version)
        elif number == 1 and isinstance(value, Span):
            blocks += 1
            for inner, _, part in wire.fields(value):
                if not isinstance(part, Span):
                    continue
                if inner == 4:
                    operators += 1
                    name = next((wire.text(kind, 200) for kind in wire.spans(part, 3)), "")
                    if name in dangerous:
                        yield _operator(wire, part, name, f"block {blocks - 1}, operator {operators}")
                elif inner == 3:
                    variables += 1
                    yield from _variable(wire, part)
            context.check_time()
            details |= {"blocks": blocks, "operators": operators, "variables": variables}


def _version(number: int) -> str:
    """2004001 is 2.4.1."""
    return f"{number // 1_000_000}.{number // 1000 % 1000}.{number % 1000}"


def _operator(wire: Wire, span: Span, name: str, place: str) -> Operator:
    arguments: dict[str, str] = {}
    for attribute in wire.spans(span, 4):
        key = text = ""
        for number, _, value in wire.fields(attribute):
            if number == 1 and isinstance(value, Span):
                key = wire.text(value, 100)
            elif number in (5, 8) and isinstance(value, Span):
                text = f"{text}, {wire.text(value, 1000)}" if text else wire.text(value, 1000)
            elif number in (3, 13) and isinstance(value, int):
                text = str(value)
        if len(arguments) < 50:
            arguments[key] = text[:4000]
    return Operator(framework="paddle", name=name, arguments=arguments, place=place)


def _variable(wire: Wire, span: Span) -> Extracted:
    """Parameters that are saved one by one are read from files of their variables' names."""
    name, persistable = "", False
    for number, _, value in wire.fields(span):
        if number == 1 and isinstance(value, Span):
            name = wire.text(value, 2000)
        elif number == 3 and isinstance(value, int):
            persistable = bool(value)
    if persistable and (".." in name or name.startswith(("/", "~")) or "\\" in name):
        yield Reference(target=name, role="external-data", detail="the file of a parameter", place="variables")


def sniff_parameters(source: Source) -> bool:
    """The header of a tensor: versions of zero, few levels, and a description that begins with its data type."""
    head = source.reader.pread(0, 12)
    if head[:4] != bytes(4) or len(head) < 12 or int.from_bytes(head[4:], "little") > _LEVELS:
        return False
    try:
        _tensor(source, 0)
    except ExaminationError:
        return False
    return True


def extract_parameters(source: Source, context: Context) -> Extracted:
    """Tensors one after another, to the end of the file."""
    details: dict[str, str | int | float | bool] = {}
    yield Artifact(format="paddle-parameters", details=details)
    position = count = parameters = 0
    size = source.reader.size
    while position < size:
        if count % 256 == 0:
            context.check_time()
        if count >= _TENSORS:
            raise LimitExceeded("members", f"more than {_TENSORS} tensors in one file")
        try:
            start, elements, width = _tensor(source, position)
        except Malformed:
            if not count:
                raise
            detail = f"{size - position} bytes after {count} tensors are no tensor"
            yield Anomaly(what="trailing-data", detail=detail, place=f"@ {position:#x}")
            break
        if start + elements * width > size:
            raise Malformed(f"tensor {count} needs {elements * width} bytes at {start:#x}, more than there are")
        position = start + elements * width
        count += 1
        parameters += elements
        details |= {"tensors": count, "parameters": parameters}


def _tensor(source: Source, position: int) -> tuple[int, int, int]:
    """Where the data of the tensor at `position` begins, how many elements it has, and of how many bytes each."""
    reader = source.reader
    head = reader.exactly(position, 12)
    levels = int.from_bytes(head[4:], "little")
    if head[:4] != bytes(4) or levels > _LEVELS:
        raise Malformed(f"no tensor of a known version at {position:#x}")
    position += 12
    for _ in range(levels):
        position += 8 + int.from_bytes(reader.exactly(position, 8), "little")
    version, length = reader.exactly(position, 4), int.from_bytes(reader.exactly(position + 4, 4), "little")
    if version != bytes(4) or not 2 <= length <= _DESCRIPTION:
        raise Malformed(f"no description of a tensor at {position:#x}")
    position += 8
    wire = Wire(reader.window(position, length))
    width, elements = 0, 1
    for number, kind, value in wire.fields(Span(0, length)):
        if number == 1 and kind == VARINT and isinstance(value, int):
            width = _SIZES.get(value, 0)
        elif number == 2 and kind == VARINT and isinstance(value, int):
            elements *= value
        elif number != 2 or kind != LENGTH:
            raise Malformed(f"a description with field {number} at {position:#x}")
    if not width or elements >= 1 << 63:
        raise Malformed(f"a tensor of no known type or size at {position:#x}")
    return position + length, elements, width
