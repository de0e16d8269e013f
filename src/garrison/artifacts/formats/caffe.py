"""Caffe networks: layers that import Python, and files that layers write.

Source: `src/caffe/proto/caffe.proto` and `include/caffe/layers/python_layer.hpp` of Caffe.
"""

import re

from garrison.artifacts.wire.message_shape import fitting
from garrison.artifacts.wire.protobuf import LENGTH, VARINT, Span, Wire
from garrison.artifacts.wire.text_messages import Field, parse
from garrison.core.errors import ExaminationError, LimitExceeded
from garrison.core.facts import Artifact, Import, Reference
from garrison.sources.source import Context, Extracted, Source

_NET = {1: LENGTH, 2: LENGTH, 3: LENGTH, 4: VARINT, 5: VARINT, 6: LENGTH, 7: VARINT, 8: LENGTH, 100: LENGTH}
_FIELDS = frozenset(
    {"name", "layer", "layers", "input", "input_dim", "input_shape", "force_backward", "state", "debug_info"}
)
_FIRST = re.compile(
    r"\s*(?:#[^\n]*\n\s*)*(?:name|layer|layers|input|input_dim|input_shape|force_backward|state)\s*[:{]"
)
_LONGEST = 16 << 20


def sniff_text(source: Source) -> bool:
    """A text message of a network's fields, with at least one layer."""
    head = source.reader.pread(0, 1 << 16)
    if not _FIRST.match(head.decode("utf-8", "replace")) or b"layer" not in head:
        return False
    try:
        inside = _document(source).inside or []
    except LimitExceeded:
        return False
    except ExaminationError:
        return source.name.endswith(".prototxt")
    layers = [field for field in inside if field.name in ("layer", "layers")]
    return bool(layers) and {field.name for field in inside} <= _FIELDS and all(f.value("type") for f in layers)


def _document(source: Source) -> Field:
    return parse(source.reader.whole(_LONGEST).decode("utf-8", "replace"))


def extract_text(source: Source, context: Context) -> Extracted:
    """Python layers, which the network imports and sets up with a text of its own, and files that are written."""
    document = _document(source)
    layers = document.all("layer") + document.all("layers")
    details: dict[str, str | int | float | bool] = {"layers": len(layers)}
    if document.value("name"):
        details["name"] = document.value("name")[:200]
    yield Artifact(format="caffe", details=details)
    for layer in layers:
        context.check_time()
        place = f"line {layer.line}, layer {layer.value('name')[:100]!r}"
        for python in layer.all("python_param"):
            text = python.value("param_str")
            yield Import(
                module=python.value("module"),
                name=python.value("layer"),
                origin="caffe",
                usage="call",
                arguments=(repr(text)[:1000],) if text else (),
                place=place,
            )
        for written in layer.all("hdf5_output_param"):
            yield Reference(target=written.value("file_name"), role="file-write", trigger="use", place=place)


def sniff(source: Source) -> bool:
    """A message of a network's fields, the first layer of which has the fields of a layer."""
    numbers = fitting(source.reader, _NET)
    if not {2, 100} & set(numbers):
        return False
    wire = Wire(source.reader)
    try:
        for number, _, value in wire.fields(wire.whole()):
            if number in (2, 100) and isinstance(value, Span):
                found = {inner: kind for inner, kind, _ in wire.fields(value)}
                if number == 100:
                    return found.get(1) == LENGTH and found.get(2) == LENGTH
                return found.get(4) == LENGTH and found.get(5) == VARINT
    except ExaminationError:
        pass
    return False


def extract(source: Source, context: Context) -> Extracted:
    """What the trained network tells of itself: Caffe takes only the weights of layers that its own network has."""
    wire = Wire(source.reader)
    details: dict[str, str | int | float | bool] = {}
    layers = python = 0
    for number, _, value in wire.fields(wire.whole()):
        if not isinstance(value, Span):
            continue
        if number == 1:
            details["name"] = wire.text(value, 200)
        elif number in (2, 100):
            context.check_time()
            layers += 1
            if number == 100:
                python += any(wire.bytes(kind, 10) == b"Python" for kind in wire.spans(value, 2))
    details |= {"layers": layers, "python_layers": python}
    yield Artifact(format="caffe", details=details)
