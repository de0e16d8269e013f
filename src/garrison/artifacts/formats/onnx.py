"""ONNX models: operators of unknown makers, and tensors kept in other files.

Source: `onnx/onnx.proto` (ModelProto, GraphProto, NodeProto, AttributeProto, TensorProto, FunctionProto).
"""

from garrison.artifacts.wire.protobuf import LENGTH, VARINT, Span, Wire, shape
from garrison.core.facts import Artifact, Operator, Reference
from garrison.sources.source import Context, Extracted, Source

_MODEL = {
    1: VARINT,
    2: LENGTH,
    3: LENGTH,
    4: LENGTH,
    5: VARINT,
    6: LENGTH,
    7: LENGTH,
    8: LENGTH,
    14: LENGTH,
    20: LENGTH,
}
_MODEL_FIELDS = {**_MODEL, 25: LENGTH, 26: LENGTH}
_STANDARD = frozenset({"", "ai.onnx", "ai.onnx.ml", "ai.onnx.training", "ai.onnx.preview.training", "ai.onnx.preview"})
_METADATA = 200


def sniff(source: Source) -> bool:
    """A message with an IR version, and a graph or operator sets, and nothing else at its top."""
    head = source.reader.pread(0, 2)
    if len(head) < 2 or head[0] not in (0x08, 0x12, 0x1A, 0x22, 0x2A, 0x32, 0x3A, 0x42, 0x72):
        return False
    fields = shape(source.reader)
    if not fields or any(_MODEL_FIELDS.get(number) != kind for number, kind in fields):
        return False
    numbers = {number for number, _ in fields}
    return 7 in numbers and bool(numbers & {1, 8}) and sum(number == 7 for number, _ in fields) == 1


def extract(source: Source, context: Context) -> Extracted:
    """External data wherever a tensor can stand, operators outside the standard, and metadata."""
    wire = Wire(source.reader)
    details: dict[str, str | int | float | bool] = {}
    domains: dict[str, int] = {}
    parts: list[tuple[str, Span]] = []
    metadata: list[tuple[str, Span]] = []
    for number, _, value in wire.fields(wire.whole()):
        if number == 1 and isinstance(value, int):
            details["ir_version"] = value
        elif number in (2, 3) and isinstance(value, Span):
            details["producer" if number == 2 else "producer_version"] = wire.text(value, 100)
        elif number == 7 and isinstance(value, Span):
            parts.append(("graph", value))
        elif number == 8 and isinstance(value, Span):
            domain, version = "", 0
            for inner, _, item in wire.fields(value):
                if inner == 1 and isinstance(item, Span):
                    domain = wire.text(item, 200)
                elif inner == 2 and isinstance(item, int):
                    version = item
            domains[domain] = version
        elif number == 14 and isinstance(value, Span) and len(metadata) < _METADATA:
            metadata.append(_property(wire, value))
        elif number == 20 and isinstance(value, Span):
            parts += [("training graph", graph) for graph in wire.spans(value, 1, 2)]
        elif number == 25 and isinstance(value, Span):
            parts.append(("function", value))
    details["operator_sets"] = ", ".join(f"{domain or 'ai.onnx'} {version}" for domain, version in domains.items())[
        :300
    ]
    yield Artifact(format="onnx", details=details)
    yield from _graphs(wire, context, parts)
    for key, span in metadata:
        text = wire.text(span, 1 << 20)
        if "{%" in text or "{{" in text:
            yield source.member(f"metadata {key}", text.encode(), loaded_as=("jinja",))


def _property(wire: Wire, span: Span) -> tuple[str, Span]:
    key, value = "", Span(span.end, span.end)
    for number, _, item in wire.fields(span):
        if number == 1 and isinstance(item, Span):
            key = wire.text(item, 100)
        elif number == 2 and isinstance(item, Span):
            value = item
    return key, value


def _graphs(wire: Wire, context: Context, parts: list[tuple[str, Span]]) -> Extracted:
    """Graphs, functions and the graphs in attributes of their nodes, without recursion."""
    operators: dict[tuple[str, str], int] = {}
    functions: set[tuple[str, str]] = set()
    nodes: list[Span] = []
    depth = 0
    while parts or nodes:
        context.check_time()
        if nodes:
            node = nodes.pop()
            domain = name = ""
            for number, _, value in wire.fields(node):
                if isinstance(value, Span):
                    if number == 4:
                        name = wire.text(value, 200)
                    elif number == 7:
                        domain = wire.text(value, 200)
                    elif number == 5:
                        for inner, _, item in wire.fields(value):
                            if isinstance(item, Span):
                                if inner in (5, 10):
                                    yield from _tensor(wire, item)
                                elif inner in (22, 23):
                                    for part in wire.spans(item, 1, 2):
                                        yield from _tensor(wire, part)
                                elif inner in (6, 11):
                                    parts.append(("subgraph", item))
                                    depth += 1
            operators[domain, name] = operators.get((domain, name), 0) + 1
            continue
        kind, graph = parts.pop()
        function_name = function_domain = ""
        for number, _, value in wire.fields(graph):
            if not isinstance(value, Span):
                continue
            if kind == "function":
                if number == 7:
                    nodes.append(value)
                elif number == 1:
                    function_name = wire.text(value, 200)
                elif number == 10:
                    function_domain = wire.text(value, 200)
            elif number == 1:
                nodes.append(value)
            elif number == 5:
                yield from _tensor(wire, value)
            elif number == 15:
                for part in wire.spans(value, 1, 2):
                    yield from _tensor(wire, part)
        if kind == "function":
            functions.add((function_domain, function_name))
    for (domain, name), count in operators.items():
        if domain not in _STANDARD and (domain, name) not in functions:
            yield Operator(framework="onnx", domain=domain, name=name, count=count)


def _tensor(wire: Wire, span: Span) -> Extracted:
    name = ""
    external: dict[str, str] = {}
    for number, kind, value in wire.fields(span):
        if number == 8 and isinstance(value, Span):
            name = wire.text(value, 200)
        elif number == 13 and isinstance(value, Span) and kind == LENGTH:
            key, text = _property(wire, value)
            external[key] = wire.text(text, 2000)
    if "location" in external:
        detail = f"tensor {name!r}" if name else "a tensor"
        yield Reference(target=external["location"], role="external-data", trigger="load", place=detail)
