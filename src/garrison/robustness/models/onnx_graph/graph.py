"""Runs a graph, node by node."""

from typing import Any

import onnx
import torch
from onnx import AttributeProto, numpy_helper
from torch import Tensor

from garrison.robustness.models.onnx_graph.elementwise import ELEMENTWISE
from garrison.robustness.models.onnx_graph.layers import LAYERS
from garrison.robustness.models.onnx_graph.node import Node, Operator, Unsupported
from garrison.robustness.models.onnx_graph.shapes import SHAPES

OPERATORS: dict[str, Operator] = {**ELEMENTWISE, **LAYERS, **SHAPES}
_STANDARD = ("", "ai.onnx")


class Graph:
    """The part of a model that one output needs, as a function of its one input, with gradients."""

    def __init__(self, model: onnx.ModelProto, source: str, output: str, device: torch.device) -> None:
        """Raises `Unsupported` for an operator that is not known."""
        self._source, self._output = source, output
        self._constants = {tensor.name: _tensor(tensor, device) for tensor in model.graph.initializer}
        opset = next((entry.version for entry in model.opset_import if entry.domain in _STANDARD), 1)
        self._nodes = _needed([_node(node, opset, device) for node in model.graph.node], output)
        domains = {name: node.domain for node in model.graph.node for name in node.output}
        for node in self._nodes:
            domain = domains[node.outputs[0]]
            if domain not in _STANDARD or node.operator not in OPERATORS:
                raise Unsupported(f"{domain}.{node.operator}" if domain not in _STANDARD else node.operator)

    def __call__(self, inputs: Tensor) -> Tensor:
        """Raises `Unsupported` for a form of an operator that is not known."""
        values: dict[str, Tensor] = {**self._constants, self._source: inputs}
        for node in self._nodes:
            given = _together([values[name] if name else None for name in node.inputs])
            answer = OPERATORS[node.operator](node, *given)
            answers = answer if isinstance(answer, tuple) else (answer,)
            # A node may give more than it has names for, and the other way round where the rest is optional.
            values.update(zip(node.outputs, answers, strict=False))
        return values[self._output]


def _together(given: list[Tensor | None]) -> list[Tensor | None]:
    """Inputs of a node with numbers with a point on one device: shapes are reckoned with on the CPU."""
    places = [value.device for value in given if value is not None and value.is_floating_point()]
    place = next((device for device in places if device.type != "cpu"), None)
    if place is None:
        return given
    return [
        value.to(place) if value is not None and (value.is_floating_point() or value.dtype == torch.bool) else value
        for value in given
    ]


def _needed(nodes: list[Node], output: str) -> list[Node]:
    """In their order, those that an output depends on."""
    wanted, kept = {output}, []
    for node in reversed(nodes):
        if wanted.intersection(node.outputs):
            wanted.update(node.inputs)
            kept.append(node)
    return kept[::-1]


def _node(node: onnx.NodeProto, opset: int, device: torch.device) -> Node:
    attributes = {attribute.name: _value(attribute, device) for attribute in node.attribute}
    return Node(node.op_type, attributes, tuple(node.input), tuple(node.output), opset)


def _value(attribute: AttributeProto, device: torch.device) -> Any:
    value = onnx.helper.get_attribute_value(attribute)
    if attribute.type == AttributeProto.TENSOR:
        return _tensor(value, device)
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return list(value) if attribute.type in (AttributeProto.INTS, AttributeProto.FLOATS) else value


def _tensor(tensor: onnx.TensorProto, device: torch.device) -> Tensor:
    try:
        found = torch.from_numpy(numpy_helper.to_array(tensor).copy())
    except (TypeError, ValueError):
        raise Unsupported(f"a tensor of type {onnx.TensorProto.DataType.Name(tensor.data_type)}") from None
    return found.to(device) if found.is_floating_point() else found
