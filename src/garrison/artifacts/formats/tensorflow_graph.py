"""TensorFlow SavedModels, frozen graphs and Keras' metadata beside them: operators with their constant arguments.

Sources: `tensorflow/core/protobuf/saved_model.proto`, `meta_graph.proto`, `tensorflow/core/framework/graph.proto`,
`function.proto`, `node_def.proto`, `attr_value.proto`, `tensor.proto`; `keras/src/legacy/saving/saved_metadata.proto`.
"""

from collections.abc import Iterator

import msgspec

from garrison.artifacts.knowledge.operators import tensorflow_operators
from garrison.artifacts.wire.protobuf import LENGTH, VARINT, Span, Wire, shape
from garrison.core.errors import Malformed
from garrison.core.facts import AnyFact, Artifact, Operator
from garrison.sources.source import Context, Extracted, Source

_NODES = 2_000_000
_DEPTH = 40
_CONSTANT = 4096
_PASSING = frozenset(
    {"Identity", "Reshape", "ExpandDims", "Squeeze", "StringStrip", "EnsureShape", "StopGradient", "Pack"}
)
_METADATA = 64 << 20


class _Node(msgspec.Struct):
    name: str
    operator: str
    inputs: list[str]
    attributes: dict[str, Span]


class _Scope(msgspec.Struct):
    """A graph or a function."""

    name: str
    nodes: dict[str, _Node]
    arguments: list[str] = []


class _Call(msgspec.Struct, frozen=True):
    scope: _Scope
    node: _Node


def sniff_saved_model(source: Source) -> bool:
    """A schema version and meta graphs, and nothing else."""
    if source.reader.pread(0, 1) not in (b"\x08", b"\x12"):
        return False
    fields = shape(source.reader)
    if not fields or any((number, kind) not in ((1, VARINT), (2, LENGTH)) for number, kind in fields):
        return False
    wire = Wire(source.reader)
    for span in wire.spans(wire.whole(), 2):
        inner = {number for number, _, _ in wire.fields(span)}
        return 2 in inner and inner <= {1, 2, 3, 4, 5, 6, 7}
    return False


def sniff_graph(source: Source) -> bool:
    """Nodes with a name and an operator, then a library and versions."""
    if source.reader.pread(0, 1) != b"\x0a":
        return False
    fields = shape(source.reader, 200)
    if not fields or any(
        (number, kind) not in ((1, LENGTH), (2, LENGTH), (3, VARINT), (4, LENGTH)) for number, kind in fields
    ):
        return False
    wire = Wire(source.reader)
    checked = 0
    for span in wire.spans(wire.whole(), 1):
        node = _node(wire, span)
        if (
            not node.operator.isidentifier()
            or not node.name
            or (not node.operator[:1].isupper() and node.operator[:1] != "_")
        ):
            return False
        checked += 1
        if checked == 5:
            break
    return checked > 0


def sniff_keras_metadata(source: Source) -> bool:
    """Keras' `keras_metadata.pb`: nodes that hold JSON."""
    if source.reader.pread(0, 1) != b"\x0a":
        return False
    fields = shape(source.reader)
    if not fields or any(field != (1, LENGTH) for field in fields):
        return False
    head = source.reader.pread(0, 4096)
    return b"_tf_keras_" in head or (b'"class_name"' in head and b"root" in head)


def extract_saved_model(source: Source, context: Context) -> Extracted:
    """The operators of every graph of a SavedModel, and the Keras configuration in its object graph."""
    wire = Wire(source.reader)
    yield Artifact(format="tensorflow-savedmodel")
    for meta in wire.spans(wire.whole(), 2):
        graph: Span | None = None
        assets: set[str] = set()
        objects: list[Span] = []
        for number, _, value in wire.fields(meta):
            if number == 2 and isinstance(value, Span):
                graph = value
            elif number == 6 and isinstance(value, Span):
                assets |= _asset(wire, value)
            elif number == 7 and isinstance(value, Span):
                objects.append(value)
        if graph is not None:
            yield from _graph(wire, context, graph, assets)
        for span in objects:
            yield from _object_graph(wire, context, span)


def extract_graph(source: Source, context: Context) -> Extracted:
    """The operators of a frozen graph."""
    wire = Wire(source.reader)
    yield Artifact(format="tensorflow-graph")
    yield from _graph(wire, context, wire.whole(), set())


def extract_keras_metadata(source: Source, context: Context) -> Extracted:
    """The configurations of Keras' layers."""
    wire = Wire(source.reader)
    yield Artifact(format="keras-metadata")
    for node in wire.spans(wire.whole(), 1):
        context.check_time()
        for metadata in wire.spans(node, 5):
            yield from _keras(wire.bytes(metadata, _METADATA))


def _object_graph(wire: Wire, context: Context, span: Span) -> Extracted:
    for node in wire.spans(span, 1):
        context.check_time()
        for user_object in wire.spans(node, 4):
            for metadata in wire.spans(user_object, 3):
                yield from _keras(wire.bytes(metadata, _METADATA))


def _keras(data: bytes) -> Iterator[AnyFact]:
    from garrison.artifacts import keras_config

    if b'"class_name"' in data:
        try:
            yield from keras_config.walk(keras_config.parse(data))
        except Malformed:
            return


def _asset(wire: Wire, span: Span) -> set[str]:
    """The tensor that gets the place of an asset file when the model is loaded."""
    found = set()
    for info in wire.spans(span, 1):
        found |= {wire.text(name).partition(":")[0] for name in wire.spans(info, 1)}
    return found


def _graph(wire: Wire, context: Context, graph: Span, assets: set[str]) -> Extracted:
    scopes: dict[str, _Scope] = {"": _Scope("", {})}
    known = tensorflow_operators()
    callers: dict[str, list[_Call]] = {}
    count = 0
    for number, _, value in wire.fields(graph):
        if number == 1 and isinstance(value, Span):
            node = _node(wire, value)
            scopes[""].nodes[node.name] = node
            count += 1
        elif number == 2 and isinstance(value, Span):
            for function in wire.spans(value, 1):
                scope = _function(wire, function)
                scopes[scope.name] = scope
                count += len(scope.nodes)
        if count > _NODES:
            raise Malformed(f"a graph of more than {_NODES} nodes")
        context.check_time()
    for scope in scopes.values():
        for node in scope.nodes.values():
            for called in _functions_called(wire, node):
                callers.setdefault(called, []).append(_Call(scope, node))
    resolver = _Resolver(wire, callers, assets)
    for scope in scopes.values():
        for node in scope.nodes.values():
            entry = known.get(node.operator)
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
                    arguments[name] = _attribute_text(wire, node.attributes[name])
            place = f"node {node.name!r}" + (f" of function {scope.name!r}" if scope.name else "")
            yield Operator(framework="tensorflow", name=node.operator, arguments=arguments, place=place)


def _node(wire: Wire, span: Span) -> _Node:
    node = _Node("", "", [], {})
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


def _function(wire: Wire, span: Span) -> _Scope:
    scope = _Scope("", {})
    for number, _, value in wire.fields(span):
        if number == 1 and isinstance(value, Span):
            for inner, _, item in wire.fields(value):
                if inner == 1 and isinstance(item, Span):
                    scope.name = wire.text(item)
                elif inner == 2 and isinstance(item, Span):
                    scope.arguments += [wire.text(name) for name in wire.spans(item, 1)][:1]
        elif number == 3 and isinstance(value, Span):
            node = _node(wire, value)
            scope.nodes[node.name] = node
    return scope


def _functions_called(wire: Wire, node: _Node) -> Iterator[str]:
    for span in node.attributes.values():
        for number, _, value in wire.fields(span):
            if number == 10 and isinstance(value, Span):
                yield from (wire.text(name) for name in wire.spans(value, 1))


def _attribute_text(wire: Wire, span: Span) -> str:
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

    def __init__(self, wire: Wire, callers: dict[str, list[_Call]], assets: set[str]) -> None:
        self._wire = wire
        self._callers = callers
        self._assets = assets

    def input(self, scope: _Scope, node: _Node, index: int, depth: int = 0) -> str | None:
        """The text of an input, `None` where it is computed or given from outside."""
        inputs = [name for name in node.inputs if not name.startswith("^")]
        return self._tensor(scope, inputs[index], depth) if index < len(inputs) else None

    def _tensor(self, scope: _Scope, name: str, depth: int) -> str | None:
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
        inputs = [one for one in node.inputs if not one.startswith("^")]
        if node.operator == "StringJoin":
            parts = [self._tensor(scope, one, depth + 1) for one in inputs]
            if any(part is None for part in parts):
                return None
            separator = (
                _attribute_text(self._wire, node.attributes["separator"]) if "separator" in node.attributes else ""
            )
            return separator.join(part for part in parts if part is not None)
        if node.operator in ("Add", "AddV2"):
            parts = [self._tensor(scope, one, depth + 1) for one in inputs]
            return "".join(part for part in parts if part is not None) if all(p is not None for p in parts) else None
        if node.operator in ("ShardedFilename", "ShardedFilespec") or node.operator in _PASSING:
            return self._tensor(scope, inputs[0], depth + 1) if inputs else None
        return None

    def _argument(self, scope: _Scope, name: str, depth: int) -> str | None:
        if name not in scope.arguments:
            return None
        index = scope.arguments.index(name)
        for call in self._callers.get(scope.name, [])[:8]:
            found = self.input(call.scope, call.node, index, depth + 1)
            if found is not None:
                return found
        return None

    def _constant(self, node: _Node) -> str | None:
        span = node.attributes.get("value")
        if span is None:
            return None
        for number, _, tensor in self._wire.fields(span):
            if number == 8 and isinstance(tensor, Span):
                texts = [self._wire.text(item, _CONSTANT) for item in self._wire.spans(tensor, 8)]
                return ", ".join(texts[:16]) if texts else None
        return None
