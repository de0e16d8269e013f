"""ONNX models: operators of unknown makers, code that operators name, and data kept in other files.

Source: `onnx/onnx.proto` (ModelProto, GraphProto, NodeProto, AttributeProto, TensorProto, FunctionProto).
"""

import re
from collections.abc import Iterator
from math import prod

from garrison.artifacts import onnx_interface
from garrison.artifacts.knowledge.operators import onnx_operators
from garrison.artifacts.wire.protobuf import LENGTH, VARINT, Span, Wire, shape
from garrison.core.described import described
from garrison.core.errors import Malformed
from garrison.core.facts import Anomaly, AnyFact, Artifact, Import, Operator, Reference
from garrison.sources.source import Context, Extracted, Source

_MODEL = {1: VARINT, 2: LENGTH, 3: LENGTH, 4: LENGTH, 5: VARINT, 6: LENGTH, 7: LENGTH, 8: LENGTH, 14: LENGTH}
_MODEL |= {20: LENGTH, 25: LENGTH, 26: LENGTH}
_OWN = frozenset({"", "ai.onnx"})
_STANDARD = frozenset({"ai.onnx.ml", "ai.onnx.training", "ai.onnx.preview.training", "ai.onnx.preview"})
_METADATA = 200
TEMPLATE = 1 << 20
_LOOKED_AT = 100_000
_OPERATOR = re.compile(r"[A-Za-z_][\w.:/-]*").fullmatch
_MEMORY = "_ORT_MEM_ADDR_"
"""ONNX Runtime's own mark for a tensor that lies at an address of the process."""
TEXTS = frozenset({"module", "class_name", "compute", "func_name", "ep_cache_context"})
_LONGEST_PATH = 1024
_FREE_INITIALIZERS = 4
"""The IR version since which initializers need not be inputs too."""


def sniff(source: Source) -> bool:
    """A message with a graph of named operators, and an IR version or operator sets beside it.

    Fields that the format does not have, or has with another type, are skipped as its readers skip them; a graph
    without operators is taken for one only where there are none.
    """
    head = source.reader.pread(0, 2)
    if len(head) < 2 or head[0] & 7 not in (VARINT, LENGTH, 1, 3, 5):
        return False
    fields = set(shape(source.reader, _LOOKED_AT, torn=True) or ())
    if (7, LENGTH) not in fields or not fields & {(1, VARINT), (8, LENGTH)}:
        return False
    strict = all(_MODEL.get(number) == kind for number, kind in fields)
    wire = Wire(source.reader)
    try:
        return any(_looks_like_graph(wire, graph, strict) for graph in wire.spans(wire.whole(), 7))
    except Malformed:
        return False


def _looks_like_graph(wire: Wire, graph: Span, strict: bool) -> bool:
    for number, kind, value in wire.fields(graph):
        if number == 1 and isinstance(value, Span):
            names = [wire.text(name, 200) for name in wire.spans(value, 4)]
            return bool(names) and _OPERATOR(names[-1]) is not None
        if strict and number in (2, 5, 11, 12) and kind != LENGTH:
            return False
    return strict


class Totals:
    """What the inventory says of a model."""

    def __init__(self) -> None:
        self.nodes = self.tensors = self.parameters = 0
        self.functions: set[tuple[str, str]] = set()
        self.operators: dict[tuple[str, str], int] = {}
        self.types: dict[int, int] = {}
        """Numbers in tensors, by the type of their elements."""

    def add(self, domain: str, name: str) -> None:
        """One more node."""
        self.nodes += 1
        self.operators[domain, name] = self.operators.get((domain, name), 0) + 1

    def count(self, parameters: int, kind: int = 0) -> None:
        """One more tensor."""
        self.tensors += 1
        self.parameters += min(parameters, 1 << 60)
        if kind:
            self.types[kind] = self.types.get(kind, 0) + min(parameters, 1 << 60)


def extract(source: Source, context: Context) -> Extracted:
    """External data wherever a tensor can stand, operators outside the standard, and metadata."""
    wire = Wire(source.reader)
    details: dict[str, str | int | float | bool] = {}
    domains: dict[str, int] = {}
    parts: list[tuple[str, Span]] = []
    metadata: list[tuple[str, Span]] = []
    problem: Malformed | None = None
    totals = Totals()
    facts: list[AnyFact] = []
    try:
        for number, _, value in wire.fields(wire.whole()):
            if number in (1, 5) and isinstance(value, int):
                details["ir_version" if number == 1 else "model_version"] = value
            elif not isinstance(value, Span):
                continue
            elif number in (2, 3):
                details["producer" if number == 2 else "producer_version"] = wire.text(value, 100)
            elif number == 7:
                parts.append(("graph", value))
            elif number == 8:
                domains.update((_operator_set(wire, value),))
            elif number == 14 and len(metadata) < _METADATA:
                metadata.append(_property(wire, value))
            elif number == 20:
                parts += [("training graph", graph) for graph in wire.spans(value, 1, 2)]
            elif number == 25:
                parts.append(("function", value))
    except Malformed as error:
        problem = error
    parts_given = tuple(parts)
    try:
        facts = list(_graphs(wire, context, parts, totals))
    except Malformed as error:
        problem = problem or error
    sets = ", ".join(f"{domain or 'ai.onnx'} {version}" for domain, version in domains.items())
    details |= {"operator_sets": sets[:300], "operators": totals.nodes, "tensors": totals.tensors}
    details["parameters"] = totals.parameters
    yield Artifact(format="onnx", details=details)
    graph = next((graph for kind, graph in parts_given if kind == "graph"), None)
    says = onnx_interface.read(wire, graph, old=int(details.get("ir_version", 0)) < _FREE_INITIALIZERS)
    description = described(
        version=details.get("model_version") or "",
        parameters=totals.parameters,
        element_types={onnx_interface.element_type(kind): count for kind, count in totals.types.items()},
        frameworks={details.get("producer", ""): details.get("producer_version", ""), "onnx": sets[:300]},
        inputs=says.inputs,
        outputs=says.outputs,
    )
    if description is not None:
        yield description
    yield from facts
    for key, span in metadata:
        text = wire.text(span, TEMPLATE)
        if "{%" in text or "{{" in text:
            yield source.member(f"metadata {key}", text.encode(), loaded_as=("jinja",))
    if problem is not None:
        raise problem


def _operator_set(wire: Wire, span: Span) -> tuple[str, int]:
    domain, version = "", 0
    for number, _, item in wire.fields(span):
        if number == 1 and isinstance(item, Span):
            domain = wire.text(item, 200)
        elif number == 2 and isinstance(item, int):
            version = item
    return domain, version


def _property(wire: Wire, span: Span) -> tuple[str, Span]:
    key, value = "", Span(span.end, span.end)
    for number, _, item in wire.fields(span):
        if number == 1 and isinstance(item, Span):
            key = wire.text(item, 100)
        elif number == 2 and isinstance(item, Span):
            value = item
    return key, value


def _graphs(wire: Wire, context: Context, parts: list[tuple[str, Span]], totals: Totals) -> Iterator[AnyFact]:
    """Graphs, functions and the graphs in attributes of their nodes, without recursion."""
    nodes: list[Span] = []
    while parts or nodes:
        context.check_time()
        if nodes:
            yield from _node(wire, nodes.pop(), parts, totals)
            continue
        kind, graph = parts.pop()
        if kind == "function":
            yield from _function(wire, graph, nodes, parts, totals)
            continue
        for number, _, value in wire.fields(graph):
            if not isinstance(value, Span):
                continue
            if number == 1:
                nodes.append(value)
            elif number == 5:
                yield from _tensor(wire, value, totals)
            elif number == 15:
                for part in wire.spans(value, 1, 2):
                    yield from _tensor(wire, part, totals)
    yield from unknown_operators(totals)


def unknown_operators(totals: Totals) -> Iterator[Operator]:
    """Operators that neither ONNX nor the model itself defines."""
    for (domain, name), count in totals.operators.items():
        known = name in onnx_operators() if domain in _OWN else domain in _STANDARD
        if not known and (domain, name) not in totals.functions:
            yield Operator(framework="onnx", domain=domain, name=name, count=count)


def _function(
    wire: Wire, span: Span, nodes: list[Span], parts: list[tuple[str, Span]], totals: Totals
) -> Iterator[AnyFact]:
    name = domain = ""
    for number, _, value in wire.fields(span):
        if not isinstance(value, Span):
            continue
        if number == 7:
            nodes.append(value)
        elif number == 1:
            name = wire.text(value, 200)
        elif number == 10:
            domain = wire.text(value, 200)
        elif number == 11:  # defaults of the function's attributes
            yield from _attribute(wire, value, parts, totals)
    totals.functions.add((domain, name))


def _node(wire: Wire, span: Span, parts: list[tuple[str, Span]], totals: Totals) -> Iterator[AnyFact]:
    domain = name = label = ""
    texts: dict[str, str] = {}
    embedded = True
    for number, _, value in wire.fields(span):
        if not isinstance(value, Span):
            continue
        if number == 3:
            label = wire.text(value, 200)
        elif number == 4:
            name = wire.text(value, 200)
        elif number == 7:
            domain = wire.text(value, 200)
        elif number == 5:
            key, text, whole = _simple_attribute(wire, value)
            if text is not None and key in TEXTS:
                texts[key] = text
            elif key == "embed_mode":
                embedded = whole != 0
            yield from _attribute(wire, value, parts, totals)
    totals.add(domain, name)
    place = f"node {label!r}" if label else f"operator {name}"
    if name == "EPContext" and not embedded and "ep_cache_context" in texts:
        detail = "the compiled model of an execution provider"
        yield Reference(target=texts["ep_cache_context"], role="external-data", detail=detail, place=place)
    yield from python_imports(name, texts, place)


def python_imports(name: str, texts: dict[str, str], place: str) -> Iterator[AnyFact]:
    """What ONNX Runtime's Python operators import: a module with a class, or a class by its whole name."""
    if not name.lower().startswith("py"):
        return
    if "module" in texts and "class_name" in texts:
        yield Import(module=texts["module"], name=texts["class_name"], origin="onnx", usage="call", place=place)
    elif "." in texts.get("func_name", ""):
        module, _, last = texts["func_name"].rpartition(".")
        yield Import(module=module, name=last, origin="onnx", usage="call", place=place)


def _simple_attribute(wire: Wire, span: Span) -> tuple[str, str | None, int | None]:
    """Name, short text and number of an attribute."""
    name, text, whole = "", None, None
    for number, _, value in wire.fields(span):
        if number == 1 and isinstance(value, Span):
            name = wire.text(value, 100)
        elif number == 4 and isinstance(value, Span) and value.size <= _LONGEST_PATH:
            text = wire.text(value)
        elif number == 3 and isinstance(value, int):
            whole = value
    return name, text, whole


def _attribute(wire: Wire, span: Span, parts: list[tuple[str, Span]], totals: Totals) -> Iterator[AnyFact]:
    """Tensors, sparse tensors and graphs that an attribute holds."""
    for number, _, value in wire.fields(span):
        if not isinstance(value, Span):
            continue
        if number in (5, 10):
            yield from _tensor(wire, value, totals)
        elif number in (22, 23):
            for part in wire.spans(value, 1, 2):
                yield from _tensor(wire, part, totals)
        elif number in (6, 11):
            parts.append(("subgraph", value))


def _tensor(wire: Wire, span: Span, totals: Totals) -> Iterator[AnyFact]:
    name = ""
    external: dict[str, str] = {}
    dimensions: list[int] = []
    element = 0
    for number, kind, value in wire.fields(span):
        if number == 2 and isinstance(value, int):
            element = value
        elif number == 1 and isinstance(value, int):
            dimensions.append(value)
        elif number == 1 and isinstance(value, Span) and value.size <= _LONGEST_PATH:
            dimensions += wire.numbers(value)
        elif number == 8 and isinstance(value, Span):
            name = wire.text(value, 200)
        elif number == 13 and isinstance(value, Span) and kind == LENGTH:
            key, text = _property(wire, value)
            external[key] = wire.text(text, 2000)
    totals.count(prod(dimensions), element)
    if "location" in external:
        detail = f"tensor {name!r}" if name else "a tensor"
        if _MEMORY in external["location"]:
            where = external.get("offset", "0")
            said = f"reads {external.get('length', 'some')} bytes at address {where} of the process"
            yield Anomaly(what="onnx-memory-address", detail=said, place=detail)
            return
        yield Reference(target=external["location"], role="external-data", trigger="load", place=detail)
