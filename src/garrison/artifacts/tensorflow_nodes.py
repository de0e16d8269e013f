"""Nodes of TensorFlow graphs and functions, and the constants that their inputs come from.

Sources: `tensorflow/core/framework/graph.proto`, `function.proto`, `node_def.proto`, `attr_value.proto`,
`tensor.proto`; `tensorflow/core/framework/tensor.cc` (strings in `tensor_content`).
"""

from collections.abc import Iterator

import msgspec

from garrison.artifacts.knowledge.operators import tensorflow_operators
from garrison.artifacts.wire.protobuf import Span, Wire
from garrison.core.errors import LimitExceeded
from garrison.core.facts import Operator
from garrison.sources.source import Context

_NODES = 2_000_000
_DEPTH = 40
_CONSTANT = 4096
_TEXTS = 16
_CALLERS = 8
_STRING = 7
_PASSING = frozenset(
    {"Identity", "Reshape", "ExpandDims", "Squeeze", "StringStrip", "EnsureShape", "StopGradient", "Pack"}
)
_AFTER_CONDITION = frozenset({"If", "StatelessIf", "Case", "StatelessCase"})
"""Operators whose first input is not given to the functions that they call."""
_MAPPING = frozenset({"MapDataset", "FlatMapDataset", "FilterDataset", "InterleaveDataset"})
"""Operators that give their functions an element first, and their last inputs after it."""


class Node(msgspec.Struct):
    name: str
    operator: str
    inputs: list[str]
    attributes: dict[str, Span]


class Scope(msgspec.Struct):
    """A graph or a function."""

    name: str
    nodes: dict[str, Node]
    arguments: list[str] = []


class _Call(msgspec.Struct, frozen=True):
    scope: Scope
    node: Node


class Graph(msgspec.Struct):
    """All scopes of a graph by name, the outermost under the empty name."""

    scopes: dict[str, Scope]
    count: int = 0

    @property
    def functions(self) -> int:
        return len(self.scopes) - 1


def read_node(wire: Wire, span: Span) -> Node:
    """A `NodeDef`; raises `Malformed`."""
    node = Node("", "", [], {})
    for number, _, value in wire.fields(span):
        if not isinstance(value, Span):
            continue
        if number == 1:
            node.name = wire.text(value)
        elif number == 2:
            node.operator = wire.text(value, 200)
        elif number == 3:
            node.inputs.append(wire.text(value))
        elif number == 5:
            key, entry = "", None
            for inner, _, item in wire.fields(value):
                if inner == 1 and isinstance(item, Span):
                    key = wire.text(item, 200)
                elif inner == 2 and isinstance(item, Span):
                    entry = item
            if entry is not None:
                node.attributes[key] = entry
    return node


def read_graph(wire: Wire, context: Context, graphs: list[Span]) -> Graph:
    """A `GraphDef`, which may stand in pieces that readers put together."""
    outer = Scope("", {})
    found = Graph({"": outer})
    for graph in graphs:
        for number, _, value in wire.fields(graph):
            if number == 1 and isinstance(value, Span):
                node = read_node(wire, value)
                outer.nodes[node.name] = node
                found.count += 1
            elif number == 2 and isinstance(value, Span):
                for function in wire.spans(value, 1):
                    scope = _function(wire, function)
                    found.scopes[scope.name] = scope
                    found.count += len(scope.nodes)
            if found.count > _NODES:
                raise LimitExceeded("facts", f"a graph of more than {_NODES} nodes")
            context.check_time()
    return found


def operators(wire: Wire, context: Context, graph: Graph, assets: set[str]) -> Iterator[Operator]:
    """The operators that matter for security, with those arguments that are constant."""
    resolver = _Resolver(wire, graph, assets)
    for scope in graph.scopes.values():
        for node in scope.nodes.values():
            entry = tensorflow_operators().get(node.operator)
            if entry is None:
                continue
            context.check_time()
            arguments: dict[str, str] = {}
            for index, name in entry.inputs.items():
                found = resolver.input(scope, node, int(index))
                if found is not None:
                    arguments[name] = found
            for name in entry.attributes:
                if name in node.attributes:
                    arguments[name] = attribute_text(wire, node.attributes[name])
            place = f"node {node.name!r}" + (f" of function {scope.name!r}" if scope.name else "")
            yield Operator(framework="tensorflow", name=node.operator, arguments=arguments, place=place)


def _function(wire: Wire, span: Span) -> Scope:
    scope = Scope("", {})
    for number, _, value in wire.fields(span):
        if number == 1 and isinstance(value, Span):
            for inner, _, item in wire.fields(value):
                if inner == 1 and isinstance(item, Span):
                    scope.name = wire.text(item)
                elif inner == 2 and isinstance(item, Span):
                    scope.arguments += [wire.text(name) for name in wire.spans(item, 1)][:1]
        elif number == 3 and isinstance(value, Span):
            node = read_node(wire, value)
            scope.nodes[node.name] = node
    return scope


def _functions_called(wire: Wire, node: Node) -> Iterator[str]:
    """Names of functions in an attribute, alone or in a list."""
    for span in node.attributes.values():
        for number, _, value in wire.fields(span):
            if number == 10 and isinstance(value, Span):
                yield from (wire.text(name) for name in wire.spans(value, 1))
            elif number == 1 and isinstance(value, Span):
                for function in wire.spans(value, 9):
                    yield from (wire.text(name) for name in wire.spans(function, 1))


def attribute_text(wire: Wire, span: Span) -> str:
    """A string attribute, or a list of them."""
    texts: list[str] = []
    for number, _, value in wire.fields(span):
        if number == 2 and isinstance(value, Span):
            texts.append(wire.text(value))
        elif number == 1 and isinstance(value, Span):
            texts += [wire.text(item) for item in wire.spans(value, 2)]
    return ", ".join(texts)


class _Resolver:
    """Follows an input back to the constants that it is made of."""

    def __init__(self, wire: Wire, graph: Graph, assets: set[str]) -> None:
        self._wire = wire
        self._assets = assets
        self._callers: dict[str, list[_Call]] = {}
        for scope in graph.scopes.values():
            for node in scope.nodes.values():
                for called in _functions_called(wire, node):
                    self._callers.setdefault(called, []).append(_Call(scope, node))
                if node.operator in graph.scopes:  # TensorFlow 1 calls functions by making them operators
                    self._callers.setdefault(node.operator, []).append(_Call(scope, node))

    def input(self, scope: Scope, node: Node, index: int, depth: int = 0) -> str | None:
        """The text of an input, `None` where it is computed or given from outside."""
        inputs = _data(node)
        return self._tensor(scope, inputs[index], depth) if 0 <= index < len(inputs) else None

    def _tensor(self, scope: Scope, name: str, depth: int) -> str | None:
        if depth > _DEPTH:
            return None
        base = name.partition(":")[0]
        node = scope.nodes.get(base)
        if node is None:
            return self._argument(scope, base, depth)
        if not scope.name and base in self._assets:
            return None
        if node.operator == "Const":
            return self._constant(node)
        inputs = _data(node)
        if node.operator == "StringJoin":
            parts = [self._tensor(scope, one, depth + 1) for one in inputs]
            if any(part is None for part in parts):
                return None
            separator = node.attributes.get("separator")
            between = attribute_text(self._wire, separator) if separator is not None else ""
            return between.join(part for part in parts if part is not None)
        if node.operator in ("Add", "AddV2"):
            parts = [self._tensor(scope, one, depth + 1) for one in inputs]
            return "".join(part for part in parts if part is not None) if all(p is not None for p in parts) else None
        if node.operator in ("ShardedFilename", "ShardedFilespec") or node.operator in _PASSING:
            return self._tensor(scope, inputs[0], depth + 1) if inputs else None
        return None

    def _argument(self, scope: Scope, name: str, depth: int) -> str | None:
        if name not in scope.arguments:
            return None
        index = scope.arguments.index(name)
        for call in self._callers.get(scope.name, [])[:_CALLERS]:
            at = index
            if call.node.operator in _AFTER_CONDITION:
                at = index + 1
            elif call.node.operator in _MAPPING:
                at = len(_data(call.node)) - (len(scope.arguments) - index)
            found = self.input(call.scope, call.node, at, depth + 1)
            if found is not None:
                return found
        return None

    def _constant(self, node: Node) -> str | None:
        span = node.attributes.get("value")
        if span is None:
            return None
        texts: list[str] = []
        for number, _, tensor in self._wire.fields(span):
            if number == 8 and isinstance(tensor, Span):
                texts += self._strings(tensor)
        return ", ".join(texts[:_TEXTS]) if texts else None

    def _strings(self, tensor: Span) -> list[str]:
        texts: list[str] = []
        content: Span | None = None
        kind = 0
        for number, _, value in self._wire.fields(tensor):
            if number == 1 and isinstance(value, int):
                kind = value
            elif number == 4 and isinstance(value, Span):
                content = value
            elif number == 8 and isinstance(value, Span) and len(texts) < _TEXTS:
                texts.append(self._wire.text(value, _CONSTANT))
        if kind == _STRING and content is not None and content.size:
            return _packed_strings(self._wire.bytes(content, 1 << 20))
        return texts


def _data(node: Node) -> list[str]:
    """Inputs that carry data, without those that only order execution."""
    return [name for name in node.inputs if not name.startswith("^")]


def _packed_strings(content: bytes) -> list[str]:
    """Texts as a tensor's raw content keeps them: all lengths, and then all texts.

    How many there are is the shape's to say; it is found here as the count whose lengths fill the content exactly.
    """
    lengths: list[int] = []
    position = 0
    while position < len(content) and len(lengths) < 1024:
        value = shift = 0
        while position < len(content) and shift < 35:
            byte = content[position]
            position += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        lengths.append(value)
        if position + sum(lengths) == len(content):
            texts = []
            for length in lengths:
                texts.append(content[position : position + length].decode("utf-8", "backslashreplace")[:_CONSTANT])
                position += length
            return texts[:_TEXTS]
    return []
