"""TensorFlow and ONNX graphs as text (`saved_model.pbtxt`, `graph.pbtxt`, `.onnxtxt`), which their loaders read too.

Sources: the `.proto` files that `tensorflow_graph` and `onnx` name; `tensorflow/python/saved_model/loader_impl.py`
(`parse_saved_model`), `onnx/serialization.py`.
"""

import re

from garrison.artifacts.formats import onnx, tensorflow_graph
from garrison.artifacts.wire.text_protobuf import Schema, encode
from garrison.sources.reader import BytesReader
from garrison.sources.source import Context, Extracted, Source

_TENSOR: Schema = {"dtype": 1, "tensor_content": 4, "string_val": 8}
_FUNCTION_NAME: Schema = {"name": 1}
_LIST: Schema = {"s": 2, "func": (9, _FUNCTION_NAME)}
_ATTRIBUTE: Schema = {"list": (1, _LIST), "s": 2, "tensor": (8, _TENSOR), "func": (10, _FUNCTION_NAME)}
_NODE: Schema = {"name": 1, "op": 2, "input": 3, "attr": (5, {"key": 1, "value": (2, _ATTRIBUTE)})}
_SIGNATURE: Schema = {"name": 1, "input_arg": (2, {"name": 1})}
_LIBRARY: Schema = {"function": (1, {"signature": (1, _SIGNATURE), "node_def": (3, _NODE)})}
_GRAPH: Schema = {"node": (1, _NODE), "library": (2, _LIBRARY)}
_INFORMATION: Schema = {"tags": 4, "tensorflow_version": 5}
_ASSET: Schema = {"tensor_info": (1, {"name": 1}), "filename": 2}
_OBJECTS: Schema = {"nodes": (1, {"user_object": (4, {"identifier": 1, "metadata": 3})})}
_META_GRAPH: Schema = {
    "meta_info_def": (1, _INFORMATION),
    "graph_def": (2, _GRAPH),
    "signature_def": (5, {"key": 1}),
    "asset_file_def": (6, _ASSET),
    "object_graph_def": (7, _OBJECTS),
}
_SAVED_MODEL: Schema = {"saved_model_schema_version": 1, "meta_graphs": (2, _META_GRAPH)}

_PAIR: Schema = {"key": 1, "value": 2}
_ONNX_TENSOR: Schema = {"dims": 1, "name": 8, "external_data": (13, _PAIR)}
_SPARSE: Schema = {"values": (1, _ONNX_TENSOR), "indices": (2, _ONNX_TENSOR)}
_ONNX_GRAPH: Schema = {"name": 2, "initializer": (5, _ONNX_TENSOR), "sparse_initializer": (15, _SPARSE)}
_ONNX_ATTRIBUTE: Schema = {
    "name": 1,
    "i": 3,
    "s": 4,
    "t": (5, _ONNX_TENSOR),
    "g": (6, _ONNX_GRAPH),
    "tensors": (10, _ONNX_TENSOR),
    "graphs": (11, _ONNX_GRAPH),
    "sparse_tensor": (22, _SPARSE),
    "sparse_tensors": (23, _SPARSE),
}
_ONNX_NODE: Schema = {"name": 3, "op_type": 4, "attribute": (5, _ONNX_ATTRIBUTE), "domain": 7}
_ONNX_GRAPH["node"] = (1, _ONNX_NODE)
_ONNX_FUNCTION: Schema = {"name": 1, "node": (7, _ONNX_NODE), "domain": 10, "attribute_proto": (11, _ONNX_ATTRIBUTE)}
_ONNX: Schema = {
    "ir_version": 1,
    "producer_name": 2,
    "producer_version": 3,
    "model_version": 5,
    "graph": (7, _ONNX_GRAPH),
    "opset_import": (8, {"domain": 1, "version": 2}),
    "metadata_props": (14, _PAIR),
    "training_info": (20, {"initialization": (1, _ONNX_GRAPH), "algorithm": (2, _ONNX_GRAPH)}),
    "functions": (25, _ONNX_FUNCTION),
}

_FIRST = re.compile(rb"(?:\s|#[^\n]*\n)*(\w+)\s*[:{<]\s*(?:[{<]\s*)?(\w*)")
_TOPS = {
    b"saved_model_schema_version": "saved-model",
    b"meta_graphs": "saved-model",
    b"meta_info_def": "meta-graph",
    b"graph_def": "meta-graph",
    b"ir_version": "onnx",
    b"producer_name": "onnx",
    b"opset_import": "onnx",
    b"node": "graph",
    b"library": "graph",
    b"versions": "graph",
}
_INSIDE = {b"node": (b"name", b"op", b"input"), b"library": (b"function", b"gradient"), b"versions": (b"producer",)}
_READERS = {
    "saved-model": (_SAVED_MODEL, tensorflow_graph.extract_saved_model),
    "meta-graph": (_META_GRAPH, tensorflow_graph.extract_meta_graph),
    "graph": (_GRAPH, tensorflow_graph.extract_graph),
    "onnx": (_ONNX, onnx.extract),
}


def _kind(head: bytes) -> str:
    match = _FIRST.match(head)
    if match is None:
        return ""
    inside = _INSIDE.get(match[1])
    return "" if inside is not None and match[2] not in inside else _TOPS.get(match[1], "")


def sniff(source: Source) -> bool:
    """A first field that one of the messages has, which opens as text does."""
    return bool(_kind(source.reader.pread(0, 2048)))


def extract(source: Source, context: Context) -> Extracted:
    """The same as of the binary form."""
    data = source.reader.whole(context.limits.buffer)
    schema, read = _READERS[_kind(data[:2048])]
    encoded = encode(data.decode("utf-8", "surrogateescape"), schema, context.check_time)
    yield from read(Source(source.subject, BytesReader(encoded), depth=source.depth), context)
