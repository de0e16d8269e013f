"""TensorFlow SavedModels, meta graphs, frozen graphs and Keras' metadata: operators with their constant arguments.

Sources: `tensorflow/core/protobuf/saved_model.proto`, `meta_graph.proto`, `saved_object_graph.proto`,
`fingerprint.proto`; `tensorflow/python/saved_model/loader_impl.py`; `keras/src/legacy/saving/saved_metadata.proto`.
"""

import re
from collections.abc import Iterator

from garrison.artifacts import tensorflow_nodes as nodes
from garrison.artifacts.wire.protobuf import LENGTH, VARINT, Span, Wire, shape
from garrison.core.errors import Malformed
from garrison.core.facts import AnyFact, Artifact, Import, Reference
from garrison.sources.source import Context, Extracted, Source

_METADATA = 64 << 20
_OPERATOR = re.compile(r"[A-Za-z_][\w.>/-]*").fullmatch
_CHECKED = 5
_LOOKED_AT = 100_000
_FINGERPRINT = 400
_ASSETS = "saved_model_assets"


def _may_be_a_message(source: Source) -> bool:
    head = source.reader.pread(0, 1)
    return bool(head) and head[0] & 7 in (0, 1, 2, 3, 5)


def sniff_saved_model(source: Source) -> bool:
    """A schema version and meta graphs; fields that the format does not have are skipped, as its readers do."""
    if not _may_be_a_message(source):
        return False
    if (2, LENGTH) not in (shape(source.reader, _LOOKED_AT) or ()):
        return False
    wire = Wire(source.reader)
    try:
        return any(_looks_like_meta_graph(wire, span) for span in wire.spans(wire.whole(), 2))
    except Malformed:
        return False


def sniff_meta_graph(source: Source) -> bool:
    """What TensorFlow 1 writes beside its checkpoints: a graph between facts about it."""
    if not _may_be_a_message(source) or (2, LENGTH) not in (shape(source.reader, _LOOKED_AT) or ()):
        return False
    wire = Wire(source.reader)
    return _looks_like_meta_graph(wire, wire.whole())


def sniff_graph(source: Source) -> bool:
    """Nodes with a name and an operator, or a library of functions."""
    if not _may_be_a_message(source) or not shape(source.reader, 200):
        return False
    wire = Wire(source.reader)
    return _looks_like_graph(wire, wire.whole())


def sniff_keras_metadata(source: Source) -> bool:
    """Keras' `keras_metadata.pb`: nodes that hold JSON."""
    if source.reader.pread(0, 1) != b"\x0a":
        return False
    fields = shape(source.reader)
    if not fields or any(field != (1, LENGTH) for field in fields):
        return False
    head = source.reader.pread(0, 4096)
    return b"_tf_keras_" in head or (b'"class_name"' in head and b"root" in head)


def sniff_fingerprint(source: Source) -> bool:
    """Five hashes of 64 bits, and little beside them."""
    if source.reader.pread(0, 1) != b"\x08" or source.reader.size > _FINGERPRINT:
        return False
    wire = Wire(source.reader)
    hashes = 0
    try:
        for number, kind, value in wire.fields(wire.whole()):
            if number > 7 or kind != (VARINT if number < 6 else LENGTH):
                return False
            hashes += isinstance(value, int) and value >> 32 > 0
    except Malformed:
        return False
    return hashes >= 3


def sniff_hub_module(source: Source) -> bool:
    """TensorFlow Hub's `tfhub_module.pb`: the number of a module format, 1 to 3, and features that it needs."""
    data = source.reader.pread(0, 32)
    if len(data) < 2 or data[0] != 8 or not 1 <= data[1] <= 3:
        return False
    return (
        source.reader.size == len(data) and all(data[at] == 16 for at in range(2, len(data), 2)) and not len(data) % 2
    )


def _looks_like_meta_graph(wire: Wire, span: Span) -> bool:
    try:
        fields = {number: value for number, _, value in wire.fields(span) if isinstance(value, Span)}
        if 2 not in fields:
            return False
        return _looks_like_graph(wire, fields[2]) or (not fields[2].size and 1 in fields and set(fields) <= {*range(8)})
    except Malformed:
        return False


def _looks_like_graph(wire: Wire, span: Span) -> bool:
    checked = 0
    try:
        for number, _, value in wire.fields(span):
            if number == 1 and isinstance(value, Span):
                if not _looks_like_node(wire, value):
                    return False
                checked += 1
            elif number == 2 and isinstance(value, Span) and not checked:
                return any(
                    _looks_like_node(wire, node)
                    for function in wire.spans(value, 1)
                    for node in wire.spans(function, 3)
                )
            if checked == _CHECKED:
                break
    except Malformed:
        return False
    return checked > 0


def _looks_like_node(wire: Wire, span: Span) -> bool:
    node = nodes.read_node(wire, span)
    return bool(node.name) and _OPERATOR(node.operator) is not None and node.name.isprintable()


def extract_saved_model(source: Source, context: Context) -> Extracted:
    """The operators of every graph of a SavedModel, its assets, and the Keras configuration in its object graph."""
    wire = Wire(source.reader)
    details: dict[str, str | int | float | bool] = {}
    facts: list[AnyFact] = []
    try:
        for meta in wire.spans(wire.whole(), 2):
            facts += _meta_graph(wire, context, meta, details)
    finally:
        yield Artifact(format="tensorflow-savedmodel", details=details)
        yield from facts


def extract_meta_graph(source: Source, context: Context) -> Extracted:
    """The operators of a meta graph."""
    wire = Wire(source.reader)
    details: dict[str, str | int | float | bool] = {}
    facts = list(_meta_graph(wire, context, wire.whole(), details))
    yield Artifact(format="tensorflow-metagraph", details=details)
    yield from facts


def extract_graph(source: Source, context: Context) -> Extracted:
    """The operators of a frozen graph."""
    wire = Wire(source.reader)
    graph = nodes.read_graph(wire, context, [wire.whole()])
    yield Artifact(format="tensorflow-graph", details={"operators": graph.count, "functions": graph.functions})
    yield from nodes.operators(wire, context, graph, set())


def extract_keras_metadata(source: Source, context: Context) -> Extracted:
    """The configurations of Keras' layers."""
    wire = Wire(source.reader)
    yield Artifact(format="keras-metadata")
    for node in wire.spans(wire.whole(), 1):
        context.check_time()
        for metadata in wire.spans(node, 5):
            yield from _keras(wire.bytes(metadata, _METADATA))


def extract_fingerprint(source: Source, context: Context) -> Extracted:
    """A SavedModel's fingerprint is hashes alone."""
    yield Artifact(format="tensorflow-fingerprint")


def extract_hub_module(source: Source, context: Context) -> Extracted:
    """A number alone."""
    yield Artifact(format="tensorflow-hub", details={"module_format": source.reader.pread(1, 1)[0]})


def _meta_graph(
    wire: Wire, context: Context, meta: Span, details: dict[str, str | int | float | bool]
) -> Iterator[AnyFact]:
    graphs: list[Span] = []
    assets: set[str] = set()
    objects: list[Span] = []
    signatures: list[str] = []
    for number, _, value in wire.fields(meta):
        if not isinstance(value, Span):
            continue
        if number == 1:
            _information(wire, value, details)
        elif number == 2:
            graphs.append(value)
        elif number == 4:
            for asset in _collected_assets(wire, value):
                yield from _asset(wire, asset, assets)
        elif number == 5:
            signatures += [wire.text(name, 100) for name in wire.spans(value, 1)][:1]
        elif number == 6:
            yield from _asset(wire, value, assets)
        elif number == 7:
            objects.append(value)
    graph = nodes.read_graph(wire, context, graphs)
    for key, count in (("operators", graph.count), ("functions", graph.functions)):
        details[key] = count + int(details.get(key, 0))
    if signatures:
        details["signatures"] = ", ".join(signatures)[:300]
    yield from nodes.operators(wire, context, graph, assets)
    for span in objects:
        yield from _object_graph(wire, context, span)


def _information(wire: Wire, span: Span, details: dict[str, str | int | float | bool]) -> None:
    tags: list[str] = []
    for number, _, value in wire.fields(span):
        if number == 4 and isinstance(value, Span):
            tags.append(wire.text(value, 100))
        elif number == 5 and isinstance(value, Span):
            details["tensorflow_version"] = wire.text(value, 40)
    if tags:
        details["tags"] = ", ".join(tags)[:200]


def _asset(wire: Wire, span: Span, tensors: set[str]) -> Iterator[Reference]:
    """A file below `assets/`, and the tensor that gets its place when the model is loaded."""
    for number, _, value in wire.fields(span):
        if number == 1 and isinstance(value, Span):
            tensors |= {wire.text(name).partition(":")[0] for name in wire.spans(value, 1)}
        elif number == 2 and isinstance(value, Span):
            yield Reference(target=wire.text(value), role="asset", trigger="load", place="asset")


def _collected_assets(wire: Wire, entry: Span) -> Iterator[Span]:
    """Assets as TensorFlow 1 kept them: packed messages in a collection."""
    if any(wire.text(key, 100) == _ASSETS for key in wire.spans(entry, 1)):
        for collection in wire.spans(entry, 2):
            for many in wire.spans(collection, 5):
                for one in wire.spans(many, 1):
                    yield from wire.spans(one, 2)


def _object_graph(wire: Wire, context: Context, span: Span) -> Iterator[AnyFact]:
    for node in wire.spans(span, 1):
        context.check_time()
        for user_object in wire.spans(node, 4):
            for metadata in wire.spans(user_object, 3):
                yield from _keras(wire.bytes(metadata, _METADATA))


def _keras(data: bytes) -> Iterator[AnyFact]:
    """Facts about a layer's configuration.

    What only a registered name stands for is left out: Keras revives such a layer from its graph instead.
    """
    from garrison.artifacts import keras_config

    if b'"class_name"' in data:
        try:
            for fact in keras_config.walk(keras_config.parse(data)):
                if not (isinstance(fact, Import) and fact.origin == "keras-name"):
                    yield fact
        except Malformed:
            return
